package journal

import (
	"encoding/binary"
	"time"

	"qianzhi/gateway/pay"
)

// The layouts of row contents. The numbers of operations, codes, states, kinds
// and fields are stored as they are, so their lists in package pay may grow
// only at the end; a test holds them.
const layout = 1

func appendUint(dst []byte, v uint64) []byte { return binary.AppendUvarint(dst, v) }

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendFlag(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// appendTime keeps the zero time apart from 1970.
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, 0)
	}
	return binary.BigEndian.AppendUint64(append(dst, 1), uint64(t.UnixNano()))
}

func appendRef(dst []byte, r pay.Ref) []byte {
	dst = appendText(dst, r.Institution)
	dst = append(dst, byte(r.Kind))
	dst = appendText(dst, r.Scope)
	return appendText(dst, r.Serial)
}

func appendRequest(dst []byte, r *pay.Request) []byte {
	dst = appendRef(dst, r.Ref)
	dst = appendUint(dst, uint64(r.Day))
	dst = append(dst, byte(r.Op))
	dst = appendText(dst, r.Biller)
	dst = appendText(dst, r.Account)
	dst = binary.AppendVarint(dst, int64(r.Amount))
	dst = appendUint(dst, uint64(len(r.Bills)))
	for i := range r.Bills {
		b := &r.Bills[i]
		dst = appendText(appendText(dst, b.ID), b.Month)
		for _, a := range [...]pay.Amount{b.Amount, b.Principal, b.Penalty} {
			dst = binary.AppendVarint(dst, int64(a))
		}
	}
	dst = appendFlag(dst, r.Original != nil)
	if r.Original != nil {
		dst = appendRef(dst, *r.Original)
	}
	dst = appendUint(dst, uint64(kept(r.More)))
	for _, f := range r.More {
		if f.ID.Info().Mask != pay.Never {
			dst = appendText(appendUint(dst, uint64(f.ID)), f.Val)
		}
	}
	dst = appendFlag(dst, r.Via != nil)
	if r.Via != nil {
		dst = appendVia(dst, r.Via)
	}
	return dst
}

// kept counts the values that are stored: tracks, PIN and the like pass through
// memory on their way to a bank and are never written down.
func kept(more []pay.Field) int {
	n := 0
	for _, f := range more {
		if f.ID.Info().Mask != pay.Never {
			n++
		}
	}
	return n
}

func appendVia(dst []byte, v *pay.Via) []byte {
	dst = appendText(appendText(dst, v.Link), v.Peer)
	dst = appendTime(dst, v.At)
	dst = append(dst, byte(v.Funds))
	dst = append(appendUint(dst, uint64(len(v.Raw))), v.Raw...)
	dst = append(dst, v.Digest[:]...)
	dst = appendFlag(dst, v.Replayed)
	return append(dst, byte(v.Refuse))
}

// appendEntry writes a whole payment: the content of received, reversal and
// carried rows.
func appendEntry(dst []byte, e *pay.Entry) []byte {
	dst = append(dst, layout, byte(e.State))
	dst = appendUint(dst, uint64(len(e.Legs)))
	for i := range e.Legs {
		l := &e.Legs[i]
		dst = appendText(append(dst, byte(l.Kind), byte(l.State), byte(l.Code)), l.Host)
	}
	for _, t := range [...]time.Time{e.At, e.Changed, e.Marked, e.Due} {
		dst = appendTime(dst, t)
	}
	dst = append(dst, byte(e.Code))
	dst = appendUint(dst, uint64(e.Attempt))
	dst = appendFlag(dst, e.Wanted)
	dst = appendUint(appendUint(dst, uint64(e.Original.Day)), e.Original.Row)
	dst = appendText(appendText(dst, e.Child), e.Note)
	return appendRequest(dst, e.Req)
}

// appendEvent writes what one event changed.
func appendEvent(dst []byte, ev *pay.Event) []byte {
	dst = append(dst, layout, byte(ev.State), ev.Leg, byte(ev.LegIs), byte(ev.Code))
	dst = appendUint(dst, uint64(ev.Attempt))
	dst = appendTime(dst, ev.Due)
	return appendText(appendText(dst, ev.Host), ev.Note)
}

// appendNote writes a row that belongs to no payment.
func appendNote(dst []byte, n *pay.Note) []byte {
	dst = append(dst, layout, byte(n.Op), byte(n.Code))
	dst = appendText(appendText(dst, n.Link), n.Peer)
	dst = appendUint(appendUint(dst, uint64(n.Count)), uint64(n.Length))
	dst = append(dst, n.Digest[:]...)
	dst = appendText(dst, string(n.Head[:min(len(n.Head), maxHead)]))
	dst = appendText(dst, n.Text)
	dst = appendFlag(dst, n.Req != nil)
	if n.Req != nil {
		dst = appendRequest(dst, n.Req)
	}
	return dst
}

// maxHead is how much of a rejected frame is kept, in bytes.
const maxHead = 16
