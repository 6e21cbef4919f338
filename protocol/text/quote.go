package text

import "bytes"

// Quote puts quotes around what dst holds from byte from on, and doubles those
// inside.
func Quote(dst []byte, from int) []byte {
	i := len(dst)
	for range 2 + bytes.Count(dst[from:], []byte{'"'}) {
		dst = append(dst, '"')
	}
	to := len(dst) - 1 // the closing quote stands there already
	for i--; i >= from; i-- {
		to--
		dst[to] = dst[i]
		if dst[i] == '"' {
			to--
			dst[to] = '"'
		}
	}
	dst[from] = '"'
	return dst
}
