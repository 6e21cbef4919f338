package text

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func column(t testing.TB, o ColumnOptions) *Column {
	t.Helper()
	c, err := NewColumn(o)
	if err != nil {
		t.Fatalf("%+v: %v", o, err)
	}
	return &c
}

func TestColumnBothWays(t *testing.T) {
	for _, c := range []struct {
		o    ColumnOptions
		val  string
		cell string
	}{
		{ColumnOptions{Type: "n", Len: 6}, "001234", "001234"},
		{ColumnOptions{Type: "n", Len: 6, Pad: " "}, "1234", "  1234"},
		{ColumnOptions{Type: "n", Len: 6, Pad: " "}, "01234", " 01234"},
		{ColumnOptions{Type: "n", Len: 6, Pad: " ", Align: "left"}, "1234", "1234  "},
		{ColumnOptions{Type: "n", Len: 6, Pad: "*"}, "1234", "**1234"},
		{ColumnOptions{Type: "n", Len: 6, Blank: true}, "", "      "},
		{ColumnOptions{Type: "n", Len: 6, Sign: "minus"}, "-01234", "-01234"},
		{ColumnOptions{Type: "n", Len: 6, Sign: "minus"}, "001234", "001234"},
		{ColumnOptions{Type: "n", Len: 6, Sign: "always"}, "01234", "+01234"},
		{ColumnOptions{Type: "n", Len: 6, Sign: "always"}, "-01234", "-01234"},
		{ColumnOptions{Type: "n", Len: 6, Sign: "always", Pad: " "}, "1234", " +1234"},
		{ColumnOptions{Type: "n", Len: 6, Sign: "minus", Pad: " "}, "-12", "   -12"},
		{ColumnOptions{Type: "d", Len: 10, Decimals: 2}, "0000123.45", "0000123.45"},
		{ColumnOptions{Type: "d", Len: 10, Decimals: 2, Pad: " "}, "123.45", "    123.45"},
		{ColumnOptions{Type: "d", Len: 10, Decimals: 2, Sign: "minus"}, "-000123.45", "-000123.45"},
		{ColumnOptions{Type: "x", Len: 6}, "AB", "AB    "},
		{ColumnOptions{Type: "x", Len: 6}, " AB", " AB   "},
		{ColumnOptions{Type: "x", Len: 6}, "", "      "},
		{ColumnOptions{Type: "x", Len: 6, Align: "right"}, "AB ", "   AB "},
		{ColumnOptions{Type: "x", Len: 6, Align: "right", Pad: "0"}, "AB", "0000AB"},
		{ColumnOptions{Type: "x", Len: 6, Pad: "\x00"}, "AB", "AB\x00\x00\x00\x00"},
		{ColumnOptions{Type: "x", Len: 6, Charset: GBK}, "张三", "\xD5\xC5\xC8\xFD  "},
		{ColumnOptions{Type: "x", Len: 6, Charset: GBK, Pad: "@"}, "张", "\xD5\xC5@@@@"},
		// The pad character looks like the last byte of the text.
		{ColumnOptions{Type: "x", Len: 6, Charset: GB18030, Pad: "0"}, "\u0080", "\x81\x30\x81\x3000"},
		{ColumnOptions{Type: "x", Len: 4, Charset: GBK, Pad: "@"}, "丂", "\x81\x40@@"},
		{ColumnOptions{Type: "a", Len: 4}, "CNY", "CNY "},
		{ColumnOptions{Type: "an", Len: 8}, "T0000001", "T0000001"},
		{ColumnOptions{Type: "ans", Len: 4}, "a b", "a b "},
		{ColumnOptions{Type: "b", Len: 4}, "\x00\x01\xFF ", "\x00\x01\xFF "},
		{ColumnOptions{Type: "x"}, " as is ", " as is "},
		{ColumnOptions{Type: "n", Max: 4}, "0042", "0042"},
		{ColumnOptions{Type: "d", Decimals: 2, Sign: "minus"}, "-0.05", "-0.05"},
	} {
		col := column(t, c.o)
		got, err := col.Append([]byte("<"), []byte(c.val))
		if err != nil || string(got) != "<"+c.cell {
			t.Errorf("%+v Append(%q): got %q, %v, want %q", c.o, c.val, got, err, c.cell)
		}
		back, err := col.Read([]byte("<"), []byte(c.cell))
		if err != nil || string(back) != "<"+c.val {
			t.Errorf("%+v Read(%q): got %q, %v, want %q", c.o, c.cell, back, err, c.val)
		}
	}
}

