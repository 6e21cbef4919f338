package demo

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"qianzhi/adapters/mis"
	"qianzhi/cmd/internal/keyfile"
	"qianzhi/cmd/internal/peer"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
)

// What the demo adds to the shipped configuration: the doors of kiosks, a card
// centre and a card-meter system, and the routes that make products of them.
const (
	moreLinks = `  - id: kiosk
    file: links/kiosk-cash.yaml
    listen: KIOSK
  - id: kiosk-pos
    file: links/kiosk-pos.yaml
    listen: CARDS
    keys: {master: terminal-master}
  - id: public
    file: links/kiosk-pos.yaml
    listen: PUBLIC
    keys: {master: terminal-master}

`
	moreHosts = `  - id: posp
    file: links/posp.yaml
    dial: POSP
    keys: {master: posp-master}
    terminals:
      - {terminal: "60129001", merchant: "301051249000009"}
      - {terminal: "60129002", merchant: "301051249000009"}
      - {terminal: "60129003", merchant: "301051249000009"}
    connections: 1
    queue: 256
    connect: 3s
    timeout: 1s
    late_window: 3s
    backoff: 100ms
    ceiling: 1s
    status: none      # a card centre answers no query of an outcome
    dedupe: "yes"
    undo_tells: "yes"
    undo_marks: "yes"
    undo_days: 0
    refund_days: 30
  - id: meter
    file: links/card-meter.yaml
    dial: METER
    connections: 1
    queue: 256
    connect: 3s
    timeout: 1s
    late_window: 3s
    backoff: 100ms
    ceiling: 1s
    status: by-serial
    dedupe: "yes"
    undo_tells: "yes"
    undo_marks: "yes"
    undo_days: 0

`
	moreRoutes = `  - id: kiosk-pos
    links: [kiosk-pos]
    legs:
      - {leg: charge, host: posp}
      - {leg: post, host: mis}
    in_flight: 64
  - id: public
    links: [public]
    legs:
      - {leg: charge, host: posp}
    ask: mis
    in_flight: 64
  - id: card-meter
    links: [kiosk]
    ops: [card-pay]
    legs:
      - {leg: card, host: meter}
      - {leg: post, host: mis}
    in_flight: 64

`
)

// addProducts puts the demo's doors, hosts and routes into a configuration.
func (h *home) addProducts(text string) (string, error) {
	channels := moreChannels
	if !h.products { // nothing is sold, and nobody sends a list
		channels = ""
	}
	for _, add := range [][2]string{{"# The counterparties and what they promised.", moreLinks}, {"# The marketing MIS that", moreHosts}, {"# Payments in doubt.", moreRoutes}, {"# Who is told how the night goes.", channels},
		{"  - {name: mis-session,", "  - {name: posp-master, sm4: keys/posp-master.sm4}\n"}} {
		at := strings.Index(text, add[0])
		if at < 0 {
			return "", fmt.Errorf("shipped configuration has no %q", add[0])
		}
		text = text[:at] + add[1] + text[at:]
	}
	for name, id := range map[string]string{"KIOSK": "kiosk", "CARDS": "kiosk-pos", "PUBLIC": "public", "POSP": "posp", "METER": "meter"} {
		text = strings.Replace(text, ": "+name+"\n", ": "+h.ports[id]+"\n", 1)
	}
	return text, nil
}

// roles are the customers of the kiosks, each of whom meets something else, and
// those of the debit file.
var roles = append([]string{"card", "charge-lost", "charge-late", "posting-late", "public", "cash", "cash-late", "sale-lost", "meter", "soap", "tuxedo", "sql"},
	make([]string, debtors)...)

// playProducts plays every product and every kind of unknown outcome.
func (r *run) playProducts(ctx context.Context) error {
	customers, accounts := map[string]mis.Customer{}, map[string]string{}
	for i, role := range roles {
		c := r.customers[len(r.customers)-len(roles)+i]
		customers[role], accounts[role] = c, c.Account
	}
	customers["paid-before"] = customers["cash"]
	p, err := r.hosts(accounts)
	if err != nil {
		return err
	}
	p.date, p.public = r.day, accounts["public"]
	if err := p.play(ctx, customers); err != nil {
		return err
	}
	if err := p.lists(r.day); err != nil {
		return err
	}
	return r.debit(ctx, r.customers[len(r.customers)-debtors:])
}

// books are what the simulated card centre and card-meter system wrote down.
type books struct {
	mu   sync.Mutex
	net  map[string]int // account: what counts now
	list []peer.Booking
}

