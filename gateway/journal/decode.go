package journal

import (
	"encoding/binary"
	"errors"
	"time"

	"qianzhi/gateway/pay"
)

var errContent = errors.New("content of the row is not readable")

// decoder reads what the append functions wrote. Its texts are slices of one
// string. After the first fault everything it returns is zero.
type decoder struct {
	s   string
	loc *time.Location
	bad bool
}

func (d *decoder) take(n uint64) string {
	if n > uint64(len(d.s)) {
		d.bad, d.s = true, ""
		return ""
	}
	t := d.s[:n]
	d.s = d.s[n:]
	return t
}

func (d *decoder) byte() byte {
	if t := d.take(1); t != "" {
		return t[0]
	}
	return 0
}

func (d *decoder) flag() bool { return d.byte() == 1 }

func (d *decoder) uint() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b := d.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	d.bad = true
	return 0
}

func (d *decoder) int() int64 {
	u := d.uint()
	v := int64(u >> 1)
	if u&1 != 0 {
		return ^v
	}
	return v
}

func (d *decoder) text() string { return d.take(d.uint()) }

// list reads the length of a list of which each element takes a byte or more.
func (d *decoder) list() int {
	n := d.uint()
	if n > uint64(len(d.s)) {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *decoder) time() time.Time {
	if !d.flag() {
		return time.Time{}
	}
	t := d.take(8)
	if t == "" {
		return time.Time{}
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64([]byte(t)))).In(d.loc)
}

func (d *decoder) digest() (sum [32]byte) {
	copy(sum[:], d.take(uint64(len(sum))))
	return sum
}

func (d *decoder) ref() pay.Ref {
	r := pay.Ref{Institution: d.text()}
	r.Kind = pay.Kind(d.byte())
	r.Scope = d.text()
	r.Serial = d.text()
	return r
}

func (d *decoder) request() *pay.Request {
	r := &pay.Request{Ref: d.ref()}
	r.Day = pay.Day(d.uint())
	r.Op = pay.Op(d.byte())
	r.Biller = d.text()
	r.Account = d.text()
	r.Amount = pay.Amount(d.int())
	if n := d.list(); n > 0 {
		r.Bills = make([]pay.Bill, n)
		for i := range r.Bills {
			b := &r.Bills[i]
			b.ID, b.Month = d.text(), d.text()
			b.Amount, b.Principal, b.Penalty = pay.Amount(d.int()), pay.Amount(d.int()), pay.Amount(d.int())
		}
	}
	if d.flag() {
		ref := d.ref()
		r.Original = &ref
	}
	if n := d.list(); n > 0 {
		r.More = make([]pay.Field, n)
		for i := range r.More {
			r.More[i].ID = pay.FieldID(d.uint())
			r.More[i].Val = d.text()
		}
	}
	if d.flag() {
		r.Via = d.via()
	}
	return r
}

func (d *decoder) via() *pay.Via {
	v := &pay.Via{Link: d.text(), Peer: d.text()}
	v.At = d.time()
	v.Funds = pay.Funds(d.byte())
	v.Raw = []byte(d.text())
	v.Digest = d.digest()
	v.Replayed = d.flag()
	v.Refuse = pay.Code(d.byte())
	return v
}

// layout reports whether the content is of a layout that is known.
func (d *decoder) layout() bool {
	d.bad = d.byte() != layout || d.bad
	return !d.bad
}

// done returns the verdict on all that was read. Bytes left over are a fault.
func (d *decoder) done() error {
	if d.bad || d.s != "" {
		return errContent
	}
	return nil
}

func (d *decoder) entry() (pay.Entry, error) {
	if !d.layout() {
		return pay.Entry{}, errContent
	}
	e := pay.Entry{State: pay.State(d.byte())}
	if n := d.list(); n > 0 {
		e.Legs = make([]pay.Leg, n)
		for i := range e.Legs {
			e.Legs[i] = pay.Leg{Kind: pay.LegKind(d.byte()), State: pay.LegState(d.byte()), Code: pay.Code(d.byte()), Host: d.text()}
		}
	}
	e.At, e.Changed, e.Marked, e.Due = d.time(), d.time(), d.time(), d.time()
	e.Code = pay.Code(d.byte())
	e.Attempt = uint16(d.uint())
	e.Wanted = d.flag()
	e.Original = pay.ID{Day: pay.Day(d.uint()), Row: d.uint()}
	e.Child = d.text()
	e.Note = d.text()
	e.Req = d.request()
	return e, d.done()
}

func (d *decoder) event() (pay.Event, error) {
	if !d.layout() {
		return pay.Event{}, errContent
	}
	ev := pay.Event{State: pay.State(d.byte()), Leg: d.byte(), LegIs: pay.LegState(d.byte()), Code: pay.Code(d.byte())}
	ev.Attempt = uint16(d.uint())
	ev.Due = d.time()
	ev.Host = d.text()
	ev.Note = d.text()
	return ev, d.done()
}

func (d *decoder) note() (pay.Note, error) {
	if !d.layout() {
		return pay.Note{}, errContent
	}
	n := pay.Note{Op: pay.Op(d.byte()), Code: pay.Code(d.byte())}
	n.Link, n.Peer = d.text(), d.text()
	n.Count, n.Length = uint32(d.uint()), uint32(d.uint())
	n.Digest = d.digest()
	n.Head = []byte(d.text())
	n.Text = d.text()
	if d.flag() {
		n.Req = d.request()
	}
	return n, d.done()
}
