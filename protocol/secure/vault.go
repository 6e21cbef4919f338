package secure

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"

	"qianzhi/gateway/pay"
)

// Vault is a hardware security module as this package needs it: it holds master
// keys, and work keys reach it only wrapped under one of them.
type Vault interface {
	// TranslatePIN decrypts a PIN block under one PIN key and encrypts the same
	// PIN under another, without letting the PIN out. The block is 8 bytes with
	// DES keys and 16 with SM4 keys, in and out; it is not changed. The card
	// number pan is 13 to 19 digits. Every block that does not open is ErrPIN.
	TranslatePIN(block []byte, from, to PINKey, pan string) ([]byte, error)
}

// PINKey is a PIN key and how blocks under it are made up.
type PINKey struct {
	WrappedKey
	Format PINFormat
}

// PINFormat is how a PIN block is made up before it is encrypted.
type PINFormat string

// The formats of PIN blocks.
const (
	// PINPAN is ISO 9564-1 format 0 (ANSI X9.8 with card number): length and PIN
	// filled with F, combined by XOR with the last twelve digits of the card
	// number before its check digit. Field 53 begins with 2. Under SM4 the same
	// over 16 bytes.
	PINPAN PINFormat = "pan"
	// PINPlain is the same without card number. Field 53 begins with 1.
	PINPlain PINFormat = "plain"
	// PINISO4 is ISO 9564-1 format 4, of 16 bytes, with SM4 in the place of AES.
	PINISO4 PINFormat = "iso-4"
)

// ErrPIN is returned for a PIN block that does not open. It never says why: the
// reason would tell an attacker digits of the PIN.
var ErrPIN = errors.New("PIN block cannot be opened")

// RelayPIN re-encrypts the PIN block of a card payment that goes on from one
// party to another: from is the PIN key of the terminal that sent it (MAC.PINKey
// of the link it came over), to that of the terminal of ours that sends it on
// (MAC.PINKey of the host's link, with our terminal in the request asked with).
// Block and security control (field 53) are replaced in req.More, which must
// not be shared. A request without a PIN block is left as it is. The PIN is in
// clear nowhere outside the vault.
func RelayPIN(v Vault, req *pay.Request, from, to PINKey) error {
	at := slices.IndexFunc(req.More, func(f pay.Field) bool { return f.ID == pay.FPIN })
	if at < 0 {
		return nil
	}
	block, err := v.TranslatePIN([]byte(req.More[at].Val), from, to, pay.Find(req.More, pay.FPAN))
	if err != nil {
		return err
	}
	req.More[at].Val = string(block)
	for i := range req.More {
		if f := &req.More[i]; f.ID == pay.FPINFormat && len(f.Val) > 1 {
			f.Val = to.control() + f.Val[2:]
		}
	}
	return nil
}

// control is the beginning of field 53: format of the PIN block, then the
// method: 0 DES, 6 double-length DES, 4 SM4.
func (k PINKey) control() string {
	format, method := "2", "6"
	if k.Format == PINPlain {
		format = "1"
	}
	switch {
	case !k.DES:
		method = "4"
	case len(k.Bytes) == 8:
		method = "0"
	}
	return format + method
}

// SoftVault is a Vault in memory, for tests and the demo: the master keys are
// those of a ring. It is no HSM: who reads the process's memory reads the PINs.
type SoftVault struct{ ring Ring }

// NewSoftVault builds a vault with the shared secrets of the ring as its master
// keys.
func NewSoftVault(ring Ring) *SoftVault { return &SoftVault{ring} }

// TranslatePIN implements Vault.
func (v *SoftVault) TranslatePIN(block []byte, from, to PINKey, pan string) ([]byte, error) {
	in, err := v.open(from)
	if err != nil {
		return nil, err
	}
	out, err := v.open(to)
	if err != nil {
		return nil, err
	}
	var pin [maxPIN]byte
	defer clear(pin[:])
	n, err := openPIN(in, from.Format, block, pan, &pin)
	if err != nil {
		return nil, err
	}
	return sealPIN(out, to.Format, pin[:n], pan)
}