func (b *books) add(e peer.Booking) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, e)
	switch e.What {
	case "paid", "again", "sold":
		b.net[e.Account]++
	case "reversed":
		b.net[e.Account]--
	}
}

// all are the bookings so far, in order.
func (b *books) all() []peer.Booking {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.list)
}

func (b *books) of(account string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.net[account]
}

// products are the kiosks' side of the demo and the hosts behind the gateway.
type products struct {
	r            *run
	posp, meter  *books
	kiosk        *peer.Conn
	doors        []*peer.Conn // kiosks whose payments go to the MIS's other doors: SOAP, Tuxedo, SQL
	cards, open  *peer.Conn   // kiosk-pos and public
	kioskD, posD *protocol.Dialect
	serial       int
	date         pay.Day
	public       string // account of the customer who pays at the 公共支付 reader
}

// hosts starts the card centre and the card-meter system. Accounts choose what
// goes wrong there.
func (r *run) hosts(accounts map[string]string) (*products, error) {
	p := &products{r: r, posp: &books{net: map[string]int{}}, meter: &books{net: map[string]int{}}}
	posp, err := peer.ParseScript([]string{"pay,account=" + accounts["charge-lost"] + ":silence", "pay,account=" + accounts["charge-late"] + ":late=2s"})
	if err != nil {
		return nil, err
	}
	meter, err := peer.ParseScript([]string{"card-pay,account=" + accounts["sale-lost"] + ":silence"})
	if err != nil {
		return nil, err
	}
	for _, h := range []struct {
		id, file string
		keys     map[string]string
		handler  peer.Handler
		script   *peer.Script
	}{
		{"posp", "posp.yaml", map[string]string{"master": "posp-master.sm4"}, peer.NewLedger(0, peer.Promises{Dedupe: true, Booked: p.posp.add}), posp},
		{"meter", "card-meter.yaml", nil, peer.NewMeters(peer.Promises{Dedupe: true, Status: true, Booked: p.meter.add}), meter},
	} {
		d, err := r.h.dialect(h.file, h.keys)
		if err != nil {
			return nil, err
		}
		ln, err := net.Listen("tcp", r.h.ports[h.id])
		if err != nil {
			return nil, err
		}
		host := &peer.Host{Dialect: d, Handler: h.handler, Script: h.script, Now: time.Now, Pause: peer.Wait, Note: func(string) {}}
		r.app.Attach("demo "+h.id, func(ctx context.Context) error { return host.Serve(ctx, ln) })
	}
	return p, nil
}

// dialect assembles a link of the demo's folder with keys by role.
func (h *home) dialect(file string, keys map[string]string) (*protocol.Dialect, error) {
	l, err := h.link(file)
	if err != nil {
		return nil, err
	}
	ks := secure.Keys{Ring: secure.Ring{}, Roles: map[string]string{}}
	for role, name := range keys {
		key, err := keyfile.Read(filepath.Join(h.dir, "keys", name))
		if err != nil {
			return nil, err
		}
		ks.Ring[role], ks.Roles[role] = key, role
	}
	return l.Assemble(spec.Parts{Keys: ks, Sessions: secure.NewSessions(100), Now: time.Now})
}

// scene is one payment at a kiosk: what the customer is told at once, and what
// the kiosk hears when it asks later.
type scene struct {
	what    string
	conn    *peer.Conn
	op      pay.Op
	from    string // customer's role
	told    pay.Verdict
	end     pay.Verdict
	charged int // effects at the card centre or card-meter system in the end
	books   *books
	before  func()
	after   func()
}

