package frame

import (
	"bytes"
	"fmt"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// bad is an error about bytes that cannot begin a frame.
func bad(at int, want string, buf []byte) *protocol.Error {
	return &protocol.Error{Class: protocol.ClassFrame, Offset: at, Want: want, Got: "bytes " + protocol.Hex(buf, 8), Hint: look(buf)}
}

// look says what the first bytes of a stream look like, so that a wrong
// setting of the link is found without a trace.
func look(b []byte) string {
	guess := opening(b)
	if guess == "" {
		guess = number(b)
	}
	if guess == "" {
		return "first bytes look like no framing known here; compare frame of the link file"
	}
	return "first bytes look like " + guess + "; compare frame of the link file"
}

// opening recognises messages by how they begin.
func opening(b []byte) string {
	for _, o := range [...]struct{ begin, guess string }{
		{"GET ", "an HTTP request"}, {"POST ", "an HTTP request"}, {"HTTP/", "an HTTP reply"},
		{"<?xml", "XML without a length"}, {"<", "XML without a length"}, {"{", "JSON without a length"},
		{"\x16\x03", "a TLS handshake"}, {"\x16\x01\x01", "a TLCP handshake"}, {"\x02", "text after STX (02)"},
		{"LRI\x00", "the line record of an access server"}, {"ISO", "ISO 8583 without a length"},
	} {
		if bytes.HasPrefix(b, []byte(o.begin)) && plausible(o.begin, b) {
			return o.guess
		}
	}
	return ""
}

// plausible keeps STX from hiding a BCD message type such as 0200.
func plausible(begin string, b []byte) bool { return begin != "\x02" || len(b) > 1 && b[1] >= ' ' }

// number recognises length prefixes by the number they hold.
func number(b []byte) string {
	digits := 0
	for digits < len(b) && digits < 10 && b[digits]-'0' <= 9 {
		digits++
	}
	if digits >= 4 {
		return fmt.Sprintf("an ASCII length of %d or fewer digits", digits)
	}
	if len(b) >= 7 && b[2] == 0x60 {
		return "a 2-byte binary length before a TPDU"
	}
	if len(b) >= 7 && b[4] == 0x60 {
		return "a 4-byte length before a TPDU"
	}
	if len(b) > 5 && b[0] == 0x60 {
		return "a TPDU without a length"
	}
	for _, size := range [...]int{4, 2} {
		if len(b) <= size {
			continue
		}
		if v, ok := text.ReadBinary(b[:size], false); ok && v > 0 && v == uint64(len(b)-size) {
			return fmt.Sprintf("a %d-byte binary length", size)
		}
		if v, ok := text.ReadBinary(b[:size], true); ok && v > 0 && v == uint64(len(b)-size) {
			return fmt.Sprintf("a %d-byte binary length, low byte first", size)
		}
	}
	if len(b) > 2 && b[0]&0xF0 == 0 && b[1]&0x0F == 0 && b[0] != 0 {
		return "a BCD message type without a length"
	}
	return ""
}
