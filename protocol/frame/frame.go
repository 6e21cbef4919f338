package frame

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"

	"qianzhi/protocol"
)

// framer is the compiled form of Options.
type framer struct {
	start, end []byte
	prefix     prefix
	tpdu       int    // bytes: 0 or 5
	route      []byte // TPDU when the frame carries none
	swap       bool
	header     header
	max        int
}

// header is the compiled form of Header.
type header struct {
	size   int
	value  []byte
	length *inner
	swap   *Parties
	lri    bool
}

type inner struct {
	prefix
	at     int
	header bool // counts the sub-header too
}

// Next returns the first whole frame of buf.
func (f *framer) Next(buf []byte) (protocol.Frame, int, error) {
	if len(buf) == 0 {
		return protocol.Frame{}, 0, nil
	}
	n := min(len(buf), len(f.start))
	if !bytes.Equal(buf[:n], f.start[:n]) {
		return protocol.Frame{}, 0, bad(0, "start bytes "+protocol.Hex(f.start, 8), buf)
	}
	if n < len(f.start) {
		return protocol.Frame{}, 0, nil
	}
	at := n + f.prefix.size
	if f.prefix.inside {
		at = n
	}
	if len(buf) < at {
		return protocol.Frame{}, 0, nil
	}
	to, whole, err := f.extent(buf, at)
	if err != nil || !whole {
		return protocol.Frame{}, 0, err
	}
	out, err := f.cut(buf[at:to], at)
	if err != nil {
		return protocol.Frame{}, 0, err
	}
	return out, to + len(f.end), nil
}