// open unwraps a PIN key.
func (v *SoftVault) open(k PINKey) (cipher.Block, error) {
	master := v.ring[k.Master].SM4
	if len(master) != 16 {
		return nil, fmt.Errorf("vault: no master key %q", k.Master)
	}
	if n := len(k.Bytes); n != 16 && (!k.DES || n != 8 && n != 24) {
		return nil, fmt.Errorf("vault: PIN key of %d bytes", n)
	}
	block, err := blockOf(k.DES, master)
	if err != nil {
		return nil, err
	}
	key := make([]byte, len(k.Bytes))
	defer clear(key)
	each(block, block.Decrypt, key, []byte(k.Bytes))
	return blockOf(k.DES, key)
}

const (
	minPIN = 4
	maxPIN = 12
)

// openPIN decrypts a block, puts the digits of the PIN, as numbers, into pin
// and returns how many there are.
func openPIN(key cipher.Block, format PINFormat, block []byte, pan string, pin *[maxPIN]byte) (int, error) {
	size := key.BlockSize()
	mask, err := panField(format, size, pan)
	if err != nil || len(block) != size {
		return 0, ErrPIN
	}
	plain := make([]byte, size)
	defer clear(plain)
	key.Decrypt(plain, block)
	subtle.XORBytes(plain, plain, mask)
	control, fill := byte(0), byte(0xF)
	if format == PINISO4 {
		key.Decrypt(plain, plain)
		control, fill = 4, 0xA
	}
	n := int(plain[0] & 0xF)
	good := plain[0]>>4 == control && n >= minPIN && n <= maxPIN
	for i := 0; i < 2*size-2; i++ {
		d := plain[1+i/2] >> (4 * (1 - i%2)) & 0xF
		switch {
		case i < n && i < maxPIN:
			good = good && d <= 9
			pin[i] = d
		case format != PINISO4 || i < 14: // behind that format 4 has random digits
			good = good && d == fill
		}
	}
	if !good {
		return 0, ErrPIN
	}
	return n, nil
}

// sealPIN makes up and encrypts the block of a PIN, given as numbers.
func sealPIN(key cipher.Block, format PINFormat, pin []byte, pan string) ([]byte, error) {
	size := key.BlockSize()
	mask, err := panField(format, size, pan)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, size)
	defer clear(plain)
	control, fill := byte(0), byte(0xF)
	if format == PINISO4 {
		control, fill = 4, 0xA
	}
	plain[0] = control<<4 | byte(len(pin))
	for i := 0; i < 2*size-2; i++ {
		d := fill
		if i < len(pin) {
			d = pin[i]
		}
		plain[1+i/2] |= d << (4 * (1 - i%2))
	}
	out := make([]byte, size)
	if format == PINISO4 {
		if _, err := rand.Read(plain[8:]); err != nil {
			return nil, err
		}
		key.Encrypt(plain, plain)
	}
	subtle.XORBytes(out, plain, mask)
	key.Encrypt(out, out)
	return out, nil
}

// panField is what the card number adds to a block of size bytes.
func panField(format PINFormat, size int, pan string) ([]byte, error) {
	out := make([]byte, size)
	if format == PINPlain {
		return out, nil
	}
	if len(pan) < 13 || len(pan) > 19 || slices.ContainsFunc([]byte(pan), func(c byte) bool { return c < '0' || c > '9' }) {
		return nil, errors.New("PIN block: want a card number of 13 to 19 digits")
	}
	put := func(nibble int, d byte) { out[nibble/2] |= d << (4 * (1 - nibble%2)) }
	switch {
	case format == PINPAN:
		for i, c := range []byte(pan[len(pan)-13 : len(pan)-1]) {
			put(2*size-12+i, c-'0')
		}
	case format == PINISO4 && size == 16:
		put(0, byte(len(pan)-12))
		for i, c := range []byte(pan) {
			put(1+i, c-'0')
		}
	default:
		return nil, fmt.Errorf("PIN block: format %q in %d bytes", string(format), size)
	}
	return out, nil
}
