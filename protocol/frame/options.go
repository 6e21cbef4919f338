// Package frame cuts byte streams into messages and writes messages: length
// prefixes, TPDU and sub-header of card terminals, start and end bytes.
//
// The order on the wire is fixed and every part may be missing:
//
//	start | length | TPDU | sub-header | body | end
package frame

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"qianzhi/protocol"
)

// Options describe one direction of a link.
type Options struct {
	Start     string `yaml:"start"`      // bytes before everything: hex such as 02, or after "text:" text with escapes \r \n \t \xHH
	End       string `yaml:"end"`        // bytes after the body, written as start is; the length does not count them
	Length    Length `yaml:"length"`     // the number before the message that says how long it is
	TPDU      *TPDU  `yaml:"tpdu"`       // 5 bytes that route the message of a terminal
	Header    Header `yaml:"header"`     // fixed bytes before the body
	Max       int    `yaml:"max"`        // bytes of TPDU, sub-header and body together
	KeepAlive string `yaml:"keep_alive"` // what an empty frame that arrives gets: one of ignore (default), answer (an empty frame goes back on the same connection, at most one a second)
}

// Length describes the prefix that says how long the message is.
type Length struct {
	Kind   string `yaml:"kind"`   // one of ascii, bcd, binary, none; none: the message ends at the end bytes or with the HTTP body
	Bytes  int    `yaml:"bytes"`  // room it takes: ascii 1 to 10, bcd 1 to 5 (two digits each), binary 1 to 8
	Order  string `yaml:"order"`  // binary: one of big (default), little
	Counts string `yaml:"counts"` // one of body, header (body, TPDU and sub-header), self (body and the length itself), all (everything but the end bytes)
	Read   Pad    `yaml:"read"`   // ascii: how a short number is filled up when it arrives; as it is written is read too
	Write  Pad    `yaml:"write"`  // ascii: how it is filled up when it is written
	// the length stands inside the body, so many bytes behind its beginning: the
	// layout has a field of its width there, which is filled in when the message is
	// written. It then counts, with body, what is behind it; not with TPDU,
	// header, auth or envelope
	At *int `yaml:"at"`
}

// Pad says how a decimal number is filled up to its width.
type Pad struct {
	Side string `yaml:"side"` // one of left (default), right
	With string `yaml:"with"` // one character, "0" by default
}

// TPDU says what to do with the five routing bytes. They travel as head value
// "tpdu" in ten hex characters.
type TPDU struct {
	Default string `yaml:"default"` // ten hex digits, written when the frame carries none
	Swap    bool   `yaml:"swap"`    // exchange the two addresses when writing: for replies
}

// Header describes the fixed bytes between TPDU and body. They travel as head
// value "header" in hex.
type Header struct {
	Bytes   int      `yaml:"bytes"`   // its size
	Default string   `yaml:"default"` // hex, written when the frame carries none
	Length  *Inner   `yaml:"length"`  // a length field inside
	Swap    *Parties `yaml:"swap"`    // exchange two parts when writing: for replies
	LRI     bool     `yaml:"lri"`     // a line record of a dial-up access server may follow; it is passed over
}

// Inner is a length field inside the sub-header. It is checked when it arrives
// and written anew.
type Inner struct {
	At     int    `yaml:"at"`     // offset within the sub-header, from 0
	Kind   string `yaml:"kind"`   // one of ascii, binary
	Bytes  int    `yaml:"bytes"`  // 1 to 8
	Counts string `yaml:"counts"` // one of body, header (sub-header and body)
}

// Parties are two parts of a sub-header with the same size: receiver and
// sender.
type Parties struct {
	At    int `yaml:"at"`    // offset of the first, from 0
	With  int `yaml:"with"`  // offset of the second
	Bytes int `yaml:"bytes"` // size of each
}

// Answers reports whether an empty frame that arrives is answered with one.
func (o *Options) Answers() bool { return o.KeepAlive == "answer" }

// Check reports the first setting that cannot work.
func (o *Options) Check() error {
	_, err := compile(o)
	return err
}

// New builds the framer. It is safe for concurrent use.
func New(o Options) (protocol.Framer, error) {
	f, err := compile(&o)
	if err != nil {
		return nil, err
	}
	return f, nil
}

const (
	tpduBytes = 5
	maxHeader = 256
	maxFrame  = 1 << 26
)

func compile(o *Options) (*framer, error) {
	f := &framer{max: o.Max}
	if o.Max <= 0 || o.Max > maxFrame {
		return nil, fmt.Errorf("max: want 1 to %d bytes, got %d", maxFrame, o.Max)
	}
	var err error
	if f.start, err = literal(o.Start); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	if f.end, err = literal(o.End); err != nil {
		return nil, fmt.Errorf("end: %w", err)
	}
	if f.prefix, err = o.Length.compile(); err != nil {
		return nil, fmt.Errorf("length: %w", err)
	}
	if o.Length.Counts == "all" {
		f.prefix.start = len(f.start)
	}
	if f.header, err = o.Header.compile(); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if o.TPDU != nil {
		f.tpdu, f.swap = tpduBytes, o.TPDU.Swap
		if f.route, err = fixedHex(o.TPDU.Default, tpduBytes); err != nil {
			return nil, fmt.Errorf("tpdu.default: %w", err)
		}
	}
	switch {
	case f.prefix.inside && (o.TPDU != nil || f.header.size > 0 || o.Length.Counts == "header"):
		return nil, errors.New("length: at: not with TPDU or header")
	case o.KeepAlive != "" && o.KeepAlive != "ignore" && !o.Answers():
		return nil, fmt.Errorf("keep_alive: want ignore or answer, got %q", o.KeepAlive)
	case o.Answers() && (f.prefix.kind == none && len(f.end) == 0 || f.prefix.inside):
		return nil, errors.New("keep_alive: answer needs a length or end bytes")
	}
	if f.max < f.tpdu+f.header.size {
		return nil, fmt.Errorf("max: %d has no room for TPDU and header", f.max)
	}
	return f, nil
}

