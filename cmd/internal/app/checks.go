package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"qianzhi/gateway"
	"qianzhi/gateway/access"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/statement"
)

// CheckOptions is how 对总账 and 对明细账 (op check-totals and check-file) of a bank
// or a utility are answered over a link. The day is the message's day, or else
// its sender_date.
type CheckOptions struct {
	Of   []string `yaml:"of"`   // links whose payments are meant; empty: those of the channel that the link is in
	Host string   `yaml:"host"` // only what went to this host, where a utility asks; empty: all
	Spec string   `yaml:"spec"` // statement specification of the lines; empty: 对总账 only
	Page int      `yaml:"page"` // lines of an answer; 200 by default
	Dir  string   `yaml:"dir"`  // instead of lines the answer names a file, which is made here: under node.data, or absolute
	Key  string   `yaml:"key"`  // SM2 key that signs the file, where the specification has a signature
}

// on reports whether the link has such answers.
func (o *CheckOptions) on() bool { return len(o.Of) > 0 || o.Host != "" || o.Spec != "" }

// maxPage bounds the lines of one answer.
const maxPage = 10_000

// checking checks how links answer 对总账 and 对明细账.
func (p *Plan) checking() error {
	for i, d := range p.links {
		if err := p.checks(d); err != nil {
			return p.wrong(fmt.Errorf("checks: %w", err), "links", i)
		}
	}
	return nil
}

func (p *Plan) checks(d *door) error {
	o := &d.opts.Checks
	if !o.on() {
		return nil
	}
	ops, err := d.link.Ops()
	if err != nil {
		return err
	}
	if o.Page == 0 {
		o.Page = 200
	}
	if len(o.Of) == 0 {
		o.Of = p.beside(d.opts.ID)
	}
	for _, l := range o.Of {
		if !p.linked(l) {
			return fmt.Errorf("of: unknown link %q", l)
		}
	}
	switch {
	case !slices.Contains(ops, pay.CheckTotals) && !slices.Contains(ops, pay.CheckFile):
		return fmt.Errorf("%s allows neither %s nor %s", d.opts.File, pay.CheckTotals, pay.CheckFile)
	case len(o.Of) == 0:
		return errors.New("of: the link is in no channel; name the links whose payments are meant")
	case o.Host != "" && p.hosts[o.Host] == nil:
		return fmt.Errorf("host: no host %q", o.Host)
	case o.Spec == "" && slices.Contains(ops, pay.CheckFile):
		return fmt.Errorf("spec: %s allows %s, whose lines need a specification", d.opts.File, pay.CheckFile)
	case o.Page < 1 || o.Page > maxPage:
		return fmt.Errorf("page: want 1 to %d lines", maxPage)
	case o.Spec == "":
		return nil
	case o.Dir != "":
		return p.delivery(Delivery{Spec: o.Spec, Dir: o.Dir, Key: o.Key})
	}
	return p.paged(o.Spec)
}

// paged checks that the lines of a specification can stand in answers.
func (p *Plan) paged(file string) error {
	if err := p.statement(file); err != nil {
		return fmt.Errorf("spec: %w", err)
	}
	s := p.specs[file]
	if _, err := s.Write(20260101, nil); err != nil {
		return fmt.Errorf("spec: a day without payments: %w", err)
	}
	if _, err := s.Pages(nil, 1); errors.Is(err, statement.ErrPages) {
		return fmt.Errorf("spec: %w", err)
	}
	return nil
}

// beside are the links of the channel that a link is in.
func (p *Plan) beside(link string) []string {
	for _, ch := range p.Config.Reconcile.Channels {
		if slices.Contains(ch.Links, link) {
			return ch.Links
		}
	}
	return nil
}

// What a 对总账 is answered with.
const (
	flat   = "1" // 平
	uneven = "2" // 不平
)

// asked answers 对总账 and 对明细账 over one link from the journal of a closed day;
// everything else goes on to the next handler.
type asked struct {
	next  gateway.Handler
	a     *App
	link  string
	o     *CheckOptions
	spec  *statement.Spec
	turn  chan struct{} // one reading of a day at a time
	mu    sync.Mutex
	ready listing // of the last day that was asked for
}

// listing is a day's list, ready to be sent.
type listing struct {
	day    pay.Day
	freeze uint64
	count  int64 // lines that count
	sum    pay.Amount
	pages  []string
	file   string
}

