package frame

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"qianzhi/protocol"
)

func optionsOf(tb testing.TB, s string) Options {
	tb.Helper()
	dec := yaml.NewDecoder(strings.NewReader(s))
	dec.KnownFields(true)
	var o Options
	if err := dec.Decode(&o); err != nil {
		tb.Fatalf("%v\n%s", err, s)
	}
	return o
}

func built(tb testing.TB, s string) protocol.Framer {
	tb.Helper()
	f, err := New(optionsOf(tb, s))
	if err != nil {
		tb.Fatalf("%v\n%s", err, s)
	}
	return f
}

func unhexed(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

const (
	terminal = `{length: {kind: binary, bytes: 2, counts: header}, tpdu: {default: "6000010000"}, header: {bytes: 6, default: "603100000000"}, max: 2048}`
	answer   = `{length: {kind: binary, bytes: 2, counts: header}, tpdu: {default: "6000010000", swap: true}, header: {bytes: 6}, max: 2048}`
	// cups is the 46-byte header of the bank card switch: its own size, version,
	// length of the whole, receiver and sender.
	cups = `{length: {kind: ascii, bytes: 4, counts: header}, max: 2048, header: {bytes: 46,
 default: "2E023030303030303031303030302020203030303130303030202020303030003030303030303030003030303030",
 length: {at: 2, kind: ascii, bytes: 4, counts: header}}}`
)

// Frames as they stand on real wires.
func TestFrames(t *testing.T) {
	tpdu := func(s string) protocol.HeadValue { return protocol.HeadValue{Head: protocol.HeadTPDU, Val: s} }
	sub := func(s string) protocol.HeadValue { return protocol.HeadValue{Head: protocol.HeadSub, Val: s} }
	for _, tc := range []struct {
		name, options string
		frame         protocol.Frame
		wire          string // hex, or text after "text:"
	}{
		{"body counted", `{length: {kind: ascii, bytes: 6, counts: body}, max: 99}`, protocol.Frame{Body: []byte("hello")}, "text:000005hello"},
		{"counts what stands before it", `{start: "2E02", length: {kind: ascii, bytes: 4, counts: all}, header: {bytes: 1, default: "41"}, max: 99}`, protocol.Frame{Head: []protocol.HeadValue{{Head: protocol.HeadSub, Val: "41"}}, Body: []byte("hello")}, "2E02 30303132 41 68656C6C6F"},
		{"counts itself", `{length: {kind: ascii, bytes: 4, counts: all}, max: 99}`, protocol.Frame{Body: []byte("hello")}, "text:0009hello"},
		{"BCD", `{length: {kind: bcd, bytes: 2, counts: body}, max: 999}`, protocol.Frame{Body: bytes.Repeat([]byte{7}, 12)}, "0012" + strings.Repeat("07", 12)},
		{"low byte first", `{length: {kind: binary, bytes: 4, order: little, counts: self}, max: 99}`, protocol.Frame{Body: []byte{1, 2}}, "06000000 0102"},
		{"terminal", terminal, protocol.Frame{Head: []protocol.HeadValue{tpdu("6006010000"), sub("613100311108")}, Body: []byte{8, 0}}, "000D 6006010000 613100311108 0800"},
		{"terminal defaults", terminal, protocol.Frame{Body: []byte{8, 0}}, "000D 6000010000 603100000000 0800"},
		{"answer exchanges addresses", answer, protocol.Frame{Head: []protocol.HeadValue{tpdu("6006010000"), sub("613100311108")}, Body: []byte{8, 16}}, "000D 6000000601 613100311108 0810"},
		{"body counted behind a TPDU", `{length: {kind: ascii, bytes: 4, counts: body}, tpdu: {}, max: 99}`, protocol.Frame{Head: []protocol.HeadValue{tpdu("6000010002")}, Body: []byte("ab")}, "30303032 6000010002 6162"},
		{"STX ETX", `{start: "02", end: "03", max: 99}`, protocol.Frame{Body: []byte("ab")}, "02 6162 03"},
		{"lines", `{end: 'text:\r\n', max: 99}`, protocol.Frame{Body: []byte("ab")}, "text:ab\r\n"},
		{"length and end", `{start: "02", length: {kind: ascii, bytes: 3, counts: body}, end: "03", max: 99}`, protocol.Frame{Body: []byte("a\x03")}, "02 303032 6103 03"},
		{"whole buffer", `{length: {kind: none}, max: 99}`, protocol.Frame{Body: []byte("ab")}, "text:ab"},
		{"zero length", `{length: {kind: ascii, bytes: 4, counts: body}, max: 99}`, protocol.Frame{}, "text:0000"},
		{"zero length of a terminal", terminal, protocol.Frame{}, "0000"},
		{"empty line", `{end: "0A", max: 99}`, protocol.Frame{}, "0A"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want, isText := strings.CutPrefix(tc.wire, "text:")
			wire := []byte(want)
			if !isText {
				wire = unhexed(tc.wire)
			}
			f := built(t, tc.options)
			got, err := f.Append([]byte("x"), tc.frame)
			if err != nil || !bytes.Equal(got, append([]byte("x"), wire...)) {
				t.Errorf("Append: %v\ngot  %X\nwant %X", err, got[1:], wire)
			}
			in, n, err := f.Next(append(bytes.Clone(wire), "more"...))
			if strings.Contains(tc.options, "none") {
				in, n, err = f.Next(wire)
			}
			if err != nil || n != len(wire) || !bytes.Equal(in.Body, tc.frame.Body) || in.Body == nil != (len(tc.frame.Body) == 0) {
				t.Errorf("Next: %d bytes, %v\ngot  %X\nwant %X", n, err, in.Body, tc.frame.Body)
			}
		})
	}
}

