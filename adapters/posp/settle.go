package posp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"qianzhi/gateway/pay"
)

// Charge is one message of ours that the centre should have in a batch, under
// our serial: the charge of a card, or the 撤销 or 退货 of one.
type Charge struct {
	Serial string
	Of     string // serial of the payment whose card it is
	Card   string // the card number; empty where it is not known
	Amount pay.Amount
	Credit bool // money back to the card
	Void   bool // a 撤销, or the charge that one undid: neither is uploaded
}

// Charges yields those of a closed day, and returns how many are not decided. It
// is called once for the totals, and again for a batch that does not balance.
type Charges func(ctx context.Context, day pay.Day, yield func(Charge) error) (doubts int, err error)

// Batch is a terminal's batch and how its 批结算 came out.
type Batch struct {
	Day      pay.Day    `json:"day"`
	Terminal string     `json:"terminal"`
	Batch    string     `json:"batch"`
	Debit    pay.Amount `json:"debit"`
	Debits   int        `json:"debits"`
	Credit   pay.Amount `json:"credit"`
	Credits  int        `json:"credits"`
	Step     Step       `json:"step"`
	Uploaded int        `json:"uploaded,omitempty"` // charges, of a batch that did not balance
}

// Step is how far the settlement of a batch has come. Asked is durable before
// the message leaves, so a batch that was asked about is asked about again after
// a stop, under the same number; what has ended is never settled again.
type Step string

// The steps.
const (
	Asked      Step = "asked"
	Balanced   Step = "balanced"   // 对账平: the end
	Unbalanced Step = "unbalanced" // 对账不平: the batch is uploaded
	Uploaded   Step = "uploaded"   // the end, and work for people
)

// Ended reports whether nothing is left to do.
func (s Step) Ended() bool { return s == Balanced || s == Uploaded }

// Settled keeps the steps of batches over a restart.
type Settled interface {
	Batches(day pay.Day) ([]Batch, error) // the last step of each
	Keep(b Batch) error                   // durable when it returns
}

// ErrDoubt reports charges of the day that are not decided: its batches cannot
// be settled yet.
var ErrDoubt = errors.New("charges of the day are not decided")

// maxUpload is how many charges one 批上送 carries.
const maxUpload = 8

// What the centre says of totals (field 48.5).
const (
	saysBalanced   = "1"
	saysUnbalanced = "2"
	saysWrong      = "3" // 出错, to be treated as unbalanced
)

