package secure

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"qianzhi/protocol"
	"qianzhi/protocol/gm"
)

// CipherOptions say how bytes are encrypted with SM4: a whole body, the body
// within an outer document, or one field. Only GCM notices a change: with ECB
// and CBC a signature or MAC has to.
type CipherOptions struct {
	Mode     string `yaml:"mode"`     // required: one of ecb, cbc, gcm (RFC 8998: nonce of 12 bytes in front, tag of 16 behind)
	Key      string `yaml:"key"`      // role of the shared SM4 key; empty: a digital envelope, see wrap
	Wrap     string `yaml:"wrap"`     // digital envelope (GB/T 35275 style): each message has a random key, encrypted with SM2 for the receiver; how that is written: one of asn1, c1c3c2, c1c2c3, bare-c1c3c2 (without the 04), bare-c1c2c3; it stands in front, or in the key field of an outer document
	Padding  string `yaml:"padding"`  // ecb, cbc: one of pkcs7 (default), zero (zeros, which are cut off when read)
	IV       string `yaml:"iv"`       // cbc: one of random (default: 16 bytes in front), zero, fixed
	IVText   string `yaml:"iv_text"`  // iv fixed: 16 characters, or 32 hex digits
	Encoding string `yaml:"encoding"` // of the result: one of raw (default for a body), base64 (default for fields and in an outer document), hex (small digits), hex-upper
	AAD      string `yaml:"aad"`      // gcm: text that is authenticated with the message
}

// Check reports the first setting that cannot work.
func (o *CipherOptions) Check() error {
	switch {
	case o.Mode != "ecb" && o.Mode != "cbc" && o.Mode != "gcm":
		return fmt.Errorf("mode: want ecb, cbc or gcm, got %q", o.Mode)
	case (o.Key == "") == (o.Wrap == ""):
		return errors.New("key: want either key or wrap")
	case o.Wrap != "" && !gm.CipherForm(o.Wrap).Known():
		return fmt.Errorf("wrap: want asn1, c1c3c2, c1c2c3, bare-c1c3c2 or bare-c1c2c3, got %q", o.Wrap)
	case o.Padding != "" && (o.Padding != "pkcs7" && o.Padding != "zero" || o.Mode == "gcm"):
		return fmt.Errorf("padding: want pkcs7 or zero, and none with gcm, got %q", o.Padding)
	case o.IV != "" && o.Mode != "cbc":
		return errors.New("iv: only for cbc; gcm has a nonce that is never the same")
	case o.IV != "" && o.IV != "random" && o.IV != "zero" && o.IV != "fixed":
		return fmt.Errorf("iv: want random, zero or fixed, got %q", o.IV)
	case (o.IV == "fixed") != (o.IVText != ""):
		return errors.New("iv_text: for iv: fixed")
	case o.AAD != "" && o.Mode != "gcm":
		return errors.New("aad: only for gcm")
	}
	if _, err := o.iv(); err != nil {
		return err
	}
	if o.Encoding == "" {
		return nil
	}
	return encoding(o.Encoding).check(true)
}

// iv returns the fixed IV, nil for a random one.
func (o *CipherOptions) iv() ([]byte, error) {
	switch {
	case o.IV == "zero":
		return make([]byte, gm.BlockSize), nil
	case o.IV != "fixed":
		return nil, nil
	case len(o.IVText) == gm.BlockSize:
		return []byte(o.IVText), nil
	}
	iv, err := hex.DecodeString(o.IVText)
	if err != nil || len(iv) != gm.BlockSize {
		return nil, errors.New("iv_text: want 16 characters or 32 hex digits")
	}
	return iv, nil
}

// sm4Key is one SM4 key, ready for the mode of a link.
type sm4Key struct {
	block  cipher.Block
	aead   cipher.AEAD
	nonces *gm.NonceSource
}