// One real link fills its length with blanks on the right when it sends and
// gets it with zeros on the left.
func TestPadsAreIndependent(t *testing.T) {
	f := built(t, `{length: {kind: ascii, bytes: 10, counts: body, write: {side: right, with: " "}}, max: 9999}`)
	got, err := f.Append(nil, protocol.Frame{Body: []byte("hello")})
	if err != nil || string(got) != "5         hello" {
		t.Errorf("Append: got %q, %v", got, err)
	}
	in, n, err := f.Next([]byte("0000000005hello"))
	if err != nil || n != 15 || string(in.Body) != "hello" {
		t.Errorf("Next: got %q, %d, %v", in.Body, n, err)
	}
	for options, wire := range map[string]string{
		`read: {side: right, with: " "}`: "5         hello", `read: {with: " "}`: "         5hello", `read: {with: "0"}`: "0000000005hello",
	} {
		in, _, err := built(t, `{length: {kind: ascii, bytes: 10, counts: body, `+options+`}, max: 9999}`).Next([]byte(wire))
		if err != nil || string(in.Body) != "hello" {
			t.Errorf("%s: got %q, %v", options, in.Body, err)
		}
	}
	f = built(t, `{length: {kind: ascii, bytes: 3, counts: body, read: {with: " "}, write: {with: " "}}, max: 999}`)
	if got, err := f.Append(nil, protocol.Frame{}); err != nil || string(got) != "  0" {
		t.Errorf("zero: got %q, %v", got, err)
	}
}

// What one end writes the other one reads, whatever the two settings are.
func TestPadsOfBothEnds(t *testing.T) {
	for _, pads := range []string{
		`read: {with: " "}, write: {side: right, with: " "}`, `read: {side: right, with: "*"}, write: {with: "_"}`, `write: {side: right, with: " "}`, `read: {side: right, with: " "}`,
	} {
		f := built(t, `{length: {kind: ascii, bytes: 6, counts: body, `+pads+`}, max: 9999}`)
		wire, err := f.Append(nil, protocol.Frame{Body: []byte("hello")})
		if err != nil {
			t.Fatal(err)
		}
		if in, n, err := f.Next(wire); err != nil || n != len(wire) || string(in.Body) != "hello" {
			t.Errorf("%s: %q: got %q, %d, %v", pads, wire, in.Body, n, err)
		}
	}
}