func TestColumnAppendFills(t *testing.T) {
	no := CutNever
	for _, c := range []struct {
		o    ColumnOptions
		val  string
		cell string
	}{
		{ColumnOptions{Type: "n", Len: 6}, "12", "000012"},
		{ColumnOptions{Type: "n", Len: 6}, "", "000000"},
		{ColumnOptions{Type: "n", Len: 6, Pad: " "}, "", "      "},
		{ColumnOptions{Type: "n", Len: 6, Sign: "always"}, "", "+00000"},
		{ColumnOptions{Type: "n", Len: 6, Sign: "minus"}, "-7", "-00007"},
		{ColumnOptions{Type: "d", Len: 8, Decimals: 2}, "", "00000.00"},
		{ColumnOptions{Type: "d", Len: 8, Decimals: 2}, "12", "00012.00"},
		{ColumnOptions{Type: "d", Len: 8, Decimals: 2}, "12.5", "00012.50"},
		{ColumnOptions{Type: "b", Len: 3}, "", "\x00\x00\x00"},
		{ColumnOptions{Type: "x", Len: 5, Charset: GBK}, "张三丰", "\xD5\xC5\xC8\xFD "},
		{ColumnOptions{Type: "x", Len: 5, Cut: CutAlways}, "abcdefg", "abcde"},
		{ColumnOptions{Type: "x", Len: 5, Cut: CutAlways}, "a\nb", "a?b  "},
		{ColumnOptions{Type: "x", Charset: GBK}, "a😀", "a?"},
		{ColumnOptions{Type: "x", Max: 3, Charset: GBK}, "张三", "\xD5\xC5"},
	} {
		got, err := column(t, c.o).Append(nil, []byte(c.val))
		if err != nil || string(got) != c.cell {
			t.Errorf("%+v Append(%q): got %q, %v, want %q", c.o, c.val, got, err, c.cell)
		}
	}
	for _, c := range []struct {
		o   ColumnOptions
		val string
		at  int
	}{
		{ColumnOptions{Type: "n", Len: 3}, "1234", 0},
		{ColumnOptions{Type: "n", Len: 3}, "1x", 1},
		{ColumnOptions{Type: "n", Len: 3}, "-1", 0},
		{ColumnOptions{Type: "n", Len: 3, Sign: "minus"}, "-", 1},
		{ColumnOptions{Type: "n", Len: 3, Sign: "minus"}, "--1", 1},
		{ColumnOptions{Type: "d", Len: 8, Decimals: 2}, "1.234", 5},
		{ColumnOptions{Type: "d", Len: 8, Decimals: 2}, "1.", 2},
		{ColumnOptions{Type: "d", Len: 8, Decimals: 2}, ".5", 0},
		{ColumnOptions{Type: "d", Len: 4, Decimals: 2}, "12.34", 0},
		{ColumnOptions{Type: "x", Len: 3}, "abcd", 3},
		{ColumnOptions{Type: "x", Len: 3}, "a\n", 1},
		{ColumnOptions{Type: "x", Len: 3, Charset: GBK, Cut: no}, "张三", 3},
		{ColumnOptions{Type: "an", Len: 3}, "a-b", 1},
		{ColumnOptions{Type: "an", Len: 3}, "abcd", 3},
		{ColumnOptions{Type: "b", Len: 3}, "abcd", 0},
	} {
		got, err := column(t, c.o).Append([]byte("<"), []byte(c.val))
		m, ok := err.(*Misfit)
		if !ok || m.Offset != c.at || string(got) != "<" {
			t.Errorf("%+v Append(%q): got %q, %v, want offset %d", c.o, c.val, got, err, c.at)
		}
	}
}