// box encrypts and decrypts as CipherOptions say, for one direction of a link.
// It is safe for concurrent use.
type box struct {
	o      CipherOptions
	enc    encoding
	iv     []byte // fixed; nil: random, in front
	shared *sm4Key
	to     *gm.PublicKey    // receiver of a digital envelope
	own    []*gm.PrivateKey // of this end, if it is the receiver
}

// newBox builds the box whose receiver is the role; text says that the result
// stands where text is wanted.
func newBox(o CipherOptions, keys Keys, receiver string, text bool) (b *box, err error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	b = &box{o: o, enc: encoding(o.Encoding)}
	if b.enc == "" && text {
		b.enc = encBase64
	} else if b.enc == "" {
		b.enc = encRaw
	}
	if b.iv, err = o.iv(); err != nil {
		return nil, err
	}
	if o.Wrap == "" {
		key, err := keys.SM4(o.Key)
		if err != nil {
			return nil, err
		}
		b.shared, err = b.newKey(key)
		return b, err
	}
	b.own = keys.openers(receiver)
	b.to, err = keys.Public(receiver)
	return b, err
}

func (b *box) newKey(key []byte) (k *sm4Key, err error) {
	k = new(sm4Key)
	if k.block, err = gm.NewSM4(key); err != nil || b.o.Mode != "gcm" {
		return k, err
	}
	if k.aead, err = gm.NewGCM(key); err == nil {
		k.nonces, err = gm.NewNonceSource()
	}
	return k, err
}

// fresh draws a key for one message and returns it with its digital envelope.
func (b *box) fresh() (*sm4Key, []byte, error) {
	key := make([]byte, gm.BlockSize)
	defer clear(key)
	if _, err := rand.Read(key); err != nil {
		return nil, nil, err
	}
	wrapped, err := b.to.EncryptAs(gm.CipherForm(b.o.Wrap), key)
	if err != nil {
		return nil, nil, err
	}
	k, err := b.newKey(key)
	return k, wrapped, err
}

// unwrap opens a digital envelope.
func (b *box) unwrap(wrapped []byte) (*sm4Key, error) {
	if len(b.own) == 0 {
		return nil, errors.New("no private key for this direction")
	}
	var key []byte
	err := anyOf(b.own, func(k *gm.PrivateKey) (err error) {
		key, err = k.DecryptAs(gm.CipherForm(b.o.Wrap), wrapped)
		return err
	})
	defer clear(key)
	if err != nil || len(key) != gm.BlockSize {
		return nil, errSealed
	}
	return b.newKey(key)
}

// errSealed is the one answer to everything that does not decrypt: which step
// failed helps only an attacker.
var errSealed = authError("a body sealed under the agreed key", "one that does not open", "check key, mode, padding and iv")

// seal encrypts plain, unencoded: what goes in front, then the ciphertext.
func (b *box) seal(k *sm4Key, plain []byte) ([]byte, error) {
	if b.o.Mode == "gcm" {
		nonce, err := k.nonces.Next()
		if err != nil {
			return nil, err
		}
		out := make([]byte, nonceSize, nonceSize+len(plain)+16)
		copy(out, nonce[:])
		return k.aead.Seal(out, nonce[:], plain, []byte(b.o.AAD)), nil
	}
	front := 0
	iv := b.iv
	if b.o.Mode == "cbc" && iv == nil {
		front = gm.BlockSize
		iv = make([]byte, front)
		if _, err := rand.Read(iv); err != nil {
			return nil, err
		}
	}
	if b.o.Padding == "zero" && len(plain) > 0 && plain[len(plain)-1] == 0 {
		return nil, errors.New("a body that ends in a zero byte cannot have zero padding")
	}
	padded := b.pad(plain)
	out := make([]byte, front+len(padded))
	copy(out[:front], iv)
	if b.o.Mode == "cbc" {
		cipher.NewCBCEncrypter(k.block, iv).CryptBlocks(out[front:], padded)
		return out, nil
	}
	if len(padded) == 0 {
		return out, nil
	}
	return out, gm.EncryptECB(k.block, out, padded)
}