// A length inside the body is a part of it.
func TestLengthInside(t *testing.T) {
	for _, tc := range []struct{ options, body, wire string }{
		{`{length: {kind: ascii, bytes: 4, at: 3, counts: body}, max: 99}`, "TXN0000hello", "TXN0005hello"},
		{`{length: {kind: ascii, bytes: 4, at: 3, counts: self}, max: 99}`, "TXN    hello", "TXN0009hello"},
		{`{length: {kind: ascii, bytes: 4, at: 3, counts: all}, max: 99}`, "TXN0000hello", "TXN0012hello"},
		{`{length: {kind: binary, bytes: 2, order: little, at: 0, counts: all}, start: "02", end: "03", max: 99}`, "..hello", "\x02\x08\x00hello\x03"},
		{`{length: {kind: ascii, bytes: 3, at: 1, counts: body, write: {side: right, with: " "}}, end: "0A", max: 99}`, "T000", "T0  \n"},
	} {
		f := built(t, tc.options)
		got, err := f.Append([]byte("x"), protocol.Frame{Body: []byte(tc.body)})
		if err != nil || string(got) != "x"+tc.wire {
			t.Errorf("%s: writes %q, %v", tc.options, got, err)
		}
		whole := strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(tc.wire, "\x02"), "\x03"), "\n")
		for n := range len(tc.wire) {
			if in, used, err := f.Next([]byte(tc.wire[:n])); err != nil || used != 0 {
				t.Errorf("%s: %d bytes: %+v, %d, %v", tc.options, n, in, used, err)
			}
		}
		in, n, err := f.Next([]byte(tc.wire + "more"))
		if err != nil || n != len(tc.wire) || string(in.Body) != whole {
			t.Errorf("%s: got %q, %d, %v", tc.options, in.Body, n, err)
		}
	}
	f := built(t, `{length: {kind: ascii, bytes: 4, at: 3, counts: all}, max: 20}`)
	for wire, at := range map[string]int{"TXN0006": 3, "TXN0021": 3, "TXN00x9": 3} {
		var e *protocol.Error
		if _, _, err := f.Next([]byte(wire)); !errors.As(err, &e) || e.Offset != at {
			t.Errorf("%s: %v", wire, err)
		}
	}
	if got, err := f.Append(nil, protocol.Frame{Body: []byte("TXN00")}); err == nil {
		t.Errorf("no room for the length: %q", got)
	}
	for options, want := range map[string]string{
		`{length: {kind: ascii, bytes: 4, at: 3, counts: header}, max: 20}`:                   "at: not with",
		`{length: {kind: ascii, bytes: 4, at: 3, counts: body}, tpdu: {}, max: 20}`:           "at: not with",
		`{length: {kind: ascii, bytes: 4, at: -1, counts: body}, max: 20}`:                    "at: want 0 to",
		`{length: {kind: ascii, bytes: 4, at: 0, counts: body, read: {with: " "}}, max: 20}`:  "at: the length is read",
		`{length: {kind: none, at: 0}, max: 20}`:                                              "no other setting",
		`{length: {kind: ascii, bytes: 4, at: 0, counts: body}, keep_alive: answer, max: 20}`: "keep_alive",
	} {
		if _, err := New(optionsOf(t, options)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", options, err, want)
		}
	}
}

// The switch's header says how long the message is; the field is written anew
// and checked.
func TestSwitchHeader(t *testing.T) {
	f := built(t, cups)
	got, err := f.Append(nil, protocol.Frame{Body: []byte("0820")})
	if err != nil || string(got[:4]) != "0050" || string(got[6:10]) != "0050" || got[4] != 46 {
		t.Fatalf("got %q, %v", got, err)
	}
	in, n, err := f.Next(got)
	if err != nil || n != len(got) || string(in.Body) != "0820" || len(in.Get(protocol.HeadSub)) != 92 {
		t.Errorf("got %+v, %d, %v", in, n, err)
	}
	got[9]++
	_, _, err = f.Next(got)
	wantError(t, err, protocol.ClassHeader, 6, "a length of 50")
	keep, err := f.Append(nil, protocol.Frame{})
	if err != nil || string(keep) != "0000" {
		t.Errorf("keep-alive: got %q, %v", keep, err)
	}
	r := built(t, `{length: {kind: none}, header: {bytes: 6, swap: {at: 0, with: 3, bytes: 2}}, max: 99}`)
	got, err = r.Append(nil, protocol.Frame{Head: []protocol.HeadValue{{Head: protocol.HeadSub, Val: "010203040506"}}, Body: []byte{9}})
	if want := unhexed("040503010206 09"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("swap: got %X, %v", got, err)
	}
}