// asked is what answers over a link.
func (a *App) asked(d *door) gateway.Handler {
	if !d.opts.Checks.on() {
		return a.engine
	}
	return &asked{next: a.engine, a: a, link: d.opts.ID, o: &d.opts.Checks, spec: a.plan.specs[d.opts.Checks.Spec], turn: make(chan struct{}, 1)}
}

// Do answers one message.
func (c *asked) Do(ctx context.Context, req *pay.Request) pay.Reply {
	answer := c.totals
	switch {
	case req.Op == pay.CheckTotals:
	case req.Op == pay.CheckFile && c.spec != nil:
		answer = c.details
	default:
		return c.next.Do(ctx, req)
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return pay.Answer(pay.Unknown, pay.CodeBusy)
	}
	rep, said, err := answer(ctx, req)
	if err == nil {
		err = c.record(ctx, req, &rep, said)
	}
	if err != nil {
		c.a.log.Error("对账 not answered", "event", "QZ145", "link", c.link, "op", req.Op.String(), "err", err)
		return pay.Answer(pay.Unknown, pay.CodeBusy)
	}
	return rep
}

// record makes the answer durable before it leaves: the message as any that
// moves no money, and what was said as an act.
func (c *asked) record(ctx context.Context, req *pay.Request, rep *pay.Reply, said string) error {
	note := pay.Note{Kind: pay.EvQuery, Link: c.link, Peer: req.Via.Peer, Op: req.Op, Code: rep.Code, Req: req, Text: said}
	err := c.a.journal.Note(context.WithoutCancel(ctx), &note, said == "")
	if err != nil || said == "" {
		return err
	}
	day := "-"
	if d := dayAsked(req); d != 0 {
		day = d.String()
	}
	return trail{c.a.journal}.Record(context.WithoutCancel(ctx), access.Act{By: c.link, Door: "link", What: req.Op.Chinese(), On: day, Reason: said})
}

// dayAsked is the day that a message is about.
func dayAsked(req *pay.Request) pay.Day {
	if v := pay.Find(req.More, pay.FDay); v != "" {
		d, err := pay.ParseDay(v)
		if err != nil {
			return 0
		}
		return d
	}
	return req.Day
}

// closed says why nothing can be said of the day yet, CodeOK when it can.
func (c *asked) closed(day pay.Day) pay.Code {
	switch {
	case day == 0:
		return pay.CodeFormat
	case day >= c.a.journal.Day():
		return pay.CodeNotCut
	case !c.a.journal.Has(day):
		return pay.CodeExpired
	}
	return pay.CodeOK
}

func (c *asked) scope() scope {
	s := scope{links: ofLinks(c.o.Of)}
	if c.o.Host != "" {
		s.hosts = []string{c.o.Host}
	}
	return s
}

// totals compares what the sender claims of a day with the journal.
func (c *asked) totals(ctx context.Context, req *pay.Request) (pay.Reply, string, error) {
	day := dayAsked(req)
	claim, err := claimed(req.Amount, req.More)
	if err != nil {
		return pay.Answer(pay.Declined, pay.CodeFormat), "总账不完整", nil
	}
	if code := c.closed(day); code != pay.CodeOK {
		return pay.Answer(pay.Declined, code), "对方 " + claim.String() + ": " + code.Chinese(), nil
	}
	freeze, err := c.a.journal.Freeze(ctx, day)
	if err != nil {
		return pay.Reply{}, "", err
	}
	ours, open, err := c.a.total(ctx, day, freeze, c.scope())
	if err != nil {
		return pay.Reply{}, "", err
	}
	ours.gross = claim.gross
	result, word := flat, "平"
	if !ours.equal(claim) || open > 0 {
		result, word = uneven, "不平"
		c.a.log.Warn("对总账 does not balance", "event", "QZ146", "link", c.link, "day", day.String(), "claimed", claim.String(), "ours", ours.String(), "open", open)
	}
	rep := pay.Answer(pay.Approved, pay.CodeOK)
	_, rep.Amount = ours.net()
	rep.More = append([]pay.Field{{ID: pay.FBalanced, Val: result}, {ID: pay.FDay, Val: day.String()}}, ours.fields()...)
	return rep, fmt.Sprintf("对方 %s, 我方 %s, 未决 %d 笔: %s", claim, ours, open, word), nil
}