// open is the reverse of seal. Every error is errSealed.
func (b *box) open(k *sm4Key, sealed []byte) ([]byte, error) {
	if b.o.Mode == "gcm" {
		if len(sealed) < nonceSize {
			return nil, errSealed
		}
		plain, err := k.aead.Open(nil, sealed[:nonceSize], sealed[nonceSize:], []byte(b.o.AAD))
		if err != nil {
			return nil, errSealed
		}
		return plain, nil
	}
	iv := b.iv
	if b.o.Mode == "cbc" && iv == nil {
		if len(sealed) < gm.BlockSize {
			return nil, errSealed
		}
		iv, sealed = sealed[:gm.BlockSize], sealed[gm.BlockSize:]
	}
	if len(sealed)%gm.BlockSize != 0 {
		return nil, errSealed
	}
	out := make([]byte, len(sealed))
	if b.o.Mode == "cbc" {
		cipher.NewCBCDecrypter(k.block, iv).CryptBlocks(out, sealed)
	} else if len(sealed) > 0 {
		if err := gm.DecryptECB(k.block, out, sealed); err != nil {
			return nil, errSealed
		}
	}
	return b.unpad(out)
}

func (b *box) pad(plain []byte) []byte {
	if b.o.Padding == "zero" {
		return append(bytes.Clone(plain), make([]byte, (gm.BlockSize-len(plain)%gm.BlockSize)%gm.BlockSize)...)
	}
	return gm.PadPKCS7(plain)
}

func (b *box) unpad(padded []byte) ([]byte, error) {
	if b.o.Padding == "zero" {
		plain := bytes.TrimRight(padded, "\x00")
		if len(padded)-len(plain) >= gm.BlockSize {
			return nil, errSealed
		}
		return plain, nil
	}
	plain, err := gm.UnpadPKCS7(padded)
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}

// Cipher is an Envelope for one direction of a link: the whole body encrypted,
// behind the key of a digital envelope if there is one. It is safe for
// concurrent use.
type Cipher struct{ box *box }

// NewCipher builds the Envelope of the direction whose messages the role
// receives.
func NewCipher(o CipherOptions, keys Keys, receiver string) (*Cipher, error) {
	b, err := newBox(o, keys, receiver, false)
	return &Cipher{b}, err
}

// Seal encrypts the body and appends the result.
func (c *Cipher) Seal(dst []byte, f *protocol.Frame) ([]byte, error) {
	k, front := c.box.shared, []byte(nil)
	if k == nil {
		var err error
		if k, front, err = c.box.fresh(); err != nil {
			return nil, err
		}
	}
	sealed, err := c.box.seal(k, f.Body)
	if err != nil {
		return nil, err
	}
	return c.box.enc.encode(dst, append(front, sealed...)), nil
}

// Open decrypts the body and appends the inner one.
func (c *Cipher) Open(dst []byte, f *protocol.Frame) ([]byte, error) {
	sealed, err := c.box.enc.decode(f.Body)
	if err != nil {
		return nil, err
	}
	k := c.box.shared
	if k == nil {
		wrapped, rest, err := c.box.split(sealed)
		if err != nil {
			return nil, err
		}
		if k, err = c.box.unwrap(wrapped); err != nil {
			return nil, err
		}
		sealed = rest
	}
	plain, err := c.box.open(k, sealed)
	if err != nil {
		return nil, err
	}
	return append(dst, plain...), nil
}

// split cuts the digital envelope off the front.
func (b *box) split(sealed []byte) (wrapped, rest []byte, err error) {
	form := gm.CipherForm(b.o.Wrap)
	if form != gm.FormASN1 {
		n := form.Overhead() + gm.BlockSize
		if len(sealed) < n {
			return nil, nil, authError("a digital envelope", strconv.Itoa(len(sealed))+" bytes", "")
		}
		return sealed[:n], sealed[n:], nil
	}
	var first asn1.RawValue
	rest, err = asn1.Unmarshal(sealed, &first)
	if err != nil {
		return nil, nil, authError("a digital envelope", "no DER", "")
	}
	return first.FullBytes, rest, nil
}