// The record of a dial-up access server is passed over.
func TestLineRecord(t *testing.T) {
	f := built(t, `{length: {kind: binary, bytes: 2, counts: header}, tpdu: {}, header: {bytes: 6, lri: true}, max: 2048}`)
	wire := append(unhexed("002E 6006010000 613100311108 4C5249001C"), make([]byte, 28)...)
	in, n, err := f.Next(append(wire, 8, 0))
	if err != nil || n != len(wire)+2 || !bytes.Equal(in.Body, []byte{8, 0}) {
		t.Errorf("got %X, %d, %v", in.Body, n, err)
	}
}

func wantError(t *testing.T, err error, class protocol.Class, at int, want string) {
	t.Helper()
	var e *protocol.Error
	if !errors.As(err, &e) || e.Class != class || e.Offset != at || !strings.Contains(e.Error(), want) {
		t.Errorf("got %v\nwant %s at %d: %s", err, class, at, want)
	}
}

// A stream that is framed otherwise is refused at once, with a guess.
func TestHints(t *testing.T) {
	digits := `{length: {kind: ascii, bytes: 6, counts: body}, max: 9999}`
	for _, tc := range []struct{ options, wire, want string }{
		{digits, "GET / HTTP/1.1\r\n", "an HTTP request"},
		{digits, "<?xml version", "XML"},
		{digits, `{"a":1}..`, "JSON"},
		{digits, "\x16\x03\x01\x00\xA5\x01", "a TLS handshake"},
		{digits, "\x00\x0D\x60\x06\x01\x00\x00\x61\x31\x00\x31\x11\x08\x08\x00", "a 2-byte binary length before a TPDU"},
		{digits, "\x60\x06\x01\x00\x00\x61\x31", "a TPDU without a length"},
		{digits, "\x00\x00\x00\x04abcd", "a 4-byte binary length"},
		{digits, "\x04\x00\x00\x00abcd", "low byte first"},
		{digits, "\x00\x06abcdef", "a 2-byte binary length"},
		{digits, "\x02\x00\x70\x24\x04\x80", "a BCD message type"},
		{digits, "\x02hello", "STX"},
		{digits, "999999hello", "an ASCII length"},
		{digits, "+00005hello", "no framing known here"},
		{digits, "    5 hello", "no framing known here"},
		{terminal, "0005hello", "an ASCII length"},
		{terminal, "\x00\x05hello", "a length of 0, or of at least 11"},
		{terminal, "\x08\x01hello", "from 0 to 2048"},
		{`{length: {kind: ascii, bytes: 4, counts: all}, max: 99}`, "0003", "from 4 to 103"},
		{`{length: {kind: bcd, bytes: 2, counts: body}, max: 99}`, "\x00\x1Ahello", "4 BCD digits"},
		{`{length: {kind: binary, bytes: 8, counts: body}, max: 99}`, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFx", "from 0 to 99"},
		{`{start: "02", end: "03", max: 99}`, "x", "start bytes 02"},
		{`{end: "0D0A", max: 4}`, "abcdefg", "at most 4 bytes"},
		{`{length: {kind: ascii, bytes: 1, counts: body}, end: "03", max: 9}`, "1ab", "end bytes 03"},
		{`{length: {kind: none}, max: 4}`, "abcde", "at most 4 bytes"},
		{`{length: {kind: none}, tpdu: {}, max: 40}`, "abc", "at least 5 bytes"},
	} {
		in, n, err := built(t, tc.options).Next([]byte(tc.wire))
		var e *protocol.Error
		if !errors.As(err, &e) || e.Class != protocol.ClassFrame || n != 0 || in.Body != nil || !strings.Contains(e.Error(), tc.want) {
			t.Errorf("%s %q: got %d, %v, want %q", tc.options, tc.wire, n, err, tc.want)
		}
	}
}

// What cannot be written is refused and leaves what stood before.
func TestAppendErrors(t *testing.T) {
	head := func(h protocol.Head, v string) protocol.Frame {
		return protocol.Frame{Head: []protocol.HeadValue{{Head: h, Val: v}}, Body: []byte{1}}
	}
	for _, tc := range []struct {
		options string
		frame   protocol.Frame
		want    string
	}{
		{`{length: {kind: ascii, bytes: 6, counts: body}, max: 4}`, protocol.Frame{Body: []byte("abcde")}, "at most 4 bytes"},
		{`{length: {kind: ascii, bytes: 1, counts: body}, max: 40}`, protocol.Frame{Body: make([]byte, 10)}, "1 ASCII digits"},
		{`{length: {kind: bcd, bytes: 1, counts: body}, max: 400}`, protocol.Frame{Body: make([]byte, 100)}, "2 BCD digits"},
		{`{length: {kind: binary, bytes: 1, order: little, counts: body}, max: 400}`, protocol.Frame{Body: make([]byte, 256)}, "low byte first"},
		{`{end: "0D0A", max: 40}`, protocol.Frame{Body: []byte("a\r\nb")}, "without the end bytes"},
		{terminal, head(protocol.HeadTPDU, "60"), "10 hex characters"},
		{terminal, head(protocol.HeadSub, "60310000000x"), "12 hex characters"},
	} {
		got, err := built(t, tc.options).Append([]byte("x"), tc.frame)
		if err == nil || !strings.Contains(err.Error(), tc.want) || string(got) != "x" {
			t.Errorf("%s: got %q, %v, want %q", tc.options, got, err, tc.want)
		}
	}
}

func TestOptionErrors(t *testing.T) {
	for _, tc := range []struct{ options, want string }{
		{`{}`, "max"},
		{`{max: 9, tpdu: {}, header: {bytes: 6}}`, "no room"},
		{`{max: 9, start: 0x}`, "start"},
		{`{max: 9, end: 'text:\q'}`, "end"},
		{`{max: 9, length: {kind: words}}`, "length: kind"},
		{`{max: 9, length: {kind: none, bytes: 2}}`, "takes no other"},
		{`{max: 9, length: {kind: ascii, bytes: 11, counts: body}}`, "length: bytes"},
		{`{max: 9, length: {kind: binary, bytes: 9, counts: body}}`, "length: bytes"},
		{`{max: 9, length: {kind: ascii, bytes: 2}}`, "counts"},
		{`{max: 9, length: {kind: ascii, bytes: 2, counts: body, order: big}}`, "order"},
		{`{max: 9, length: {kind: binary, bytes: 2, counts: body, order: middle}}`, "order"},
		{`{max: 9, length: {kind: binary, bytes: 2, counts: body, read: {with: " "}}}`, "for ascii only"},
		{`{max: 9, length: {kind: ascii, bytes: 2, counts: body, read: {side: top}}}`, "read: side"},
		{`{max: 9, length: {kind: ascii, bytes: 2, counts: body, write: {side: right}}}`, "change the number"},
		{`{max: 9, length: {kind: ascii, bytes: 2, counts: body, write: {with: "00"}}}`, "one character"},
		{`{max: 9, tpdu: {default: "60"}}`, "tpdu.default"},
		{`{max: 9, header: {bytes: 300}}`, "header: bytes"},
		{`{max: 9, header: {bytes: 2, default: "01"}}`, "header: default"},
		{`{max: 9, header: {bytes: 4, swap: {at: 0, with: 1, bytes: 2}}}`, "swap"},
		{`{max: 9, header: {bytes: 4, length: {at: 0, kind: bcd, bytes: 2, counts: body}}}`, "length.kind"},
		{`{max: 9, header: {bytes: 4, length: {at: 0, kind: ascii, bytes: 2, counts: all}}}`, "length.counts"},
		{`{max: 9, header: {bytes: 4, length: {at: 3, kind: ascii, bytes: 2, counts: body}}}`, "inside the header"},
	} {
		o := optionsOf(t, tc.options)
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.options, err, tc.want)
		}
	}
}

