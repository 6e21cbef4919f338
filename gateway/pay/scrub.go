package pay

import "strings"

// Scrub hides in a text of no known class what may be a card number or part of
// one (13 digits and more), a citizen's number (GB 11643) or a mobile number. It
// is the last fence before logs: it would rather hide a bank's serial than show a
// card. Our own serials, 20 digits that begin with a day, stay. Digits right
// behind a track's separator go as well.
func Scrub(s string) string {
	var out strings.Builder
	done, track := 0, false
	for i := 0; i < len(s); {
		if s[i] < '0' || s[i] > '9' {
			track = track && (s[i] == '=' || s[i] == 'D' || s[i] == 'd')
			i++
			continue
		}
		end := i
		for end < len(s) && s[end] >= '0' && s[end] <= '9' {
			end++
		}
		if end < len(s) && end-i == 17 && (s[end] == 'X' || s[end] == 'x') {
			end++
		}
		m := guess(s[i:end])
		if track && end-i >= 4 {
			m = Never
		}
		if track = m == Card; m != Public {
			out.WriteString(s[done:i])
			out.WriteString(m.Masked(s[i:end]))
			done = end
		}
		i = end
	}
	if done == 0 {
		return s
	}
	out.WriteString(s[done:])
	return out.String()
}

// guess says as what a run of digits is to be masked.
func guess(d string) Mask {
	n := len(d)
	switch {
	case n == 18 && (d[17] > '9' || citizen(d)): // an X is the mark of a citizen's number
		return Contact
	case n == 11 && d[0] == '1' && d[1] >= '3':
		return Contact
	case n >= 13 && !(n == 20 && dated(d)):
		return Card
	}
	return Public
}

// dated reports whether 20 digits begin as our serials do, with a day.
func dated(d string) bool {
	_, err := ParseDay(d[:8])
	return err == nil
}

// citizen checks the check character of GB 11643.
func citizen(d string) bool {
	sum, weight := 0, 1
	for i := 16; i >= 0; i-- {
		weight = weight * 2 % 11
		sum += weight * int(d[i]-'0')
	}
	want := "10X98765432"[sum%11]
	return d[17] == want || want == 'X' && d[17] == 'x'
}
