package secure

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"qianzhi/protocol/gm"
)

// WorkKey is one key of those that a sign-on hands out: its cipher under the
// master key in ECB mode, zero bytes up to the room it has, and the first bytes
// of zeros encrypted under it.
type WorkKey struct {
	Key   string `yaml:"key"`   // required: one of pik (PIN), mak (MAC), tdk (tracks)
	Bytes int    `yaml:"bytes"` // of the key: 16 (default: SM4, double-length DES), or for DES 8 or 24
	Room  int    `yaml:"room"`  // bytes that its cipher takes, the rest being zeros; 0: as many as the key has
	Check int    `yaml:"check"` // bytes of its check value, 4 (default) to one block
}

// WrappedKey is a PIN or track key as it was issued: under a master key, in ECB
// mode. Whoever has no master key can do nothing with it.
type WrappedKey struct {
	Master string // name of the master key, as the ring or the HSM knows it
	DES    bool   // both keys are DES keys, else SM4 keys
	Bytes  string // 8, 16 or 24; empty: no such key
}

// Format writes kind and length only: a work key never reaches a log.
func (w WrappedKey) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "wrapped key of %d bytes", len(w.Bytes))
}

// keyLayout is how the work keys of a link follow one another.
type keyLayout []WorkKey

// usualKeys is the layout of links that say nothing: PIK and MAK of 16 bytes,
// each with four bytes of check value, 40 in all.
func usualKeys() keyLayout { return keyLayout{{Key: "pik"}, {Key: "mak"}} }

// newKeyLayout fills in what is left to default and checks the rest.
func newKeyLayout(keys []WorkKey, isDES bool) (keyLayout, error) {
	l := append(keyLayout{}, keys...)
	if len(l) == 0 {
		l = usualKeys()
	}
	block, seen := 16, map[string]bool{}
	if isDES {
		block = 8
	}
	for i := range l {
		k := &l[i]
		k.defaults()
		switch {
		case k.Key != "pik" && k.Key != "mak" && k.Key != "tdk":
			return nil, fmt.Errorf("keys: want pik, mak or tdk, got %q", k.Key)
		case seen[k.Key]:
			return nil, fmt.Errorf("keys: %s stands twice", k.Key)
		case k.Bytes != 16 && (!isDES || k.Bytes != 8 && k.Bytes != 24):
			return nil, fmt.Errorf("keys: %s: bytes: want 16, or with DES 8, 16 or 24, got %d", k.Key, k.Bytes)
		case k.Room < k.Bytes || k.Room > 64:
			return nil, fmt.Errorf("keys: %s: room: want %d to 64, got %d", k.Key, k.Bytes, k.Room)
		case k.Check < 2 || k.Check > block:
			return nil, fmt.Errorf("keys: %s: check: want 2 to %d, got %d", k.Key, block, k.Check)
		}
		seen[k.Key] = true
	}
	if !seen["mak"] {
		return nil, errors.New("keys: mak is missing")
	}
	return l, nil
}

func (k *WorkKey) defaults() {
	if k.Bytes == 0 {
		k.Bytes = 16
	}
	if k.Room == 0 {
		k.Room = k.Bytes
	}
	if k.Check == 0 {
		k.Check = 4
	}
}

// size is the length of the whole in bytes.
func (l keyLayout) size() (n int) {
	for i := range l {
		n += l[i].Room + l[i].Check
	}
	return n
}

// keyChest wraps and opens the work keys of a link.
type keyChest struct {
	layout keyLayout
	des    bool
	name   string       // of the master key
	master cipher.Block // the master key
	make   func(block cipher.Block, key []byte) coder
}

// issue draws new keys and returns them as they travel and as they are kept.
func (c *keyChest) issue() (wire []byte, s session, err error) {
	wire = make([]byte, 0, c.layout.size())
	for i := range c.layout {
		k := &c.layout[i]
		clear := make([]byte, k.Bytes)
		if _, err := rand.Read(clear); err != nil {
			return nil, session{}, err
		}
		if c.des {
			oddParity(clear)
		}
		block, err := blockOf(c.des, clear)
		if err != nil {
			return nil, session{}, err
		}
		wrapped := make([]byte, k.Room)
		each(c.master, c.master.Encrypt, wrapped[:k.Bytes], clear)
		wire = append(append(wire, wrapped...), checkValue(block, k.Check)...)
		c.keep(&s, k.Key, wrapped[:k.Bytes], block, clear)
	}
	return wire, s, nil
}

// accept opens keys that were issued and verifies the check value of each one.
// Errors name the key and never its bytes.
func (c *keyChest) accept(wire []byte) (s session, err error) {
	if len(wire) != c.layout.size() {
		return session{}, fmt.Errorf("work keys: want %d bytes, got %d", c.layout.size(), len(wire))
	}
	for i := range c.layout {
		k := &c.layout[i]
		wrapped, filler, check := wire[:k.Bytes], wire[k.Bytes:k.Room], wire[k.Room:k.Room+k.Check]
		wire = wire[k.Room+k.Check:]
		clear := make([]byte, k.Bytes)
		each(c.master, c.master.Decrypt, clear, wrapped)
		block, err := blockOf(c.des, clear)
		switch {
		case err != nil:
			return session{}, err
		case strings.Trim(string(filler), "\x00") != "":
			return session{}, fmt.Errorf("work keys: %s is longer than %d bytes", k.Key, k.Bytes)
		case !gm.EqualMAC(checkValue(block, k.Check), check):
			return session{}, fmt.Errorf("work keys: check value of %s differs", k.Key)
		}
		c.keep(&s, k.Key, wrapped, block, clear)
	}
	return s, nil
}

// keep puts a key into the session.
func (c *keyChest) keep(s *session, kind string, wrapped []byte, block cipher.Block, clear []byte) {
	w := WrappedKey{Master: c.name, DES: c.des, Bytes: string(wrapped)}
	switch kind {
	case "mak":
		s.now = c.make(block, clear)
	case "pik":
		s.pik = w
	case "tdk":
		s.tdk = w
	}
}

// each runs a cipher in ECB mode over whole blocks.
func each(b cipher.Block, crypt func(dst, src []byte), dst, src []byte) {
	for n := b.BlockSize(); len(src) > 0; dst, src = dst[n:], src[n:] {
		crypt(dst[:n], src[:n])
	}
}

// checkValue is the first n bytes of a block of zeros encrypted under the key.
func checkValue(k cipher.Block, n int) []byte {
	out := make([]byte, k.BlockSize())
	k.Encrypt(out, out)
	return out[:n]
}