// details answers with a page of a day's lines, or with the name of a file.
// Every answer claims the whole, so that a list that changed shows.
func (c *asked) details(ctx context.Context, req *pay.Request) (pay.Reply, string, error) {
	day, page := dayAsked(req), 1
	if v := pay.Find(req.More, pay.FPage); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return pay.Answer(pay.Declined, pay.CodeFormat), "页号错误", nil
		}
		page = n
	}
	if code := c.closed(day); code != pay.CodeOK {
		return pay.Answer(pay.Declined, code), code.Chinese(), nil
	}
	l, err := c.listing(ctx, day, page == 1)
	if err != nil {
		return pay.Reply{}, "", err
	}
	if page > max(1, len(l.pages)) {
		return pay.Answer(pay.Declined, pay.CodeFormat), fmt.Sprintf("没有第 %d 页", page), nil
	}
	rep := pay.Answer(pay.Approved, pay.CodeOK)
	rep.Amount = l.sum
	rep.More = []pay.Field{{ID: pay.FDay, Val: day.String()}, {ID: pay.FCreditCount, Val: strconv.FormatInt(l.count, 10)},
		{ID: pay.FCreditSum, Val: strconv.FormatInt(int64(l.sum), 10)}, {ID: pay.FPages, Val: strconv.Itoa(len(l.pages))}}
	said := ""
	switch {
	case l.file != "":
		rep.More = append(rep.More, pay.Field{ID: pay.FFile, Val: l.file})
		said = fmt.Sprintf("文件 %s: %d 笔 %s 元", l.file, l.count, l.sum.Yuan())
	case page == 1:
		said = fmt.Sprintf("%d 笔 %s 元, %d 页", l.count, l.sum.Yuan(), len(l.pages))
	}
	if len(l.pages) > 0 {
		rep.More = append(rep.More, pay.Field{ID: pay.FDetails, Val: l.pages[page-1]})
	}
	return rep, said, nil
}

// listing makes the list of a day, or takes the one that is ready. Who asks for
// the first page hears the journal as it is now; the other pages are of the
// same list.
func (c *asked) listing(ctx context.Context, day pay.Day, first bool) (listing, error) {
	c.mu.Lock()
	l := c.ready
	c.mu.Unlock()
	if l.day == day && !first {
		return l, nil
	}
	freeze, err := c.a.journal.Freeze(ctx, day)
	if err != nil || l.day == day && l.freeze == freeze {
		return l, err
	}
	if l, err = c.list(ctx, day, freeze); err != nil {
		return l, err
	}
	c.mu.Lock()
	c.ready = l
	c.mu.Unlock()
	return l, nil
}

// list writes the lines of a day and adds up those that count.
func (c *asked) list(ctx context.Context, day pay.Day, freeze uint64) (listing, error) {
	l := listing{day: day, freeze: freeze}
	write := func() ([]byte, error) { return c.a.listed(ctx, c.spec, c.keys(), day, freeze, c.scope()) }
	var b []byte
	var err error
	if c.o.Dir != "" {
		var name string
		if name, err = c.a.deliverFile(Delivery{Spec: c.o.Spec, Dir: c.o.Dir, Key: c.o.Key}, day, c.link, write); err == nil {
			b, err = c.made(name, day, write)
		}
		l.file = filepath.Base(name)
	} else if b, err = write(); err == nil {
		l.pages, err = c.spec.Pages(b, c.o.Page)
	}
	if err != nil {
		return l, err
	}
	lines, err := c.spec.Read(b, day, reconcile.Bank)
	for i := range lines {
		if lines[i].Effect != reconcile.Charged {
			continue
		}
		l.count++
		if l.sum += lines[i].Amount; lines[i].Out {
			l.sum -= 2 * lines[i].Amount
		}
	}
	return l, err
}

// made reads the file that an answer names. It is never changed, so what was
// decided after it was made is said in the log.
func (c *asked) made(name string, day pay.Day, write func() ([]byte, error)) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	now, err := write()
	if err == nil && !bytes.Equal(b, now) {
		c.a.log.Warn("the journal has moved on since our check file, which is not changed", "event", "QZ142", "day", day.String(), "link", c.link, "file", name)
	}
	return b, err
}

// keys are the fields of a line's key: the specification's own, or those of the
// bank's check file.
func (c *asked) keys() []pay.FieldID {
	if keys := c.spec.Keys(); len(keys) > 0 {
		return keys
	}
	for _, ch := range c.a.plan.Config.Reconcile.Channels {
		if bank := c.a.plan.specs[ch.Bank]; bank != nil && slices.Contains(ch.Links, c.o.Of[0]) {
			return bank.Keys()
		}
	}
	return nil
}