// framings are framers whose streams hold many frames.
var framings = []string{
	`{length: {kind: ascii, bytes: 6, counts: body}, max: 300}`,
	`{length: {kind: ascii, bytes: 10, counts: all, read: {side: right, with: " "}, write: {side: right, with: " "}}, max: 300}`,
	`{length: {kind: bcd, bytes: 2, counts: self}, max: 300}`,
	`{length: {kind: binary, bytes: 3, order: little, counts: body}, tpdu: {}, max: 300}`,
	terminal,
	`{start: "0203", length: {kind: binary, bytes: 2, counts: header}, header: {bytes: 8, length: {at: 1, kind: binary, bytes: 2, counts: body}}, end: 'text:\r\n', max: 300}`,
	`{start: "02", end: "1003", max: 300}`,
	`{end: "0A", tpdu: {}, max: 300}`,
}

// However a stream is split on its way, the same frames come out of it, and
// none before its last byte is there.
func TestSplitStream(t *testing.T) {
	for _, o := range framings {
		f := built(t, o)
		t.Run(o, rapid.MakeCheck(func(t *rapid.T) {
			var stream []byte
			var want [][]byte
			for range rapid.IntRange(1, 6).Draw(t, "frames") {
				body := rapid.SliceOfN(rapid.ByteRange(0x20, 0xFF), 0, 60).Draw(t, "body")
				out, err := f.Append(stream, protocol.Frame{Body: body})
				if err != nil {
					t.Fatal(err)
				}
				stream, want = out, append(want, body)
			}
			var buf []byte
			var got [][]byte
			for rest := stream; len(rest) > 0; {
				n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
				buf, rest = append(buf, rest[:n]...), rest[n:]
				for {
					in, n, err := f.Next(buf)
					if err != nil {
						t.Fatalf("%v\n%X", err, buf)
					}
					if n == 0 {
						break
					}
					got, buf = append(got, bytes.Clone(in.Body)), buf[n:]
				}
			}
			if len(buf) != 0 || !equal(got, want) {
				t.Fatalf("got %X and %X left\nwant %X", got, buf, want)
			}
		}))
	}
}