// extent finds where the message that begins at at ends, the end bytes not
// included.
func (f *framer) extent(buf []byte, at int) (to int, whole bool, err error) {
	if f.prefix.kind == none {
		return f.search(buf, at)
	}
	var size int
	if !f.prefix.inside {
		size, err = f.measure(buf, at)
	} else if len(buf) >= at+f.prefix.at+f.prefix.size {
		size, err = f.within(buf, at)
	} else {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	to = at + size
	n := min(max(len(buf)-to, 0), len(f.end))
	if n > 0 && !bytes.Equal(buf[to:to+n], f.end[:n]) {
		return 0, false, bad(to, "end bytes "+protocol.Hex(f.end, 8), buf[to:])
	}
	return to, len(buf) >= to+len(f.end), nil
}

// search finds the end of a message without a length: at the end bytes, or at
// the end of the buffer when there are none.
func (f *framer) search(buf []byte, at int) (to int, whole bool, err error) {
	size := len(buf) - at
	if len(f.end) > 0 {
		if i := bytes.Index(buf[at:], f.end); i >= 0 {
			size, whole = i, true
		} else {
			size -= len(f.end) - 1 // a part of the end bytes may be here already
		}
	} else {
		whole = true
	}
	if size > f.max {
		return 0, false, &protocol.Error{Class: protocol.ClassFrame, Offset: 0, Want: fmt.Sprintf("at most %d bytes", f.max),
			Got: fmt.Sprintf("%d", size), Hint: look(buf)}
	}
	return at + size, whole, nil
}

// measure reads the prefix and returns how many bytes follow it, the end bytes
// not included.
func (f *framer) measure(buf []byte, at int) (int, error) {
	raw := buf[at-f.prefix.size : at]
	n, ok := f.prefix.parse(raw)
	if !ok {
		return 0, bad(at-f.prefix.size, "a length of "+f.prefix.String(), buf)
	}
	least := f.prefix.extra(0)
	most := uint64(f.max) + uint64(least)
	if !f.prefix.head {
		most -= uint64(f.tpdu + f.header.size)
	}
	if n > most || n < uint64(least) {
		e := bad(at-f.prefix.size, fmt.Sprintf("a length from %d to %d", least, most), buf)
		e.Got = fmt.Sprintf("%d, bytes %s", n, protocol.Hex(raw, 8))
		return 0, e
	}
	size := int(n) - least
	if !f.prefix.head {
		return size + f.tpdu + f.header.size, nil
	}
	if size > 0 && size < f.tpdu+f.header.size {
		return 0, bad(at-f.prefix.size, fmt.Sprintf("a length of 0, or of at least %d for TPDU and header", f.tpdu+f.header.size), buf)
	}
	return size, nil
}

// within reads the length that stands inside the body, and returns the bytes of
// the body.
func (f *framer) within(buf []byte, at int) (int, error) {
	p := &f.prefix
	from, least := at+p.at, p.at+p.size-p.before()
	raw := buf[from : from+p.size]
	n, ok := p.parse(raw)
	if ok {
		var one [16]byte // the body is written back as it was read
		form, _ := p.put(one[:0], n)
		ok = bytes.Equal(form, raw)
	}
	if !ok {
		return 0, bad(from, "a length of "+p.String(), buf)
	}
	if most := f.max - p.before(); n < uint64(least) || n > uint64(max(most, 0)) {
		e := bad(from, fmt.Sprintf("a length from %d to %d", least, most), buf)
		e.Got = fmt.Sprintf("%d, bytes %s", n, protocol.Hex(raw, 8))
		return 0, e
	}
	return int(n) + p.before(), nil
}

// fill writes the length into the body that begins at from.
func (f *framer) fill(dst []byte, from int) bool {
	p := &f.prefix
	body := dst[from:]
	if len(body) < p.at+p.size {
		return false
	}
	_, ok := p.put(body[p.at:p.at], uint64(len(body)-p.before()))
	return ok
}

// cut splits a message into head values and body; an empty body is nil, which
// makes the frame a keep-alive.
func (f *framer) cut(msg []byte, at int) (protocol.Frame, error) {
	var out protocol.Frame
	if len(msg) == 0 {
		return out, nil
	}
	if len(msg) < f.tpdu+f.header.size {
		return out, bad(at, fmt.Sprintf("at least %d bytes for TPDU and header", f.tpdu+f.header.size), msg)
	}
	if f.tpdu+f.header.size > 0 {
		out.Head = make([]protocol.HeadValue, 0, 2)
	}
	if f.tpdu > 0 {
		out.Head = append(out.Head, protocol.HeadValue{Head: protocol.HeadTPDU, Val: upperHex(msg[:f.tpdu])})
	}
	body := msg[f.tpdu+f.header.size:]
	if h := msg[f.tpdu : f.tpdu+f.header.size]; len(h) > 0 {
		out.Head = append(out.Head, protocol.HeadValue{Head: protocol.HeadSub, Val: upperHex(h)})
		if err := f.header.check(h, at+f.tpdu, len(body)); err != nil {
			return protocol.Frame{}, err
		}
	}
	if f.header.lri {
		body = body[lineRecord(body):]
	}
	if len(body) > 0 {
		out.Body = body[:len(body):len(body)]
	}
	return out, nil
}

// lineRecord returns the size of the record that an access server puts before
// the message: "LRI", a zero, a length byte and that many bytes.
func lineRecord(b []byte) int {
	if len(b) > 5 && string(b[:4]) == "LRI\x00" && len(b) >= 5+int(b[4]) {
		return 5 + int(b[4])
	}
	return 0
}

func (h *header) check(b []byte, at, body int) error {
	if h.length == nil {
		return nil
	}
	want := h.length.count(h.size, body)
	raw := b[h.length.at : h.length.at+h.length.size]
	if got, ok := h.length.parse(raw); !ok || got != want {
		return &protocol.Error{Class: protocol.ClassHeader, Offset: at + h.length.at, Want: fmt.Sprintf("a length of %d", want),
			Got: protocol.Hex(raw, 8), Hint: "see frame.header.length of the link file"}
	}
	return nil
}

func (n *inner) count(header, body int) uint64 {
	if n.header {
		body += header
	}
	return uint64(body)
}

// Append writes one frame; a nil body writes a keep-alive, which is only the
// prefix, and TPDU and header where the length does not count them.
func (f *framer) Append(dst []byte, m protocol.Frame) ([]byte, error) {
	head := f.tpdu + f.header.size
	if len(m.Body) == 0 && len(m.Head) == 0 && (f.prefix.kind == none || f.prefix.head) {
		head = 0
	}
	if size := head + len(m.Body); size > f.max {
		return dst, &protocol.Error{Class: protocol.ClassFrame, Offset: -1, Want: fmt.Sprintf("at most %d bytes", f.max), Got: fmt.Sprintf("%d", size)}
	}
	at := len(dst)
	dst = append(dst, f.start...)
	var ok bool
	if f.prefix.inside {
		body := len(dst)
		dst = append(dst, m.Body...)
		if ok = f.fill(dst, body); ok {
			return append(dst, f.end...), nil
		}
	} else {
		dst, ok = f.prefix.append(dst, head, len(m.Body))
	}
	if !ok {
		return dst[:at], &protocol.Error{Class: protocol.ClassFrame, Offset: -1, Want: "a length that fits " + f.prefix.String(),
			Got: fmt.Sprintf("%d bytes", len(m.Body))}
	}
	from := len(dst)
	if head > 0 {
		var err error
		if dst, err = f.appendHead(dst, &m); err != nil {
			return dst[:at], err
		}
	}
	dst = append(dst, m.Body...)
	if f.prefix.kind == none && len(f.end) > 0 && bytes.Contains(dst[from:], f.end) {
		return dst[:at], &protocol.Error{Class: protocol.ClassFrame, Offset: -1, Want: "a message without the end bytes", Got: protocol.Hex(f.end, 8)}
	}
	return append(dst, f.end...), nil
}

func (f *framer) appendHead(dst []byte, m *protocol.Frame) ([]byte, error) {
	var err error
	if f.tpdu > 0 {
		at := len(dst)
		if dst, err = appendHex(dst, m, protocol.HeadTPDU, f.route); err != nil {
			return dst, err
		}
		if f.swap {
			swap(dst[at+1:at+3], dst[at+3:at+5])
		}
	}
	if f.header.size == 0 {
		return dst, nil
	}
	at := len(dst)
	if dst, err = appendHex(dst, m, protocol.HeadSub, f.header.value); err != nil {
		return dst, err
	}
	h := dst[at:]
	if s := f.header.swap; s != nil {
		swap(h[s.At:s.At+s.Bytes], h[s.With:s.With+s.Bytes])
	}
	if n := f.header.length; n != nil {
		if _, ok := n.put(h[n.at:n.at], n.count(f.header.size, len(m.Body))); !ok {
			return dst, &protocol.Error{Class: protocol.ClassHeader, Offset: -1, Want: "a length that fits " + n.String(), Got: fmt.Sprintf("%d bytes", len(m.Body))}
		}
	}
	return dst, nil
}

// appendHex appends a head value, or the bytes that stand for an absent one.
func appendHex(dst []byte, m *protocol.Frame, h protocol.Head, absent []byte) ([]byte, error) {
	val := m.Get(h)
	if val == "" {
		return append(dst, absent...), nil
	}
	at := len(dst)
	dst, err := hex.AppendDecode(dst, []byte(val))
	if err != nil || len(dst)-at != len(absent) {
		return dst[:at], &protocol.Error{Class: protocol.ClassHeader, Path: "@" + h.String(), Offset: -1,
			Want: fmt.Sprintf("%d hex characters", 2*len(absent)), Got: fmt.Sprintf("%d characters", len(val))}
	}
	return dst, nil
}

func swap(a, b []byte) {
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
}

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }
