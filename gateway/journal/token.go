package journal

import (
	"encoding/binary"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

// What a token stands for; equal values under two meanings do not meet.
const (
	aboutRef     = 'r'
	aboutAccount = 'a'
	aboutPAN     = 'p'
	aboutSerial  = 's'
)

// tokens makes the searchable stand-ins of values: 64 bits of HMAC-SM3, stable
// under one index key and meaningless without it.
type tokens struct{ mac *gm.HMAC }

func newTokens(key []byte) *tokens { return &tokens{mac: gm.NewHMAC(key)} }

// of returns the token of a value, never 0, which stands for no token.
func (t *tokens) of(meaning byte, value []byte) uint64 {
	sum := t.mac.Sum([]byte{meaning}, value)
	return max(1, binary.BigEndian.Uint64(sum[:8]))
}

// text returns the token of a text, 0 for an empty one.
func (t *tokens) text(meaning byte, value string) uint64 {
	if value == "" {
		return 0
	}
	return t.of(meaning, []byte(value))
}

func (t *tokens) ref(r pay.Ref) uint64 { return t.of(aboutRef, r.Append(nil)) }

// tombstone returns the token under which a message finds its tombstone, given
// the token of its key.
func tombstone(ref uint64) uint64 { return max(1, ^ref) }

// describe fills in what a row may be found by.
func (t *tokens) describe(row *Row, req *pay.Request) {
	pan := pay.Find(req.More, pay.FPAN)
	row.Account, row.PAN = t.text(aboutAccount, req.Account), t.text(aboutPAN, pan)
	row.Serial = t.text(aboutSerial, req.Ref.Serial)
	row.Tail = pay.Find(req.More, pay.FCardTail)
	if row.Tail == "" && len(pan) > 4 {
		row.Tail = pan[len(pan)-4:]
	}
}
