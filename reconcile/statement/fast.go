package statement

import (
	"bytes"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// straightLine is a fixed line whose parts can be picked from known places: the
// form most banks send. What it does not understand at a glance is left to
// worker.line, which tells the same of every line.
type straightLine struct {
	serial, key, account, terminal, day, time span
	amount                                    span
	status, direction                         int // place of one byte, -1: none
	effects                                   [256]wired
	known, ways                               [256]bool
	out                                       [256]bool
	free                                      []span // texts that are no part of the payment
}

// span is a column's place; empty when there is none.
type span struct{ from, to int }

func (s span) of(row []byte) []byte { return row[s.from:s.to] }

// straightLine makes the plan, or nil where the specification asks for more.
func (t *Table) straightLine() *straightLine {
	l, s := t.spec.prog.line, t.spec
	if t.stride == 0 || len(s.Key) > 1 || len(l.hashed) > 0 || l.by[useLink] > 0 || l.by[useAmount] == 0 || len(l.plain) == 0 {
		return nil
	}
	f := &straightLine{status: -1, direction: -1}
	for _, i := range l.used {
		c := &l.cols[i]
		at := span{c.at, c.at + c.Width}
		if !c.simple || c.part > 0 && c.use != useNone {
			return nil
		}
		switch {
		case c.part > 0 || c.use == useKey:
			f.key = at
		case c.use == useSerial:
			f.serial = at
		case c.use == useAccount:
			f.account = at
		case c.use == useTerminal:
			f.terminal = at
		case c.use == useDay && !c.form.clock():
			f.day = at
		case c.use == useTime && (c.Format == "" || c.Format == "HHMMSS"):
			f.time = at
		case c.use == useAmount:
			f.amount = at
			if c.Sign || c.Unit != "fen" || c.Width > 15 {
				return nil
			}
		case c.use == useStatus && c.Width == 1:
			f.status = c.at
			for i := range t.status {
				if w := t.status[i]; len(w.wire) == 1 && !f.known[w.wire[0]] {
					f.effects[w.wire[0]], f.known[w.wire[0]] = w, true
				}
			}
		case c.use == useDirection && c.Width == 1:
			f.direction = c.at
			for i := range t.direction {
				if w := t.direction[i]; len(w.wire) == 1 && !f.ways[w.wire[0]] {
					f.out[w.wire[0]], f.ways[w.wire[0]] = w.out, true
				}
			}
		case c.use != useHost:
			return nil
		}
	}
	return f.others(l)
}

// others notes the texts that are no part of the payment, and refuses lines with
// further rules.
func (f *straightLine) others(l *layout) *straightLine {
	for _, i := range l.raw {
		if c := &l.cols[i]; !c.inPayment() {
			f.free = append(f.free, span{c.at, c.at + c.Width})
		}
	}
	for _, i := range l.checked {
		if c := &l.cols[i]; c.Const != "" || c.Required || c.use != useAccount && c.use != useTime {
			return nil
		}
	}
	return f
}

// trimmed cuts blanks off.
func trimmed(b []byte) []byte {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}

// fast reads a line by the plan. It reports unsure for a line that has to be
// read the long way.
func (w *worker) fast(f *straightLine, row []byte, s *reconcile.Scan) (wanted, unsure bool) {
	l := w.t.spec.prog.line
	if w.verify {
		if !w.clean(f, l, row) {
			return false, true
		}
	} else if !ascii(f.key.of(row)) || !ascii(f.serial.of(row)) {
		return false, true
	}
	p := &w.print
	if !s.KeyBytes(p, trimmed(f.serial.of(row)), trimmed(f.key.of(row))) && !w.verify {
		return false, false
	}
	if s.Want != nil && !w.verify && !s.Want(w.n, p) {
		return false, false
	}
	amount, ok := number(f.amount.of(row))
	if !ok || f.day.to > 0 && !bytes.Equal(f.day.of(row), w.t.today) {
		return false, true
	}
	p.Amount, p.Out, p.Effect, w.word = pay.Amount(amount), false, w.t.usual, "effective"
	if f.status >= 0 {
		c := row[f.status]
		if !f.known[c] {
			return false, true
		}
		p.Effect, w.word = f.effects[c].effect, f.effects[c].word
	}
	if f.direction >= 0 {
		c := row[f.direction]
		if !f.ways[c] {
			return false, true
		}
		p.Out = f.out[c]
	}
	account := trimmed(f.account.of(row))
	if !w.verify && (!ascii(account) || !ascii(f.terminal.of(row))) {
		return false, true
	}
	if w.verify {
		if t := f.time.of(row); len(account) == 0 && f.account.to > 0 || len(t) > 0 && (len(t) != 6 || !number6(t)) {
			return false, true
		}
		w.add(l, row)
	}
	if p.Effect == reconcile.Absent {
		return false, false
	}
	s.Compared(p, account, trimmed(f.terminal.of(row)), nil, w.t.day)
	return true, false
}

// clean reports whether the texts of the payment are plain, and the others
// characters of the encoding.
func (w *worker) clean(f *straightLine, l *layout, row []byte) bool {
	if !l.plainWords(row) {
		return false
	}
	for _, c := range f.free {
		if badChar(w.t.set, c.of(row)) >= 0 {
			return false
		}
	}
	return true
}
