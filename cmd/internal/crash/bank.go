package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"qianzhi/adapters/mis"
	"qianzhi/cmd/internal/app"
	"qianzhi/cmd/internal/keyfile"
	"qianzhi/cmd/internal/load"
	"qianzhi/cmd/internal/peer"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
)

// fate is what a bank was told of one payment.
type fate struct {
	link, key string
	amount    pay.Amount
	day       pay.Day
	paid      bool       // told approved
	declined  bool       // told finally refused
	reversed  bool       // told that it is undone
	given     pay.Amount // told to be given back of it
}

// tale is everything that banks were told.
type tale struct {
	mu    sync.Mutex
	told  map[string]*fate
	wrong []string    // answers that contradict earlier ones
	waits []string    // what banks still waited for when they gave up
	late  *time.Timer // in the last life: until they do

	centre *centre
	meter  *meter
}

// await begins the last life.
func (t *tale) await(late *time.Timer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.late = late
}

// final notes that somebody got a final answer.
func (t *tale) final() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.late != nil {
		t.late.Reset(lastLife)
	}
}

func (t *tale) wait(format string, a ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waits = append(t.waits, fmt.Sprintf(format, a...))
}

func (t *tale) tell(key string, change func(*fate)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.told[key]
	if f == nil {
		f = &fate{key: key}
		t.told[key] = f
	}
	change(f)
}

func (t *tale) contradict(format string, a ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wrong = append(t.wrong, fmt.Sprintf(format, a...))
}

// bank is the far side of the links.
type bank struct {
	links []load.Link
	tale  *tale
}

func newBank(dir string, c *app.Config, t *tale) (*bank, error) {
	keys := secure.Keys{Ring: secure.Ring{}, Roles: map[string]string{}}
	for role, file := range map[string]string{"bank": "bank.key", "gateway": "gateway.pub", "master": "terminal-master.sm4"} {
		k, err := keyfile.Read(filepath.Join(dir, "keys", file))
		if err != nil {
			return nil, err
		}
		keys.Ring[role], keys.Roles[role] = k, role
	}
	b := &bank{tale: t}
	for _, l := range c.Links {
		if prefixes[l.ID] == "" {
			continue
		}
		link, err := spec.Load(c.Path(l.File), os.ReadFile)
		if err != nil {
			return nil, err
		}
		d, err := link.Assemble(spec.Parts{Keys: keys, Sessions: secure.NewSessions(1000), Now: time.Now})
		if err != nil {
			return nil, err
		}
		open := func(int) (load.Client, error) { return peer.Dial(d, l.Listen), nil }
		if link.Transport == "http" {
			open = func(int) (load.Client, error) { return peer.NewWeb(d, link, l.Listen) }
		}
		b.links = append(b.links, load.Link{ID: l.ID, Open: open, Style: style(l.ID), NoSignOn: l.ID == "http" || l.ID == "kiosk"})
	}
	return b, nil
}

// prefixes are the links that are played, with what their serials begin with: a
// bank gives a number once, whatever link it goes over. Terminals count anew:
// theirs is the beginning of the terminal number.
var prefixes = map[string]string{"pos": "6012", "kiosk-pos": "6013", "public": "6014", "kiosk": "K", "fixed": "1", "http": "9"}

// style writes what differs between the links.
func style(link string) load.Style {
	return func(worker int, serial uint64, req *pay.Request) {
		now := time.Now()
		if link == "kiosk" {
			req.Ref.Serial, req.Day = fmt.Sprintf("%06d", serial), pay.DayOf(now)
			req.More = []pay.Field{{ID: pay.FTerminal, Val: fmt.Sprintf("K%07d", worker+1)}, {ID: pay.FSenderTime, Val: now.Format("150405")}}
			return
		}
		if len(prefixes[link]) == 4 {
			req.Ref.Serial = fmt.Sprintf("%06d", serial)
			req.More = []pay.Field{{ID: pay.FTerminal, Val: fmt.Sprintf("%s%04d", prefixes[link], worker+1)}, {ID: pay.FMerchant, Val: "301051249000001"},
				{ID: pay.FBatch, Val: "000001"}, {ID: pay.FSenderTime, Val: now.Format("150405")}}
			if link != "pos" && req.Op == pay.Pay {
				req.More = append(req.More, pay.Field{ID: pay.FPAN, Val: "6225000000000014"}, pay.Field{ID: pay.FEntryMode, Val: "021"})
			}
			return
		}
		req.Ref.Serial, req.Day = fmt.Sprintf("%s%03d%08d", prefixes[link], worker+1, serial), pay.DayOf(now)
		req.More = []pay.Field{{ID: pay.FSenderTime, Val: now.Format("150405")}, {ID: pay.FBranch, Val: "512001"}, {ID: pay.FOperator, Val: "KIOSK001"}}
	}
}

