package text

import (
	"bytes"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

func TestReadAppendExamples(t *testing.T) {
	for _, c := range []struct {
		charset Charset
		text    string
		wire    string
	}{
		{GBK, "张三", "\xD5\xC5\xC8\xFD"},
		{GBK, "户号 01号", "\xBB\xA7\xBA\xC5 01\xBA\xC5"},
		{GBK, "€", "\xA2\xE3"},
		{GB18030, "\U00020000𠮷", "\x95\x32\x82\x36\x95\x34\xB2\x35"},
		{GB18030, "\u0080\uFFFF", "\x81\x30\x81\x30\x84\x31\xA4\x39"},
		{GB18030, "\U0010FFFF", "\xE3\x32\x9A\x35"},
		{GB18030, "\uE000\uE4C6", "\xAA\xA1\xA1\x40"},
		{UTF8, "张三", "张三"},
		{ASCII, "abc", "abc"},
	} {
		got, err := c.charset.Append(nil, []byte(c.text))
		if err != nil || string(got) != c.wire {
			t.Errorf("%v Append(%q): got % x, %v, want % x", c.charset, c.text, got, err, c.wire)
		}
		back, err := c.charset.Read(nil, []byte(c.wire))
		if err != nil || string(back) != c.text {
			t.Errorf("%v Read(% x): got %q, %v, want %q", c.charset, c.wire, back, err, c.text)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		charset Charset
		wire    string
		at      int
	}{
		{GBK, "\xD5", 0},                              // half a character
		{GBK, "abc\xD5\xC5\xC8", 5},                   // the second half is missing
		{GBK, "ab\xD5 c", 2},                          // trail byte too small
		{GBK, "\x80", 0},                              // one-byte euro of Windows
		{GBK, "\xFF\xFF", 0},                          // no lead byte
		{GBK, "\x81\x30\x81\x30", 0},                  // four bytes
		{GB18030, "x\x81\x30\x81", 1},                 // cut
		{GB18030, "\x84\x31\xA5\x30", 0},              // past the basic plane
		{GB18030, "\xE3\x32\x9A\x36", 0},              // past the last plane
		{GB18030, "\x81\x30\x7F\x30", 0},              // third byte
		{UTF8, "ok\xC0\x80", 2},                       // overlong
		{UTF8, "\xED\xA0\x80", 0},                     // surrogate
		{ASCII, "12345678\x80", 8},                    // eight at a time, then one
		{GB18030, "1234567890123456\xD5\xC5\xD5", 18}, // after a run
	} {
		_, err := c.charset.Read(nil, []byte(c.wire))
		if err != BadChar(c.at) {
			t.Errorf("%v Read(%q): got %v, want offset %d", c.charset, c.wire, err, c.at)
		}
	}
	for _, c := range []struct {
		charset Charset
		text    string
		at      int
	}{{GBK, "张\U00020000", 3}, {ASCII, "a张", 1}, {GB18030, "a\xFF", 1}, {GBK, "\u0E01", 0}} {
		if _, err := c.charset.Append(nil, []byte(c.text)); err != BadChar(c.at) {
			t.Errorf("%v Append(%q): got %v, want offset %d", c.charset, c.text, err, c.at)
		}
	}
}

// Every code is either refused or written back as it was read, and agrees with
// the tables of x/text unless it is user-defined.
func TestEveryCode(t *testing.T) {
	dec := simplifiedchinese.GB18030.NewDecoder()
	good := 0
	try := func(code []byte) {
		got, err := GB18030.Read(nil, code)
		if err != nil {
			return
		}
		good++
		back, err := GB18030.Append(nil, got)
		if err != nil || !bytes.Equal(back, code) {
			t.Fatalf("% x: read %q, written % x, %v", code, got, back, err)
		}
		want, _ := dec.Bytes(code)
		if len(code) == 2 && private(code[0], code[1]) != 0 {
			return
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("% x: got %q, x/text %q", code, got, want)
		}
	}
	for a := 0x80; a <= 0xFF; a++ {
		for b := range 0x100 {
			try([]byte{byte(a), byte(b)})
			if b < '0' || b > '9' {
				continue
			}
			for c := 0x80; c <= 0xFF; c++ {
				for d := '/'; d <= ':'; d++ {
					try([]byte{byte(a), byte(b), byte(c), byte(d)})
				}
			}
		}
	}
	lost := 0
	for r := rune(0x80); r <= utf8.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		wire, err := GB18030.Append(nil, utf8.AppendRune(nil, r))
		if err != nil {
			lost++
			continue
		}
		if back, err := GB18030.Read(nil, wire); err != nil || string(back) != string(r) {
			t.Fatalf("%U: written % x, read %q, %v", r, wire, back, err)
		}
	}
	t.Logf("%d codes accepted, %d characters have none", good, lost)
	if lost > 200 {
		t.Errorf("%d characters cannot be written", lost)
	}
}

func TestAppendCut(t *testing.T) {
	for _, c := range []struct {
		charset Charset
		text    string
		width   int
		want    string
	}{
		{GBK, "交易成功", 8, "\xBD\xBB\xD2\xD7\xB3\xC9\xB9\xA6"},
		{GBK, "交易成功", 7, "\xBD\xBB\xD2\xD7\xB3\xC9"},
		{GBK, "a交", 2, "a"},
		{GBK, "a\n\x00\x7f😀b", 9, "a????b"},
		{GB18030, "😀", 3, ""},
		{GB18030, "\xFF\xFEok", 9, "??ok"},
		{UTF8, "张三", 5, "张"},
		{ASCII, "张3", 5, "?3"},
		{GBK, "", 5, ""},
	} {
		if got := c.charset.AppendCut(nil, []byte(c.text), c.width); string(got) != c.want {
			t.Errorf("%v AppendCut(%q, %d): got %q, want %q", c.charset, c.text, c.width, got, c.want)
		}
	}
}

func FuzzCharset(f *testing.F) {
	for _, s := range []string{"\xD5\xC5", "abc", "\x81\x30\x81\x30", "张三"} {
		f.Add([]byte(s), uint8(5))
	}
	f.Fuzz(func(t *testing.T, wire []byte, width uint8) {
		for c := range charsets {
			got, err := c.Read(nil, wire)
			if !utf8.Valid(got) || len(got) > 2*len(wire) {
				t.Fatalf("%v: read %q", c, got)
			}
			if err == nil {
				if back, err := c.Append(nil, got); err != nil || !bytes.Equal(back, wire) {
					t.Fatalf("%v: written % x, %v", c, back, err)
				}
			} else if at := int(err.(BadChar)); at < 0 || at >= len(wire) {
				t.Fatalf("%v: offset %d", c, at)
			}
			short := c.AppendCut(nil, wire, int(width))
			if _, err := c.Read(nil, short); err != nil || len(short) > int(width) {
				t.Fatalf("%v: cut to %d: % x, %v", c, width, short, err)
			}
		}
	})
}

func BenchmarkReadGBK(b *testing.B) {
	benchRead(b, "国网江苏省电力有限公司苏州供电分公司 0512")
}
func BenchmarkReadASCII(b *testing.B) {
	benchRead(b, "10013010000000120240101120000000000001234567890")
}

func benchRead(b *testing.B, s string) {
	wire, _ := GB18030.Append(nil, []byte(s))
	dst := make([]byte, 0, 256)
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = GB18030.Read(dst[:0], wire)
	}
}

func BenchmarkAppendGBK(b *testing.B) {
	s := []byte("国网江苏省电力有限公司苏州供电分公司 0512")
	dst := make([]byte, 0, 256)
	b.SetBytes(int64(len(s)))
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = GB18030.Append(dst[:0], s)
	}
}