func equal(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

// Whatever arrives: no panic, no more than what arrived, and a frame that was
// read is written so that it is read again.
func FuzzFrame(f *testing.F) {
	list := append([]string{`{length: {kind: ascii, bytes: 4, at: 0, counts: body, write: {side: right, with: " "}}, end: "0D0A", max: 300}`,
		`{start: "02", length: {kind: binary, bytes: 3, at: 2, order: little, counts: all}, max: 300}`, `{length: {kind: none}, tpdu: {}, max: 300}`,
		`{length: {kind: binary, bytes: 2, counts: header}, tpdu: {}, header: {bytes: 6, lri: true}, max: 300}`}, framings...)
	framers := make([]protocol.Framer, len(list))
	for i, o := range list {
		framers[i] = built(f, o)
		out, err := framers[i].Append(nil, protocol.Frame{Body: []byte("0200 body")})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), out)
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		fr := framers[int(which)%len(framers)]
		in, n, err := fr.Next(b)
		if err != nil {
			var e *protocol.Error
			if !errors.As(err, &e) || e.Offset > len(b) || n != 0 {
				t.Fatalf("got %d, %v", n, err)
			}
			return
		}
		if n < 0 || n > len(b) || len(in.Body) > n || n == 0 && in.Body != nil {
			t.Fatalf("%d of %d bytes made %d", n, len(b), len(in.Body))
		}
		if n == 0 {
			return
		}
		out, err := fr.Append(nil, in)
		if err != nil {
			t.Fatalf("Append of what Next read: %v", err)
		}
		again, m, err := fr.Next(out)
		if err != nil || m != len(out) || !bytes.Equal(again.Body, in.Body) || again.Get(protocol.HeadTPDU) != in.Get(protocol.HeadTPDU) {
			t.Fatalf("read %X, %d, %v\nfirst %X", again.Body, m, err, in.Body)
		}
	})
}

// What becomes of keep-alives is a setting that needs frames which can be empty.
func TestKeepAliveSetting(t *testing.T) {
	length := Length{Kind: "ascii", Bytes: 4, Counts: "body"}
	for _, tc := range []struct {
		o    Options
		want string // of the error
	}{
		{Options{Max: 9, Length: length}, ""},
		{Options{Max: 9, Length: length, KeepAlive: "ignore"}, ""},
		{Options{Max: 9, Length: length, KeepAlive: "answer"}, ""},
		{Options{Max: 9, End: "0A", KeepAlive: "answer"}, ""},
		{Options{Max: 9, KeepAlive: "answer"}, "keep_alive: answer needs a length or end bytes"},
		{Options{Max: 9, Length: length, KeepAlive: "echo"}, `keep_alive: want ignore or answer, got "echo"`},
	} {
		err := tc.o.Check()
		if got := fmt.Sprint(err); (err != nil || tc.want != "") && got != tc.want {
			t.Errorf("%+v: got %s, want %q", tc.o, got, tc.want)
		}
		if tc.o.Answers() != (tc.o.KeepAlive == "answer") {
			t.Errorf("%+v: answers %v", tc.o, tc.o.Answers())
		}
	}
}