// play sends the scenes and the card purchase, one after the other.
func (p *products) play(ctx context.Context, customers map[string]mis.Customer) error {
	if err := p.dial(ctx); err != nil {
		return err
	}
	defer func() {
		for _, c := range append(p.doors, p.kiosk, p.cards, p.open) {
			c.Close()
		}
	}()
	hold, release := p.r.proxy.Hold, p.r.proxy.Release
	nothing := func() {}
	for _, s := range []scene{
		{"POS支付", p.cards, pay.Pay, "card", pay.Approved, pay.Approved, 1, p.posp, nothing, nothing},
		{"POS支付, 扣款应答丢失", p.cards, pay.Pay, "charge-lost", pay.Unknown, pay.Declined, 0, p.posp, nothing, nothing},
		{"POS支付, 扣款应答迟到", p.cards, pay.Pay, "charge-late", pay.Unknown, pay.Declined, 0, p.posp, nothing, nothing},
		{"POS支付, 销账应答丢失", p.cards, pay.Pay, "posting-late", pay.Unknown, pay.Approved, 1, p.posp, hold, release},
		{"公共支付", p.open, pay.Pay, "public", pay.Approved, pay.Approved, 1, p.posp, nothing, nothing},
		{"现金缴费", p.kiosk, pay.Pay, "cash", pay.Approved, pay.Approved, 0, p.posp, nothing, nothing},
		{"POS支付, 销账被拒后退款", p.cards, pay.Pay, "paid-before", pay.Unknown, pay.Declined, 0, p.posp, nothing, nothing},
		{"现金缴费, 销账应答丢失", p.kiosk, pay.Pay, "cash-late", pay.Unknown, pay.Approved, 0, p.posp, hold, release},
		{"购电, 售电应答丢失", p.kiosk, pay.CardPay, "sale-lost", pay.Unknown, pay.Approved, 1, p.meter, nothing, nothing},
		{"现金缴费, 经营销系统 WebService 门", p.doors[0], pay.Pay, "soap", pay.Approved, pay.Approved, 0, p.posp, nothing, nothing},
		{"现金缴费, 经营销系统 Tuxedo 门", p.doors[1], pay.Pay, "tuxedo", pay.Approved, pay.Approved, 0, p.posp, nothing, nothing},
		{"现金缴费, 经营销系统数据库门", p.doors[2], pay.Pay, "sql", pay.Approved, pay.Approved, 0, p.posp, nothing, nothing},
	} {
		if err := p.act(ctx, s, customers[s.from]); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return p.purchase(ctx, customers["meter"])
}

func (p *products) dial(ctx context.Context) (err error) {
	if p.kioskD, err = p.r.h.dialect("kiosk-cash.yaml", nil); err != nil {
		return err
	}
	if p.posD, err = p.r.h.dialect("kiosk-pos.yaml", map[string]string{"master": "terminal-master.sm4"}); err != nil {
		return err
	}
	p.kiosk, p.cards, p.open = peer.Dial(p.kioskD, p.r.app.Addr("kiosk")), peer.Dial(p.posD, p.r.app.Addr("kiosk-pos")), peer.Dial(p.posD, p.r.app.Addr("public"))
	for _, id := range []string{"kiosk-soap", "kiosk-tuxedo", "kiosk-sql"} {
		p.doors = append(p.doors, peer.Dial(p.kioskD, p.r.app.Addr(id)))
	}
	for i, c := range []*peer.Conn{p.cards, p.open} {
		rep, err := c.Do(ctx, p.request(c, pay.SignOn, i), peer.Sound)
		if err != nil || rep.Verdict != pay.Approved {
			return fmt.Errorf("签到: %s/%s %w", rep.Verdict, rep.Code, err)
		}
	}
	return nil
}

// cash reports whether a connection is a kiosk's and not its card reader's.
func (p *products) cash(c *peer.Conn) bool { return c != p.cards && c != p.open }

// request is a message of a kiosk or of its card reader.
func (p *products) request(c *peer.Conn, op pay.Op, reader int) *pay.Request {
	p.serial++
	req := &pay.Request{Op: op, Ref: pay.Ref{Kind: op.Kind(), Serial: fmt.Sprintf("%06d", p.serial)}, More: []pay.Field{{ID: pay.FSenderTime, Val: time.Now().Format("150405")}}}
	if p.cash(c) {
		req.Day = p.date
		req.More = append(req.More, pay.Field{ID: pay.FTerminal, Val: "K0000001"})
		return req
	}
	req.More = append(req.More, pay.Field{ID: pay.FTerminal, Val: fmt.Sprintf("601280%02d", reader)}, pay.Field{ID: pay.FMerchant, Val: "301051249000008"},
		pay.Field{ID: pay.FBatch, Val: "000001"})
	if op == pay.Pay {
		req.More = append(req.More, pay.Field{ID: pay.FPAN, Val: "6225000000000014"}, pay.Field{ID: pay.FEntryMode, Val: "021"},
			pay.Field{ID: pay.FTrack2, Val: "6225000000000014=29125200000000000000"}, pay.Field{ID: pay.FPIN, Val: "\x12\x34\x56\x78\x9a\xbc\xde\xf0"})
	}
	return req
}

// act plays one scene: it pays, hears what it must hear, and asks until the
// answer is final.
func (p *products) act(ctx context.Context, s scene, c mis.Customer) error {
	req := p.request(s.conn, s.op, map[*peer.Conn]int{p.open: 1}[s.conn])
	req.Account = c.Account
	for _, b := range c.Bills {
		req.Amount += b.Amount
	}
	if p.cash(s.conn) && s.op == pay.Pay {
		req.Bills = c.Bills
	}
	if s.op == pay.CardPay {
		req.More = append(req.More, pay.Field{ID: pay.FPurchaseCount, Val: "0"})
	}
	s.before()
	rep, err := s.conn.Do(ctx, req, peer.Sound)
	s.after()
	if err != nil {
		return err
	}
	if rep.Verdict != s.told {
		p.r.wrong("%s: 当时应答 %s/%s, 应为 %s", s.what, rep.Verdict, rep.Code, s.told)
	}
	last, asked := rep, time.Now()
	err = p.r.until(ctx, 25*time.Second, func() bool {
		if last.Verdict != pay.Unknown || time.Since(asked) < askEvery {
			return last.Verdict != pay.Unknown
		}
		asked = time.Now()
		ask := p.request(s.conn, pay.Status, map[*peer.Conn]int{p.open: 1}[s.conn])
		orig := req.Ref
		ask.Original = &orig
		ask.More = append(ask.More, pay.Field{ID: pay.FOriginalDate, Val: p.date.String()}, pay.Field{ID: pay.FOriginalBatch, Val: "000001"})
		if again, err := s.conn.Do(ctx, ask, peer.Sound); err == nil {
			last = again
		}
		return last.Verdict != pay.Unknown
	})
	if err != nil || last.Verdict != s.end {
		p.r.wrong("%s: 最终应答 %s/%s, 应为 %s", s.what, last.Verdict, last.Code, s.end)
	}
	if n := s.books.of(c.Account); n != s.charged {
		p.r.wrong("%s: 对方账上生效 %d 笔, 应为 %d", s.what, n, s.charged)
	}
	if s.end == pay.Approved && s.conn != p.open {
		p.r.posted += req.Amount
	}
	p.r.say("%s: 当时 %s, 最终 %s", s.what, verdictWords[rep.Verdict], verdictWords[last.Verdict])
	return nil
}

// askEvery is how often a kiosk asks what became of a payment.
const askEvery = 50 * time.Millisecond

var verdictWords = map[pay.Verdict]string{pay.Approved: "成功", pay.Declined: "未缴(款已退回或未扣)", pay.Unknown: "处理中"}

// purchase sells energy for a meter card whose first writing fails: only the
// writing is repeated.
func (p *products) purchase(ctx context.Context, c mis.Customer) error {
	buy := p.request(p.kiosk, pay.CardPay, 0)
	buy.Account, buy.Amount = c.Account, 20000
	buy.More = append(buy.More, pay.Field{ID: pay.FPurchaseCount, Val: "0"})
	rep, err := p.kiosk.Do(ctx, buy, peer.Sound)
	if err != nil {
		return err
	}
	data := pay.Find(rep.More, pay.FCardData)
	if rep.Verdict != pay.Approved || data == "" {
		p.r.wrong("购电: %s/%s, 写卡数据 %q", rep.Verdict, rep.Code, data)
	}
	for _, step := range []struct {
		op     pay.Op
		result string
	}{{pay.CardConfirm, "failed"}, {pay.CardWrite, ""}, {pay.CardConfirm, "ok"}} {
		req := p.request(p.kiosk, step.op, 0)
		orig := buy.Ref
		req.Account, req.Original = c.Account, &orig
		req.More = append(req.More, pay.Field{ID: pay.FOriginalDate, Val: p.date.String()}, pay.Field{ID: pay.FWriteResult, Val: step.result})
		again, err := p.kiosk.Do(ctx, req, peer.Sound)
		if err != nil {
			return err
		}
		if again.Verdict != pay.Approved || step.op == pay.CardWrite && pay.Find(again.More, pay.FCardData) != data {
			p.r.wrong("%s %s: %s/%s", step.op.Chinese(), step.result, again.Verdict, again.Code)
		}
	}
	if n := p.meter.of(c.Account); n != 1 {
		p.r.wrong("购电: 卡表系统售出 %d 笔, 应为 1", n)
	}
	p.r.posted += buy.Amount
	p.r.say("购电: 写卡失败后补写成功, 只售出一次")
	return nil
}
