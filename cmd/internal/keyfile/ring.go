package keyfile

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"qianzhi/protocol/gm"
	"qianzhi/protocol/secure"
)

// Entry is one key of a ring on disk. Text is what a key file of its kind holds.
type Entry struct {
	Name  string    `json:"name"`
	Kind  string    `json:"kind"`            // sm2, public, sm4 or text
	Text  string    `json:"text"`            // PEM, 32 hex digits, or the secret text
	Chain string    `json:"chain,omitempty"` // certificates, the holder's first
	Made  time.Time `json:"made"`
	Until time.Time `json:"until,omitzero"` // of a key that was renewed: still believed before
}

// key is the entry as the program uses it.
func (e *Entry) key() (secure.Key, error) {
	if e.Kind == "text" {
		return secure.Key{Text: []byte(e.Text)}, nil
	}
	key, err := parse([]byte(e.Text))
	if err != nil {
		return secure.Key{}, fmt.Errorf("%s: %w", e.Name, err)
	}
	return key, nil
}

// Certificates returns the chain of the entry, none if it has no certificate.
func (e *Entry) Certificates() ([]*gm.Certificate, error) {
	if e.Chain == "" {
		return nil, nil
	}
	return gm.ParseCertificates([]byte(e.Chain))
}

// Ring is the key ring on disk: a JSON file whose entries are sealed as one with
// SM4-GCM under a KEK, so that none can be changed, exchanged or left out.
type Ring struct {
	Entries []Entry
	kek     KEK
	path    string
}

const ringFormat = "qianzhi-ring-1"

// ringFile is the file: what is clear in it says what it is and under which KEK.
type ringFile struct {
	Format string `json:"format"`
	Check  string `json:"kek_check"`
	Sealed []byte `json:"sealed"` // nonce 12, entries as JSON, tag 16
}

// NewRing is an empty ring that Save will write.
func NewRing(path string, kek KEK) *Ring { return &Ring{kek: kek, path: path} }

// OpenRing reads a ring. Others must not be able to read its file.
func OpenRing(path string, kek KEK) (*Ring, error) {
	text, mode, err := read(path, maxRing)
	if err != nil {
		return nil, err
	}
	if mode.Perm()&0o077 != 0 {
		return nil, tooOpen(path, mode)
	}
	var f ringFile
	if err := json.Unmarshal(text, &f); err != nil || f.Format != ringFormat {
		return nil, fmt.Errorf("%s: 不是密钥环", path)
	}
	if f.Check != kek.Check() {
		return nil, fmt.Errorf("%s: 密钥分量不对: 校验值应为 %s, 而不是 %s", path, f.Check, kek.Check())
	}
	aead, err := gm.NewGCM(kek.key[:])
	if err != nil {
		return nil, err
	}
	if len(f.Sealed) < gm.NonceSize {
		return nil, fmt.Errorf("%s: 密钥环已损坏", path)
	}
	plain, err := aead.Open(nil, f.Sealed[:gm.NonceSize], f.Sealed[gm.NonceSize:], []byte(ringFormat))
	if err != nil {
		return nil, fmt.Errorf("%s: 密钥环已损坏或被改动", path)
	}
	defer clear(plain)
	r := NewRing(path, kek)
	if err := json.Unmarshal(plain, &r.Entries); err != nil {
		return nil, fmt.Errorf("%s: 密钥环已损坏", path)
	}
	return r, nil
}

// Save seals the ring and writes it, whole or not at all.
func (r *Ring) Save() error {
	plain, err := json.Marshal(r.Entries)
	if err != nil {
		return err
	}
	defer clear(plain)
	if len(plain) > maxRing/2 { // base64 makes four bytes of three
		return fmt.Errorf("%s: 密钥环超过 %d 字节", r.path, maxRing/2)
	}
	aead, err := gm.NewGCM(r.kek.key[:])
	if err != nil {
		return err
	}
	nonce := make([]byte, gm.NonceSize)
	if _, err := rand.Read(nonce); err != nil {
		return err
	}
	text, err := json.MarshalIndent(ringFile{ringFormat, r.kek.Check(), aead.Seal(nonce, nonce, plain, []byte(ringFormat))}, "", "  ")
	if err != nil {
		return err
	}
	return Write(r.path, append(text, '\n'))
}

// Reseal puts the ring under another KEK, from the next Save on.
func (r *Ring) Reseal(kek KEK) { r.kek = kek }

// KEK returns the key that seals the ring, which prints as its check value.
func (r *Ring) KEK() KEK { return r.kek }