// key names a payment from the bank's side.
func key(link, terminal, serial string) string { return link + "/" + terminal + "/" + serial }

// player is one connection: it pays for one customer after another, repeats
// each message until the answer is final, and sometimes takes a payment back.
type player struct {
	bank      *bank
	link      *load.Link
	worker    int
	r         *rand.Rand
	customers []mis.Customer
	serial    uint64
	client    load.Client
	signedOn  bool
	aside     []task
	heard     string // the last answer, for the log
}

func (b *bank) player(i int, seed uint64, customers []mis.Customer) *player {
	return &player{bank: b, link: &b.links[i%len(b.links)], worker: i / len(b.links), r: rand.New(rand.NewPCG(seed, uint64(i)+10)), customers: customers}
}

// task is a message that is not answered finally yet; it reports whether it is.
type task func(ctx context.Context, tries int) bool

// A message is asked for so often before it is set aside for a while, and no
// more than so many are.
const (
	patient  = 20
	maxAside = 40
)

// play begins payments until work ends; what was begun is asked for until all
// ends.
func (p *player) play(work, all context.Context) {
	for work.Err() == nil && len(p.customers) > 0 {
		if n := len(p.aside); n > 0 && (n >= maxAside || p.r.IntN(4) == 0) {
			next := p.aside[0]
			p.aside = p.aside[1:]
			p.try(all, next)
			continue
		}
		c := p.customers[0]
		p.customers = p.customers[1:]
		p.try(all, p.pay(p.sale(c)))
	}
	for len(p.aside) > 0 && all.Err() == nil {
		next := p.aside[0]
		p.aside = p.aside[1:]
		p.try(all, next)
	}
	if len(p.aside) > 0 {
		p.bank.tale.wait("%s: %d messages without a final answer, the last %s", p.link.ID, len(p.aside), p.heard)
	}
	if p.client != nil {
		_ = p.client.Close() // nothing is under way
	}
}

func (p *player) try(ctx context.Context, t task) {
	if !t(ctx, patient) {
		p.aside = append(p.aside, t)
	}
}

// sale is a payment of all that a customer owes; at the kiosk it is energy for a
// meter card every second time, at the bank's host more than is owed every fourth.
func (p *player) sale(c mis.Customer) *pay.Request {
	op := pay.Pay
	switch {
	case p.link.ID == "kiosk" && p.r.IntN(2) == 0:
		op = pay.CardPay
	case p.link.ID == "fixed" && p.r.IntN(4) == 0:
		op = pay.Advance
	}
	req := p.request(op)
	req.Account, req.Bills = c.Account, c.Bills
	for _, b := range c.Bills {
		req.Amount += b.Amount
	}
	if op == pay.Advance {
		req.Bills, req.Amount = nil, req.Amount+ahead
	}
	if op == pay.CardPay {
		req.Bills, req.More = nil, append(req.More, pay.Field{ID: pay.FPurchaseCount, Val: "0"})
	}
	return req
}

// ahead is how much more than is owed is paid in advance.
const ahead = 1000

// pay makes the task of one payment, and of what follows when it is approved:
// a repeat, a reversal, or nothing.
func (p *player) pay(req *pay.Request) task {
	k := key(p.link.ID, pay.Find(req.More, pay.FTerminal), req.Ref.Serial)
	p.bank.tale.tell(k, func(f *fate) { f.link, f.amount = p.link.ID, req.Amount })
	return func(ctx context.Context, tries int) bool {
		rep, ok := p.final(ctx, req, tries)
		if !ok {
			return false
		}
		day, _ := pay.ParseDay(pay.Find(rep.More, pay.FDay))
		p.bank.tale.tell(k, func(f *fate) {
			f.paid, f.declined, f.day = rep.Verdict == pay.Approved, rep.Verdict == pay.Declined, day
		})
		if rep.Verdict != pay.Approved {
			return true
		}
		switch n := p.r.IntN(4); {
		case n == 0:
			p.try(ctx, p.again(k, req, rep))
		case n == 3 && cards(p.link.ID):
			p.try(ctx, p.giveBack(k, req))
		case n == 1 && req.Op == pay.CardPay:
			p.try(ctx, p.write(k, req))
		case n < 3:
			p.try(ctx, p.undo(k, p.reversal(req)))
		}
		return true
	}
}

