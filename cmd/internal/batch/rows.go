package batch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"qianzhi/adapters/files"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/statement"
)

// debit is a file as it was read.
type debit struct {
	day  pay.Day
	head map[string]string
	rows []statement.Detail
}

// read reads a copy and checks everything that can be checked before the first
// row is begun.
func (b *Batch) read(s *state) (d debit, err error) {
	raw, err := os.ReadFile(s.Copy)
	if err != nil {
		return d, &trouble{err}
	}
	day, ok := b.day(s.Name)
	if !ok {
		return d, fmt.Errorf("文件名 %s 中没有日期", s.Name)
	}
	d.day = day
	if d.head, d.rows, err = b.o.Spec.Details(raw, day, reconcile.Bank); err != nil {
		return d, err
	}
	seen := map[string]int{}
	for i := range d.rows {
		r := &d.rows[i]
		serial := b.serial(r)
		switch before := seen[serial]; {
		case r.Amount <= 0 || r.Out:
			return d, r.Wrong("amount", "an amount above 0", "another")
		case r.Account == "":
			return d, r.Wrong("account", "a customer number", "nothing")
		case before > 0:
			return d, r.Wrong(b.o.Serial[0], "a row of its own", fmt.Sprintf("that of line %d", before))
		}
		seen[serial] = r.Row
	}
	return d, nil
}

// trouble is an error of our own, which says nothing about the file.
type trouble struct{ error }

// Unwrap returns the cause.
func (t *trouble) Unwrap() error { return t.error }

// serial tells a row from the others of its file.
func (b *Batch) serial(r *statement.Detail) string {
	if len(b.o.Serial) == 0 {
		return fmt.Sprintf("%08d", r.Row)
	}
	parts := make([]string, len(b.o.Serial))
	for i, c := range b.o.Serial {
		parts[i] = r.Values[c]
	}
	return strings.Join(parts, "/")
}

// accept decides whether a file is taken. The act is on record before the first
// row can be begun.
func (b *Batch) accept(ctx context.Context, s *state) error {
	d, err := b.read(s)
	var own *trouble
	if errors.As(err, &own) {
		return err
	}
	today := b.o.Books.Day()
	switch {
	case err != nil:
	case d.day < today.Add(1-b.o.DupDays):
		err = fmt.Errorf("账期 %s 过早, 今为 %s", d.day, today)
	case d.day > today.Add(1):
		err = fmt.Errorf("账期 %s 未到, 今为 %s", d.day, today)
	}
	if err != nil {
		s.Step, s.Why = refused, err.Error()
		b.o.Log.Error("debit file refused", "event", "QZ463", "batch", b.o.ID, "file", s.Name, "err", err)
		err = b.o.Record(ctx, "批扣文件拒收", s.Name, s.Why+" SM3 "+s.SM3)
	} else {
		var sum pay.Amount
		for i := range d.rows {
			sum += d.rows[i].Amount
		}
		s.Step, s.Rows = accepted, len(d.rows)
		b.o.Log.Info("debit file accepted", "event", "QZ464", "batch", b.o.ID, "file", s.Name, "rows", s.Rows, "sum", sum.Yuan())
		err = b.o.Record(ctx, "批扣文件受理", s.Name, fmt.Sprintf("%d 笔 %s 元 SM3 %s", s.Rows, sum.Yuan(), s.SM3))
	}
	if err != nil {
		return err
	}
	return b.keep(s)
}

// charge gives every row that is not final to the engine. When all are, the
// result is written.
func (b *Batch) charge(ctx context.Context, s *state) error {
	d, err := b.read(s)
	if err != nil {
		return err
	}
	fates, err := b.fates(s.Name)
	if err != nil {
		return err
	}
	more, err := b.pass(ctx, s.Name, &d, fates)
	if err = errors.Join(err, b.note(s.Name, more)); err != nil {
		return err
	}
	for _, f := range more {
		fates[f.Row] = f
	}
	if open := len(d.rows) - len(fates); open > 0 {
		b.o.Log.Info("debit file under way", "event", "QZ465", "batch", b.o.ID, "file", s.Name, "open", open)
		return nil
	}
	return b.settle(ctx, s, &d, fates)
}

