package protocol

import "strings"

// A lone letter of a layout is a number without leading zeros: YYYY/M/D is
// 2026/1/31. Where a layout of letters alone begins with one, the whole is such
// a number, as a long of FML or JSON is: hmmss is 90807, and 807 past midnight.

// lone reports whether the letter at i is a lone one.
func lone(layout string, i int) bool {
	switch ch := layout[i]; ch {
	case 'M', 'D', 'h', 'm', 's':
		return (i == 0 || layout[i-1] != ch) && (i+1 == len(layout) || layout[i+1] != ch)
	}
	return false
}

// loose reports whether a layout has a lone letter.
func loose(layout string) bool {
	for i := range len(layout) {
		if lone(layout, i) {
			return true
		}
	}
	return false
}

// leads reports whether the lone letter at i stands before other digits.
func leads(layout string, i int) bool {
	return i+1 < len(layout) && strings.IndexByte("YMDhmsf0123456789", layout[i+1]) >= 0
}

// legible reports whether the lone letter at i can be read: something that is
// no digit follows it, or all that follows has a width.
func legible(layout string, i int) bool {
	return !leads(layout, i) || i == 0 && strings.Trim(layout, "YMDhmsf") == "" && !loose(layout[1:])
}

// tight doubles the lone letters of a layout and puts zeros before their
// values. What does not fit is left for the layout to refuse.
func tight(layout, val string) (string, string) {
	var l, v []byte
	for i := range len(layout) {
		ch := layout[i]
		switch {
		case !lone(layout, i):
			l = append(l, ch)
			if n := 1; val != "" {
				if ch|0x20 == 'z' {
					n = len(val)
				}
				v, val = append(v, val[:n]...), val[n:]
			}
		case leads(layout, i):
			zeros := max(len(layout)+1-len(val), 0)
			if val == "" {
				zeros = 0
			}
			return layout[:1] + layout, strings.Repeat("0", zeros) + val
		default:
			n := len(val) - len(strings.TrimLeft(val, "0123456789"))
			if l = append(l, ch, ch); n == 1 {
				v = append(v, '0')
			}
			v, val = append(v, val[:n]...), val[n:]
		}
	}
	return string(l), string(v) + val
}

// slack takes the zeros out again that the lone letters of a layout do not
// have: from at on, dst holds what was written with them doubled.
func slack(dst []byte, at int, layout string) []byte {
	out, from := dst[:at], at
	for i := range len(layout) {
		switch {
		case !lone(layout, i):
			out, from = append(out, dst[from]), from+1
		case leads(layout, i):
			for from < len(dst)-1 && dst[from] == '0' {
				from++
			}
			return append(out, dst[from:]...)
		default:
			if dst[from] != '0' {
				out = append(out, dst[from])
			}
			out, from = append(out, dst[from+1]), from+2
		}
	}
	return append(out, dst[from:]...)
}