// Find returns the present key of a name, nil if there is none.
func (r *Ring) Find(name string) *Entry {
	for i := range r.Entries {
		if e := &r.Entries[i]; e.Name == name && e.Until.IsZero() {
			return e
		}
	}
	return nil
}

// Add puts a key into the ring under a name that it does not have yet.
func (r *Ring) Add(e Entry) error {
	switch {
	case e.Name == "":
		return errors.New("密钥没有名称")
	case r.Find(e.Name) != nil:
		return fmt.Errorf("密钥 %q 已存在; 换新用 rotate", e.Name)
	}
	if _, err := e.key(); err != nil {
		return err
	}
	r.Entries = append(r.Entries, e)
	return nil
}

// Renew puts a key in the place of the present one of its name and kind. An SM2
// key that is renewed is believed until the time given; of shared secrets only
// one is valid at a time.
func (r *Ring) Renew(e Entry, until time.Time) error {
	old := r.Find(e.Name)
	if old == nil {
		return fmt.Errorf("没有密钥 %q", e.Name)
	}
	if old.Kind != e.Kind {
		return fmt.Errorf("密钥 %q 的种类是 %s, 不是 %s", e.Name, old.Kind, e.Kind)
	}
	if _, err := e.key(); err != nil {
		return err
	}
	if e.Kind == "sm4" || e.Kind == "text" {
		*old = e
		return nil
	}
	old.Until = until
	r.Entries = append(r.Entries, e)
	return nil
}

// Prune drops renewed keys that are not believed any more and returns how many.
func (r *Ring) Prune(now time.Time) int {
	before := len(r.Entries)
	r.Entries = slices.DeleteFunc(r.Entries, func(e Entry) bool { return !e.Until.IsZero() && !e.Until.After(now) })
	return before - len(r.Entries)
}

// Key returns a key by name, with the renewed ones that are still believed, the
// newest first.
func (r *Ring) Key(name string, now time.Time) (secure.Key, error) {
	present := r.Find(name)
	if present == nil {
		return secure.Key{}, fmt.Errorf("%s: 没有密钥 %q", r.path, name)
	}
	key, err := present.key()
	last := &key
	for i := len(r.Entries) - 1; i >= 0 && err == nil; i-- {
		e := &r.Entries[i]
		if e.Name != name || e.Until.IsZero() || !e.Until.After(now) {
			continue
		}
		var former secure.Key
		if former, err = e.key(); err == nil {
			last.Former = &former
			last = &former
		}
	}
	return key, err
}

// Generate makes a new key of a kind: sm2 or sm4 (also a double-length DES key:
// 16 bytes).
func Generate(name, kind string, now time.Time) (Entry, error) {
	e := Entry{Name: name, Kind: kind, Made: now}
	switch kind {
	case "sm2":
		key, err := gm.GenerateKey()
		if err != nil {
			return e, err
		}
		text, err := gm.MarshalPrivateKey(key)
		e.Text = string(text)
		return e, err
	case "sm4":
		var b [gm.BlockSize]byte
		if _, err := rand.Read(b[:]); err != nil {
			return e, err
		}
		e.Text = strings.ToUpper(hex.EncodeToString(b[:]))
		return e, nil
	}
	return e, fmt.Errorf("种类应为 sm2 或 sm4, 而不是 %q", kind)
}

// Import reads a key file, or certificates, as an entry of a ring.
func Import(name, file string, now time.Time) (Entry, error) {
	text, mode, err := read(file, maxSize)
	if err != nil {
		return Entry{}, err
	}
	text = bytes.TrimSpace(text)
	e := Entry{Name: name, Kind: kindOf(text), Text: string(text), Made: now}
	if e.Kind == "certificate" {
		chain, err := gm.ParseCertificates(text)
		if err != nil {
			return Entry{}, fmt.Errorf("%s: %w", file, err)
		}
		pub, err := gm.MarshalPublicKey(chain[0].Key())
		e.Kind, e.Text, e.Chain = "public", string(pub), string(text)
		return e, err
	}
	if e.Kind == "text" {
		e.Text = strings.TrimPrefix(e.Text, textPrefix)
	}
	if e.Kind != "public" && mode.Perm()&0o077 != 0 {
		return Entry{}, tooOpen(file, mode)
	}
	if _, err := e.key(); err != nil {
		return Entry{}, err
	}
	return e, nil
}

func tooOpen(name string, mode os.FileMode) error {
	return fmt.Errorf("%s is readable by others (mode %o), want 600", name, mode.Perm())
}