func (l *Length) compile() (prefix, error) {
	p := prefix{size: l.Bytes, little: l.Order == "little"}
	limits := map[string]int{"ascii": 10, "bcd": 5, "binary": 8}
	most, ok := limits[l.Kind]
	switch {
	case l.Kind == "none" || l.Kind == "":
		if *l != (Length{Kind: l.Kind}) {
			return p, errors.New("kind none takes no other setting")
		}
		return p, nil
	case !ok:
		return p, fmt.Errorf("kind: want ascii, bcd, binary or none, got %q", l.Kind)
	case l.Bytes < 1 || l.Bytes > most:
		return p, fmt.Errorf("bytes: want 1 to %d, got %d", most, l.Bytes)
	case l.Order != "" && l.Order != "big" && !p.little || l.Order != "" && l.Kind != "binary":
		return p, fmt.Errorf("order: want big or little, for binary only, got %q", l.Order)
	case l.Kind != "ascii" && (l.Read != Pad{} || l.Write != Pad{}):
		return p, errors.New("read and write are for ascii only")
	}
	p.kind = map[string]kind{"ascii": ascii, "bcd": bcd, "binary": binary}[l.Kind]
	switch l.Counts {
	case "body":
	case "header":
		p.head = true
	case "self":
		p.self = true
	case "all":
		p.head, p.self = true, true
	default:
		return p, fmt.Errorf("counts: want body, header, self or all, got %q", l.Counts)
	}
	if l.At != nil {
		if p.inside, p.at = true, *l.At; p.at < 0 || p.at > maxHeader {
			return p, fmt.Errorf("at: want 0 to %d, got %d", maxHeader, p.at)
		}
		if l.Read != (Pad{}) {
			return p, errors.New("at: the length is read as it is written; read is for one that is no part of the body")
		}
	}
	var err error
	if p.read, err = l.Read.compile(); err != nil {
		return p, fmt.Errorf("read: %w", err)
	}
	if p.write, err = l.Write.compile(); err != nil {
		return p, fmt.Errorf("write: %w", err)
	}
	return p, nil
}

func (p *Pad) compile() (pad, error) {
	out := pad{right: p.Side == "right", with: '0'}
	if p.Side != "" && p.Side != "left" && !out.right {
		return out, fmt.Errorf("side: want left or right, got %q", p.Side)
	}
	if p.With != "" {
		if len(p.With) != 1 {
			return out, fmt.Errorf("with: want one character, got %q", p.With)
		}
		out.with = p.With[0]
	}
	if digit := out.with-'0' <= 9; digit && (out.right || out.with != '0') {
		return out, fmt.Errorf("with: %q would change the number", p.With)
	}
	return out, nil
}

func (h *Header) compile() (header, error) {
	out := header{size: h.Bytes, lri: h.LRI, swap: h.Swap}
	if h.Bytes < 0 || h.Bytes > maxHeader {
		return out, fmt.Errorf("bytes: want 0 to %d, got %d", maxHeader, h.Bytes)
	}
	var err error
	if out.value, err = fixedHex(h.Default, h.Bytes); err != nil {
		return out, fmt.Errorf("default: %w", err)
	}
	if s := h.Swap; s != nil {
		if s.At < 0 || s.Bytes < 1 || s.With < s.At+s.Bytes || s.With+s.Bytes > h.Bytes {
			return out, errors.New("swap: want two parts inside the header, at before with")
		}
	}
	if h.Length == nil {
		return out, nil
	}
	n := &inner{at: h.Length.At, header: h.Length.Counts == "header", prefix: prefix{size: h.Length.Bytes, read: pad{with: '0'}, write: pad{with: '0'}}}
	switch h.Length.Kind {
	case "ascii":
		n.kind = ascii
	case "binary":
		n.kind = binary
	default:
		return out, fmt.Errorf("length.kind: want ascii or binary, got %q", h.Length.Kind)
	}
	if !n.header && h.Length.Counts != "body" {
		return out, fmt.Errorf("length.counts: want body or header, got %q", h.Length.Counts)
	}
	if n.at < 0 || n.size < 1 || n.size > 8 || n.at+n.size > h.Bytes {
		return out, errors.New("length: want 1 to 8 bytes inside the header")
	}
	out.length = n
	return out, nil
}

// fixedHex reads hex of exactly n bytes; empty text gives zeros.
func fixedHex(s string, n int) ([]byte, error) {
	if s == "" {
		return make([]byte, n), nil
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != n {
		return nil, fmt.Errorf("want %d hex characters", 2*n)
	}
	return b, nil
}

// literal reads bytes written as hex, or after "text:" as text with escapes.
func literal(s string) ([]byte, error) {
	rest, isText := strings.CutPrefix(s, "text:")
	if isText {
		out, err := strconv.Unquote(`"` + rest + `"`)
		if err != nil {
			return nil, fmt.Errorf("want text with escapes such as \\r\\n, got %q", rest)
		}
		return []byte(out), nil
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("want hex such as 0D0A, or text:\\r\\n, got %q", s)
	}
	return b, nil
}