func TestColumnRefusesCells(t *testing.T) {
	for _, c := range []struct {
		o    ColumnOptions
		cell string
		at   int
	}{
		{ColumnOptions{Type: "n", Len: 6}, "  1234", 0},
		{ColumnOptions{Type: "n", Len: 6}, "1234  ", 4},
		{ColumnOptions{Type: "n", Len: 6}, "12+345", 2},
		{ColumnOptions{Type: "n", Len: 6, Pad: " "}, "12 345", 2},
		{ColumnOptions{Type: "n", Len: 6, Sign: "minus"}, "+00001", 0},
		{ColumnOptions{Type: "n", Len: 6, Sign: "always"}, "000001", 0},
		{ColumnOptions{Type: "n", Len: 6, Sign: "minus"}, "00001-", 5},
		{ColumnOptions{Type: "n", Len: 1, Sign: "minus"}, "-", 1},
		{ColumnOptions{Type: "d", Len: 6, Decimals: 2}, "000123", 3},
		{ColumnOptions{Type: "d", Len: 6, Decimals: 2}, "00.123", 2},
		{ColumnOptions{Type: "d", Len: 6, Decimals: 2, Pad: " "}, "   .50", 3},
		{ColumnOptions{Type: "x", Len: 4}, "a\tb ", 1},
		{ColumnOptions{Type: "x", Len: 4, Pad: "\x00"}, "a\x00b\x00", 1},
		{ColumnOptions{Type: "x", Len: 3, Charset: GBK}, "\xD5\xC5\xC8", 2},
		{ColumnOptions{Type: "an", Len: 3}, "a b", 1},
		{ColumnOptions{Type: "n", Max: 3}, "1234", 0},
	} {
		got, err := column(t, c.o).Read([]byte("<"), []byte(c.cell))
		m, ok := err.(*Misfit)
		if !ok || m.Offset != c.at || string(got) != "<" {
			t.Errorf("%+v Read(%q): got %q, %v, want offset %d", c.o, c.cell, got, err, c.at)
		}
	}
}

func TestColumnOptionsRefused(t *testing.T) {
	for _, o := range []ColumnOptions{
		{}, {Type: "z"}, {Type: "x", Pad: "ab"}, {Type: "x", Pad: "张"}, {Type: "x", Align: "middle"}, {Type: "n", Sign: "plus"},
		{Type: "x", Sign: "minus"}, {Type: "n", Align: "left"}, {Type: "n", Pad: "5"}, {Type: "n", Pad: "-", Sign: "minus"},
		{Type: "d"}, {Type: "n", Decimals: 2}, {Type: "d", Decimals: 2, Len: 3}, {Type: "b"}, {Type: "x", Len: -1},
		{Type: "x", Blank: true, Len: 2}, {Type: "n", Blank: true}, {Type: "x", Pad: "\x7f"},
	} {
		if c, err := NewColumn(o); err == nil {
			t.Errorf("%+v: got %+v, want an error", o, c)
		}
	}
}

// Whatever a cell holds, it is refused or written back as it was read.
func TestColumnIsCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := ColumnOptions{
			Charset: rapid.SampledFrom([]Charset{ASCII, UTF8, GBK, GB18030}).Draw(t, "charset"),
			Type:    rapid.SampledFrom(shapeNames[:]).Draw(t, "type"),
			Len:     rapid.IntRange(0, 9).Draw(t, "len"),
			Pad:     rapid.SampledFrom([]string{"", " ", "0", "*", "@", "\x00"}).Draw(t, "pad"),
			Align:   rapid.SampledFrom([]string{"", "left", "right"}).Draw(t, "align"),
			Cut:     Cut(rapid.IntRange(0, 2).Draw(t, "cut")),
		}
		if o.Type == "n" || o.Type == "d" {
			o.Sign = rapid.SampledFrom([]string{"", "minus", "always"}).Draw(t, "sign")
			o.Blank = rapid.Bool().Draw(t, "blank")
		}
		if o.Type == "d" {
			o.Decimals = rapid.IntRange(1, 2).Draw(t, "decimals")
		}
		c, err := NewColumn(o)
		if err != nil {
			return
		}
		n := o.Len
		if n == 0 {
			n = rapid.IntRange(0, 9).Draw(t, "n")
		}
		cell := rapid.SliceOfN(rapid.SampledFrom([]byte("00001 59+-.*@aZ\x00\xD5\xC5\x81\x30")), n, n).Draw(t, "cell")
		val, err := c.Read(nil, cell)
		if err != nil {
			if m := err.(*Misfit); m.Offset < 0 || m.Offset > len(cell) {
				t.Fatalf("offset %d", m.Offset)
			}
			return
		}
		back, err := c.Append(nil, val)
		if err != nil || !bytes.Equal(back, cell) {
			t.Fatalf("read %q as %q, written %q, %v", cell, val, back, err)
		}
		none := c.AppendNone(nil)
		if _, err := c.Read(nil, none); err != nil || len(none) != o.Len {
			t.Fatalf("a cell without value is %q, %v", none, err)
		}
	})
}
