package journal

import "qianzhi/gateway/pay"

// held is a payment in memory: undecided, or written but not yet durable. It
// is never changed; an event makes a new one.
type held struct {
	entry pay.Entry
	token uint64 // of its key
	log   pay.Day
	row   uint64 // its last row in that log
}

// undecided reports whether somebody still owes the payment a decision. Such
// payments stay in memory, are carried over the cut and block their debt.
func undecided(s pay.State) bool { return s.Open() || s == pay.Susp }

// logTable is the table of one day's log.
type logTable struct {
	day pay.Day
	*table
}

// memory is what decisions are taken on. Its owner locks it.
type memory struct {
	logs  []logTable // ascending; the last one is the running log's
	byID  map[pay.ID]*held
	byRow map[uint64]*held // by last row in the running log
	debts map[string]map[pay.ID]bool

	touched map[pay.Day]uint64 // position of the day's last event, carrying apart
	frozen  map[pay.Day]uint64 // position of the day's last freeze
}

func newMemory() memory {
	return memory{byID: map[pay.ID]*held{}, byRow: map[uint64]*held{}, debts: map[string]map[pay.ID]bool{},
		touched: map[pay.Day]uint64{}, frozen: map[pay.Day]uint64{}}
}

// change is one decision, kept until it is durable so that it can be undone.
type change struct {
	was, is *held
	from    uint64 // the payment's last row in the running log before; 0 for none
	tomb    uint64 // token of the tombstone laid; 0 for none
}

func (m *memory) running() *table { return m.logs[len(m.logs)-1].table }

func (m *memory) apply(c *change) {
	if c.from == 0 {
		m.running().put(c.is.token, c.is.row)
	} else {
		m.running().move(c.is.token, c.from, c.is.row)
	}
	if c.tomb != 0 {
		m.running().put(c.tomb, c.is.row)
	}
	m.set(c.was, c.is)
	m.touched[c.is.entry.ID.Day] = position(c.is.log, c.is.row)
}

// undo takes a change back; later changes must have been undone before.
func (m *memory) undo(c *change) {
	if c.from == 0 {
		m.running().drop(c.is.token, c.is.row)
	} else {
		m.running().move(c.is.token, c.is.row, c.from)
	}
	if c.tomb != 0 {
		m.running().drop(c.tomb, c.is.row)
	}
	m.set(c.is, c.was)
}

// settle forgets a payment that a durable change has decided.
func (m *memory) settle(c *change) {
	if !undecided(c.is.entry.State) && m.byID[c.is.entry.ID] == c.is {
		m.set(c.is, nil)
	}
}

// set replaces what is held of a payment; nil for nothing.
func (m *memory) set(was, is *held) {
	if was != nil {
		delete(m.byRow, was.row)
		m.forget(was, is)
	}
	if is != nil {
		m.byID[is.entry.ID] = is
		m.byRow[is.row] = is
		m.owe(is)
	}
}

func (m *memory) forget(was, is *held) {
	if is != nil {
		return
	}
	id, account := was.entry.ID, was.entry.Req.Account
	delete(m.byID, id)
	if ids := m.debts[account]; ids != nil {
		delete(ids, id)
		if len(ids) == 0 {
			delete(m.debts, account)
		}
	}
}

// owe notes whose debt the payment may block.
func (m *memory) owe(h *held) {
	req := h.entry.Req
	if req.Account == "" || req.Op != pay.Pay && req.Op != pay.CardPay {
		return
	}
	ids := m.debts[req.Account]
	if ids == nil {
		ids = map[pay.ID]bool{}
		m.debts[req.Account] = ids
	}
	ids[h.entry.ID] = true
}

// blocking returns the first undecided payment of the debt of req, nil when
// there is none.
func (m *memory) blocking(req *pay.Request) *held {
	var first *held
	for id := range m.debts[req.Account] {
		h := m.byID[id]
		if undecided(h.entry.State) && sameDebt(h.entry.Req, req) && (first == nil || before(h.entry.ID, first.entry.ID)) {
			first = h
		}
	}
	return first
}

func before(a, b pay.ID) bool { return a.Day < b.Day || a.Day == b.Day && a.Row < b.Row }

// sameDebt reports whether two payments of one account pay the same debt: a
// bill in common, or the same amount where one of them names no bill by its
// id. A missing biller may be any.
func sameDebt(a, b *pay.Request) bool {
	if a.Biller != b.Biller && a.Biller != "" && b.Biller != "" {
		return false
	}
	if !named(a) || !named(b) {
		return a.Amount == b.Amount
	}
	for i := range a.Bills {
		for j := range b.Bills {
			if a.Bills[i].ID != "" && a.Bills[i].ID == b.Bills[j].ID {
				return true
			}
		}
	}
	return false
}

// named reports whether the payment says by id which bills it pays.
func named(r *pay.Request) bool {
	for i := range r.Bills {
		if r.Bills[i].ID != "" {
			return true
		}
	}
	return false
}
