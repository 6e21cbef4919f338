package text

import "encoding/binary"

// maxDigits is how many decimal digits always fit an uint64.
const maxDigits = 19

// IsDigits reports whether b holds only ASCII digits.
func IsDigits(b []byte) bool {
	for _, c := range b {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}

// AppendUint appends v as exactly width ASCII digits with leading zeros. It
// reports false, and appends nothing, when v needs more.
func AppendUint(dst []byte, v uint64, width int) ([]byte, bool) {
	at := len(dst)
	for range width {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; v > 0; i-- {
		if i < at {
			return dst[:at], false
		}
		dst[i] = '0' + byte(v%10)
		v /= 10
	}
	return dst, true
}

// ReadUint reads 1 to 19 ASCII digits; signs and blanks are no digits.
func ReadUint(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > maxDigits {
		return 0, false
	}
	var v uint64
	for _, c := range b {
		d := c - '0'
		if d > 9 {
			return 0, false
		}
		v = v*10 + uint64(d)
	}
	return v, true
}

// AppendBinary appends v as an unsigned integer of 1 to 8 bytes, the high byte
// first, or last when little. It reports false, and appends nothing, when v
// needs more.
func AppendBinary(dst []byte, v uint64, size int, little bool) ([]byte, bool) {
	if size < 8 && v>>(8*size) != 0 {
		return dst, false
	}
	var b [8]byte
	if little {
		binary.LittleEndian.PutUint64(b[:], v)
		return append(dst, b[:size]...), true
	}
	binary.BigEndian.PutUint64(b[:], v)
	return append(dst, b[8-size:]...), true
}

// ReadBinary reads an unsigned integer of 1 to 8 bytes.
func ReadBinary(b []byte, little bool) (uint64, bool) {
	if len(b) == 0 || len(b) > 8 {
		return 0, false
	}
	var v uint64
	for i, c := range b {
		if little {
			v |= uint64(c) << (8 * i)
		} else {
			v = v<<8 | uint64(c)
		}
	}
	return v, true
}