func (p *player) again(k string, req *pay.Request, first pay.Reply) task {
	return func(ctx context.Context, tries int) bool {
		rep, ok := p.final(ctx, req, tries)
		if ok && (rep.Verdict != pay.Approved || rep.Serial != first.Serial) {
			p.bank.tale.contradict("%s: first approved as %s, then %s/%s as %s", k, first.Serial, rep.Verdict, rep.Code, rep.Serial)
		}
		return ok
	}
}

func (p *player) undo(k string, req *pay.Request) task {
	return func(ctx context.Context, tries int) bool {
		rep, ok := p.final(ctx, req, tries)
		if ok && rep.Verdict == pay.Approved {
			p.bank.tale.tell(k, func(f *fate) { f.reversed = true })
		}
		return ok
	}
}

// cards reports whether a link is one of card readers, which know 撤销 and 退货.
func cards(link string) bool { return link == "kiosk-pos" || link == "public" }

// giveBack makes the task of a 撤销, or of a 退货 of all or half of a sale.
func (p *player) giveBack(k string, sale *pay.Request) task {
	op, amount := pay.Cancel, sale.Amount
	if p.r.IntN(2) == 0 {
		op, amount = pay.Refund, sale.Amount/pay.Amount(1+p.r.IntN(2))
	}
	req := p.request(op)
	req.Account, req.Amount, req.Original = sale.Account, amount, &pay.Ref{Serial: sale.Ref.Serial}
	req.More = append(req.More, pay.Field{ID: pay.FOriginalBatch, Val: "000001"})
	return func(ctx context.Context, tries int) bool {
		rep, ok := p.final(ctx, req, tries)
		if ok && rep.Verdict == pay.Approved {
			p.bank.tale.tell(k, func(f *fate) { f.given, f.reversed = amount, amount == sale.Amount })
		}
		return ok
	}
}

func (p *player) request(op pay.Op) *pay.Request {
	p.serial++
	req := &pay.Request{Op: op}
	p.link.Style(p.worker, p.serial, req)
	return req
}

func (p *player) reversal(sale *pay.Request) *pay.Request {
	req := p.request(pay.Reverse)
	req.Account, req.Amount = sale.Account, sale.Amount
	req.Original = &pay.Ref{Serial: sale.Ref.Serial}
	req.More = append(req.More, pay.Field{ID: pay.FOriginalDate, Val: sale.Day.String()})
	if pay.Find(req.More, pay.FTerminal) != "" { // a terminal repeats the trace number of its sale
		req.Ref.Serial = sale.Ref.Serial
	}
	return req
}

// oneTry is how long an answer is waited for; between two tries the daemon may
// be down.
const (
	oneTry  = 5 * time.Second
	between = 10 * time.Millisecond
)

// final repeats a message until its answer is final; false when it is not.
func (p *player) final(ctx context.Context, req *pay.Request, tries int) (pay.Reply, bool) {
	for ; ctx.Err() == nil && tries > 0; tries-- {
		if !p.signedOn && !p.link.NoSignOn { // work keys die with the daemon
			rep, err := p.do(ctx, p.request(pay.SignOn))
			p.signedOn = err == nil && rep.Verdict == pay.Approved
			if !p.signedOn {
				pause(ctx, between)
				continue
			}
		}
		rep, err := p.do(ctx, req)
		p.heard = fmt.Sprintf("%s %s: %s/%s %v", req.Op, req.Ref.Serial, rep.Verdict, rep.Code, err)
		switch {
		case err != nil:
			p.signedOn = false
		case rep.Code == pay.CodeSignOn:
			p.signedOn = false
			continue
		case rep.Verdict != pay.Unknown:
			p.bank.tale.final()
			return rep, true
		}
		pause(ctx, between)
	}
	return pay.Reply{}, false
}

func (p *player) do(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	if p.client == nil {
		c, err := p.link.Open(p.worker)
		if err != nil {
			return pay.Reply{}, err
		}
		p.client = c
	}
	ctx, cancel := context.WithTimeout(ctx, oneTry)
	defer cancel()
	return p.client.Do(ctx, req, peer.Sound)
}