// Settle settles the batches of a closed day with the centre and returns how
// they stand. Batches that were settled before are left alone. One failure does
// not keep other batches from being settled.
func (a *Adapter) Settle(ctx context.Context, day pay.Day, charges Charges, kept Settled) ([]Batch, error) {
	select {
	case a.settling <- struct{}{}:
		defer func() { <-a.settling }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	was, err := kept.Batches(day)
	if err != nil {
		return nil, err
	}
	all, err := a.totals(ctx, day, charges)
	if err != nil {
		return nil, err
	}
	before := map[string]Batch{}
	for _, b := range was {
		before[b.Terminal+b.Batch] = b
	}
	var errs error
	for i := range all {
		b := &all[i]
		if was, there := before[b.Terminal+b.Batch]; there {
			if was.Step.Ended() {
				*b = was
				continue
			}
			b.Step = was.Step
		}
		if err := a.settle(ctx, b, charges, kept); err != nil {
			errs = errors.Join(errs, fmt.Errorf("terminal %s batch %s: %w", b.Terminal, b.Batch, err))
		}
	}
	return all, errs
}

// totals adds up each batch of the day. The first of each terminal is there even
// if it is empty: that nothing was charged is worth asking about as well.
func (a *Adapter) totals(ctx context.Context, day pay.Day, charges Charges) ([]Batch, error) {
	by := map[string]*Batch{}
	of := func(u *unit, batch string) *Batch {
		k := batch + u.Terminal.Terminal
		if by[k] == nil {
			by[k] = &Batch{Day: day, Terminal: u.Terminal.Terminal, Batch: batch}
		}
		return by[k]
	}
	for _, u := range a.units {
		of(u, batchOf(day, 0))
	}
	doubts, err := charges(ctx, day, func(c Charge) error {
		n, u, err := a.place(&c)
		if err != nil {
			return err
		}
		b := of(u, n.batch)
		if c.Credit {
			b.Credit, b.Credits = b.Credit+c.Amount, b.Credits+1
		} else {
			b.Debit, b.Debits = b.Debit+c.Amount, b.Debits+1
		}
		return nil
	})
	if err == nil && doubts > 0 {
		err = fmt.Errorf("%w: %d", ErrDoubt, doubts)
	}
	if err != nil {
		return nil, err
	}
	var all []Batch
	for _, k := range slices.Sorted(maps.Keys(by)) {
		all = append(all, *by[k])
	}
	return all, nil
}

// place returns the number of a charge's message and the terminal that sent it.
func (a *Adapter) place(c *Charge) (number, *unit, error) {
	n, err := parse(c.Serial)
	if err != nil {
		return n, nil, err
	}
	of, err := parse(c.Of)
	return n, a.units[of.row%uint64(len(a.units))], err
}

// settle brings one batch to its end.
func (a *Adapter) settle(ctx context.Context, b *Batch, charges Charges, kept Settled) error {
	u := a.unit(b.Terminal)
	if b.Step != Unbalanced {
		b.Step = Asked
		if err := kept.Keep(*b); err != nil {
			return err
		}
		said, err := a.compare(ctx, u, b)
		if err != nil {
			return err
		}
		if b.Step = Balanced; said != saysBalanced {
			b.Step = Unbalanced
		}
		if err := kept.Keep(*b); err != nil || b.Step == Balanced {
			return err
		}
	}
	if err := a.upload(ctx, u, b, charges); err != nil {
		return err
	}
	b.Step = Uploaded
	return kept.Keep(*b)
}

func (a *Adapter) unit(terminal string) *unit {
	i := slices.IndexFunc(a.units, func(u *unit) bool { return u.Terminal.Terminal == terminal })
	return a.units[i] // totals took it from there
}

// compare sends the totals and returns what the centre says of them.
func (a *Adapter) compare(ctx context.Context, u *unit, b *Batch) (string, error) {
	req := &pay.Request{Op: pay.Settle, More: append(u.fields(b.Batch),
		pay.Field{ID: pay.FDebitSum, Val: fmt.Sprintf("%012d", b.Debit)}, pay.Field{ID: pay.FDebitCount, Val: fmt.Sprintf("%03d", b.Debits)},
		pay.Field{ID: pay.FCreditSum, Val: fmt.Sprintf("%012d", b.Credit)}, pay.Field{ID: pay.FCreditCount, Val: fmt.Sprintf("%03d", b.Credits)},
		pay.Field{ID: pay.FBalanced, Val: "0"})}
	rep, err := a.about(ctx, u, req, settleTrace(b.Day))
	if err != nil {
		return "", err
	}
	said := pay.Find(rep.More, pay.FBalanced)
	if said != saysBalanced && said != saysUnbalanced && said != saysWrong {
		return "", fmt.Errorf("批结算: answered %q", said)
	}
	return said, nil
}

// upload sends what the batch consists of, and that it ends there.
func (a *Adapter) upload(ctx context.Context, u *unit, b *Batch, charges Charges) error {
	b.Uploaded = 0
	var some []pay.Bill
	send := func() error {
		if len(some) == 0 {
			return nil
		}
		req := &pay.Request{Op: pay.BatchUpload, Bills: some, More: append(u.fields(b.Batch), pay.Field{ID: pay.FUploadCount, Val: fmt.Sprintf("%02d", len(some))})}
		_, err := a.about(ctx, u, req, "")
		b.Uploaded, some = b.Uploaded+len(some), nil
		return err
	}
	_, err := charges(ctx, b.Day, func(c Charge) error {
		n, at, err := a.place(&c)
		switch {
		case err != nil || at != u || n.batch != b.Batch || c.Void:
			return err
		case c.Credit:
			b.Uploaded++
			return a.uploadRefund(ctx, u, n, &c)
		}
		if some = append(some, pay.Bill{ID: n.trace, Amount: c.Amount, Card: fmt.Sprintf("%020s", c.Card)}); len(some) < maxUpload {
			return nil
		}
		return send()
	})
	if err == nil {
		err = send()
	}
	if err == nil {
		_, err = a.about(ctx, u, &pay.Request{Op: pay.UploadEnd, More: append(u.fields(b.Batch), pay.Field{ID: pay.FUploadCount, Val: fmt.Sprintf("%04d", b.Uploaded)})}, "")
	}
	return err
}

// uploadRefund sends a 退货 under the trace that it had.
func (a *Adapter) uploadRefund(ctx context.Context, u *unit, n number, c *Charge) error {
	req := &pay.Request{Op: pay.BatchUpload, Amount: c.Amount, Original: &pay.Ref{Kind: pay.KindRefund, Serial: n.trace}, More: u.fields(n.batch)}
	if c.Card != "" {
		req.More = append(req.More, pay.Field{ID: pay.FPAN, Val: c.Card})
	}
	_, err := a.about(ctx, u, req, n.trace)
	return err
}

// about sends a message about a batch as its terminal; only an approval is
// enough. Without a trace it gets the terminal's next.
func (a *Adapter) about(ctx context.Context, u *unit, req *pay.Request, trace string) (pay.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, a.o.Wait)
	defer cancel()
	if err := a.take(ctx, u, req, ""); err != nil {
		return pay.Reply{}, err
	}
	defer func() { u.token <- struct{}{} }()
	if err := a.signOn(ctx, u); err != nil {
		return pay.Reply{}, err
	}
	if trace == "" {
		trace = u.next()
	}
	req.Ref = pay.Ref{Kind: req.Op.Kind(), Serial: trace}
	rep, err := a.o.Link.Do(ctx, req)
	switch {
	case err != nil:
		return rep, fmt.Errorf("%s: %w", req.Op.Chinese(), err)
	case rep.Verdict != pay.Approved:
		u.signed = u.signed && rep.Code != pay.CodeSignOn && rep.Code != pay.CodeAuth
		return rep, fmt.Errorf("%s: answered %s/%s", req.Op.Chinese(), rep.Verdict, rep.Code)
	}
	return rep, nil
}