// pass gives the rows that are not final to the engine once, some at a time.
func (b *Batch) pass(ctx context.Context, name string, d *debit, fates map[int]fate) ([]fate, error) {
	var mu sync.Mutex
	var out []fate
	var failed error
	rows := make(chan *statement.Detail)
	var wg sync.WaitGroup
	for range b.o.Workers {
		wg.Go(func() {
			for r := range rows {
				f, final, err := b.row(ctx, name, d, r)
				mu.Lock()
				if final {
					out = append(out, f)
				}
				failed = errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	for i := range d.rows {
		if _, final := fates[d.rows[i].Row]; !final && ctx.Err() == nil {
			rows <- &d.rows[i]
		}
	}
	close(rows)
	wg.Wait()
	return out, failed
}

// request is the payment of a row. Its key is the file and the row, so that
// whoever gives it again is answered with what became of it.
func (b *Batch) request(name string, d *debit, r *statement.Detail) *pay.Request {
	req := &pay.Request{Op: pay.Pay, Day: d.day, Biller: b.o.Biller, Account: r.Account, Amount: r.Amount,
		Ref: pay.Ref{Institution: b.o.Institution, Kind: pay.KindPay, Scope: name, Serial: b.serial(r)},
		Via: &pay.Via{Link: b.o.ID, Peer: name, At: b.o.Now(), Funds: pay.Untaken}}
	var bill pay.Bill
	for _, values := range []map[string]string{r.Values, d.head} {
		for column, v := range values {
			id, ok := pay.ParseField(column)
			switch {
			case !ok || v == "" || id == pay.FAccount || id == pay.FAmount || pay.Find(req.More, id) != "":
			case id == pay.FBiller:
				req.Biller = v
			case id == pay.FBillID:
				bill.ID = v
			default:
				req.More = append(req.More, pay.Field{ID: id, Val: v})
			}
		}
	}
	slices.SortFunc(req.More, func(a, b pay.Field) int { return int(a.ID) - int(b.ID) })
	if bill.ID != "" {
		bill.Month, bill.Amount = pay.Find(req.More, pay.FBillMonth), r.Amount
		req.Bills = []pay.Bill{bill}
	}
	return req
}

// errKey reports a row that the journal knows as another payment or as one too
// old to tell: people have to look.
var errKey = errors.New("the journal does not know the row as this file's")

// row gives one row to the engine and says how it ended, if it has.
func (b *Batch) row(ctx context.Context, name string, d *debit, r *statement.Detail) (f fate, final bool, err error) {
	req := b.request(name, d, r)
	rep := b.o.Payments.Do(ctx, req)
	f = fate{Row: r.Row, Code: rep.Code.String(), Ours: rep.Serial, Bank: pay.Find(rep.More, pay.FBankSerial), Host: pay.Find(rep.More, pay.FHostSerial)}
	switch {
	case rep.Verdict == pay.Approved:
		f.Code = pay.CodeOK.String()
		return f, true, nil
	case rep.Code == pay.CodeExpired || rep.Code == pay.CodeDuplicate || rep.Code == pay.CodeTombstone:
		return f, false, fmt.Errorf("row %d: %s: %w", r.Row, rep.Code, errKey)
	case rep.Verdict == pay.Declined:
		return f, true, nil
	case rep.Code != pay.CodeParked:
		return f, false, nil // asked for again
	}
	e, found, err := b.o.Books.Find(ctx, req.Ref)
	if err != nil || !found || e.State != pay.Adjd {
		return f, false, err // a person has not decided yet
	}
	if f.Code = pay.CodeOK.String(); e.Code == pay.CodeReversed {
		f.Code = e.Code.String()
	}
	return f, true, nil
}

// settle writes the result.
func (b *Batch) settle(ctx context.Context, s *state, d *debit, fates map[int]fate) error {
	rows := make([]statement.Row, 0, len(d.rows))
	s.Good, s.Fen = 0, 0
	for i := range d.rows {
		r, f := &d.rows[i], fates[d.rows[i].Row]
		out := statement.Row{Effect: reconcile.Absent, Word: "none", Amount: r.Amount, Values: r.Values}
		if f.Code == pay.CodeOK.String() {
			out.Effect, out.Word = reconcile.Charged, "effective"
			s.Good, s.Fen = s.Good+1, s.Fen+int64(r.Amount)
		}
		out.Values["status"] = b.word(f.Code)
		out.Values["reference"], out.Values["bank_serial"], out.Values["host_serial"] = f.Ours, f.Bank, f.Host
		rows = append(rows, out)
	}
	raw, err := b.o.Result.WriteWith(d.day, d.head, rows)
	if err != nil {
		return fmt.Errorf("result: %w", err)
	}
	name := b.result(s.Name, d.day)
	if err := b.write(name, raw); err != nil {
		return err
	}
	if err := b.o.Record(ctx, "批扣结果", s.Name, fmt.Sprintf("%d 笔, 扣成 %d 笔 %s 元, 结果文件 %s", s.Rows, s.Good, pay.Amount(s.Fen).Yuan(), name)); err != nil {
		return err
	}
	s.Step, s.Sent = done, name
	b.o.Log.Info("debit file done", "event", "QZ466", "batch", b.o.ID, "file", s.Name, "rows", s.Rows, "charged", s.Good, "sum", pay.Amount(s.Fen).Yuan())
	return b.keep(s)
}

// word is what the result calls an outcome: the configured word, or the first
// of its status list with that effect.
func (b *Batch) word(code string) string {
	effect := "none"
	if code == pay.CodeOK.String() {
		effect = "effective"
	}
	for _, w := range b.o.Words {
		if w.Code.String() == code {
			return w.Wire
		}
	}
	for _, s := range b.o.Result.Status {
		if s.Effect == effect {
			return s.Wire
		}
	}
	return ""
}

// answer delivers the result, or why the file was refused.
func (b *Batch) answer(ctx context.Context, s *state) error {
	if s.Step == refused && s.Sent == "" {
		if b.o.Refusal == "" {
			s.Step = ended
			return b.keep(s)
		}
		s.Sent = strings.ReplaceAll(b.o.Refusal, "{name}", s.Name)
		if err := b.write(s.Sent, []byte("拒收 "+s.Name+"\n"+s.Why+"\n")); err != nil {
			return err
		}
	}
	raw, err := os.ReadFile(b.path(s.Sent))
	if err != nil {
		return err
	}
	_, err = b.o.Send.Deliver(ctx, &files.Parcel{Name: s.Sent, Data: raw, Every: b.o.Every, Until: time.Time{}})
	if err != nil {
		return fmt.Errorf("result not delivered: %w", err)
	}
	if err := b.o.Record(ctx, "批扣结果送达", s.Name, s.Sent); err != nil {
		return err
	}
	s.Step = ended
	return b.keep(s)
}
