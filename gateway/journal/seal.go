package journal

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

// evKey is the row of a data key. It is no event of the business, so package
// pay does not know it; its number is far from theirs.
const evKey pay.EventKind = 128

// own reports whether a row is the journal's own and stands in the clear.
func own(k pay.EventKind) bool {
	return k == pay.EvCut || k == pay.EvFreeze || k == pay.EvFirst || k == evKey
}

// A sealed body is the row of the data key, the nonce and the ciphertext.
const keyRowSize = 8

// aad binds a sealed body to its payment, its kind and its key.
func aad(node uint8, log pay.Day, r *Row, key uint64) []byte {
	b := make([]byte, 0, 32)
	b = binary.BigEndian.AppendUint32(append(b, node), uint32(log))
	b = binary.BigEndian.AppendUint32(b, uint32(r.Day))
	b = binary.BigEndian.AppendUint64(b, r.Pay)
	b = binary.BigEndian.AppendUint64(append(b, byte(r.Kind)), key)
	return binary.BigEndian.AppendUint32(b, r.N)
}

// sealer seals the rows that one process writes to one log. It serves one
// goroutine.
type sealer struct {
	node   uint8
	log    pay.Day
	key    uint64 // row of the data key
	aead   cipher.AEAD
	nonces *gm.NonceSource
}

// seal replaces the content of a row by its sealed form.
func (s *sealer) seal(r *Row) error {
	if own(r.Kind) {
		return nil
	}
	nonce, err := s.nonces.Next()
	if err != nil {
		return err
	}
	b := make([]byte, 0, keyRowSize+gm.NonceSize+len(r.Body)+s.aead.Overhead())
	b = append(binary.BigEndian.AppendUint64(b, s.key), nonce[:]...)
	r.Body = s.aead.Seal(b, nonce[:], r.Body, aad(s.node, s.log, r, s.key))
	return nil
}

// keyring opens what sealers of this or an earlier process sealed. It is safe
// for concurrent use.
type keyring struct {
	node    uint8
	kek     cipher.AEAD
	version [4]byte // tells which key encryption key wrapped a data key

	mu   sync.Mutex
	keys map[keyName]cipher.AEAD
}

type keyName struct {
	log pay.Day
	row uint64
}

// maxKeys bounds the data keys held; a log has one for each process start.
const maxKeys = 4096

func newKeyring(node uint8, kek []byte) (*keyring, error) {
	aead, err := gm.NewGCM(kek)
	if err != nil {
		return nil, err
	}
	sum := gm.HMACSM3(kek, []byte("qianzhi journal key version"))
	return &keyring{node: node, kek: aead, version: [4]byte(sum[:4]), keys: map[keyName]cipher.AEAD{}}, nil
}

// newKey draws a data key and returns its sealer and the row that keeps it,
// which must be durable no later than anything sealed.
func (k *keyring) newKey(log pay.Day, row uint64) (*sealer, Row, error) {
	var key [gm.BlockSize]byte
	var nonce [gm.NonceSize]byte
	if _, err := rand.Read(key[:]); err != nil {
		return nil, Row{}, err
	}
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, Row{}, err
	}
	aead, err := gm.NewGCM(key[:])
	if err != nil {
		return nil, Row{}, err
	}
	nonces, err := gm.NewNonceSource()
	if err != nil {
		return nil, Row{}, err
	}
	r := Row{Seq: row, Kind: evKey}
	r.Body = append(append(r.Body, k.version[:]...), nonce[:]...)
	r.Body = k.kek.Seal(r.Body, nonce[:], key[:], aad(k.node, log, &r, row))
	k.keep(keyName{log, row}, aead)
	return &sealer{node: k.node, log: log, key: row, aead: aead, nonces: nonces}, r, nil
}

// unwrap takes up the data key of a row.
func (k *keyring) unwrap(log pay.Day, r *Row) (cipher.AEAD, error) {
	if r.Kind != evKey || len(r.Body) < len(k.version)+gm.NonceSize {
		return nil, fmt.Errorf("journal: %s row %d is no data key", log, r.Seq)
	}
	version, rest := r.Body[:len(k.version)], r.Body[len(k.version):]
	if [4]byte(version) != k.version {
		return nil, fmt.Errorf("journal: %s is sealed under key encryption key %x, this one is %x", log, version, k.version)
	}
	key, err := k.kek.Open(nil, rest[:gm.NonceSize], rest[gm.NonceSize:], aad(k.node, log, r, r.Seq))
	if err != nil {
		return nil, fmt.Errorf("journal: %s data key in row %d: %w", log, r.Seq, err)
	}
	aead, err := gm.NewGCM(key)
	if err != nil {
		return nil, err
	}
	k.keep(keyName{log, r.Seq}, aead)
	return aead, nil
}

func (k *keyring) keep(name keyName, aead cipher.AEAD) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.keys) >= maxKeys {
		clear(k.keys)
	}
	k.keys[name] = aead
}

// open returns the content of a sealed row of the log that rd reads.
func (k *keyring) open(ctx context.Context, log pay.Day, rd Reader, r *Row) ([]byte, error) {
	if len(r.Body) < keyRowSize+gm.NonceSize {
		return nil, fmt.Errorf("journal: %s row %d: %w", log, r.Seq, errContent)
	}
	name := keyName{log, binary.BigEndian.Uint64(r.Body)}
	k.mu.Lock()
	aead := k.keys[name]
	k.mu.Unlock()
	if aead == nil {
		row, err := one(ctx, rd, name.row)
		if err != nil {
			return nil, err
		}
		if aead, err = k.unwrap(log, &row); err != nil {
			return nil, err
		}
	}
	sealed := r.Body[keyRowSize:]
	plain, err := aead.Open(nil, sealed[:gm.NonceSize], sealed[gm.NonceSize:], aad(k.node, log, r, name.row))
	if err != nil {
		return nil, fmt.Errorf("journal: %s row %d: %w", log, r.Seq, err)
	}
	return plain, nil
}

var errNoRow = errors.New("journal: no such row")

// one reads a single row.
func one(ctx context.Context, rd Reader, seq uint64) (row Row, err error) {
	found := false
	err = rd.Read(ctx, Range{From: seq, To: seq}, func(r *Row) bool {
		row, found = *r, true
		return false
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: %d", errNoRow, seq)
	}
	return row, err
}
