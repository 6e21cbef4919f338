package secure

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"time"

	"qianzhi/protocol"
	"qianzhi/protocol/gm"
)

// SessionOptions wrap the whole body under session keys: an HMAC-SM3 behind it,
// the two encrypted with SM4-GCM. The keys of a direction are drawn by its
// sender, encrypted with SM2 for the receiver and signed with SM2 by the sender;
// this ticket goes in front of every message, so there is no hand-shake, and
// either end may restart at any time. SM2 is computed once a ticket.
//
// On the wire: length of the ticket (2 bytes), ticket, nonce 12, ciphertext,
// tag 16. Ticket: time of issue (8 bytes, seconds since 1970), DER of the SM2
// ciphertext of the keys (SM4 16, HMAC 32), signature r||s 64.
type SessionOptions struct {
	Life    time.Duration `yaml:"life"`    // required: after it the sender draws new keys; the receiver takes the old ones a tenth longer
	UserID  string        `yaml:"user_id"` // required: user id of the ticket's signature; GM/T 0009: 1234567812345678
	Tickets int           `yaml:"tickets"` // required: tickets remembered by the receiver at once; the oldest is forgotten and computed anew
}

// Check reports the first setting that cannot work.
func (o *SessionOptions) Check() error {
	if o.Life < time.Minute || o.UserID == "" || o.Tickets <= 0 {
		return errors.New("life of a minute or more, user_id and tickets are needed")
	}
	return nil
}

// Session is an Envelope for one direction of a link. It is safe for concurrent
// use.
type Session struct {
	o        SessionOptions
	aad      []byte
	sign     *gm.PrivateKey // nil at the end that only opens
	verify   []*gm.PublicKey
	to       *gm.PublicKey
	own      []*gm.PrivateKey // none at the end that only seals
	now      func() time.Time
	mu       sync.RWMutex
	out      *sessionKeys
	in       map[string]*sessionKeys // by ticket
	inOrder  []string                // tickets, the oldest first
	creating sync.Mutex              // one ticket is drawn at a time
}

// sessionKeys are the keys of one ticket, ready for use.
type sessionKeys struct {
	ticket []byte
	issued time.Time
	aead   cipher.AEAD
	mac    *gm.HMAC
	nonces *gm.NonceSource
}

const (
	sessionSecret = gm.BlockSize + 32 // SM4 and HMAC key, bytes
	macSize       = 32
	issuedSize    = 8
	maxTicket     = 512 // bytes; a ticket has some 230
)

// NewSession builds the Envelope of the direction whose messages sender signs
// and receiver opens. The direction is part of what is authenticated.
func NewSession(o SessionOptions, keys Keys, sender, receiver string, now func() time.Time) (*Session, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	s := &Session{o: o, aad: []byte("qianzhi/2 " + sender + " " + receiver), now: now, in: map[string]*sessionKeys{}}
	var err error
	if s.verify, err = keys.believed(sender); err != nil {
		return nil, err
	}
	if s.to, err = keys.Public(receiver); err != nil {
		return nil, err
	}
	s.sign, _ = keys.Private(sender)
	s.own = keys.openers(receiver)
	return s, nil
}

// newSessionKeys prepares the keys of a ticket.
func newSessionKeys(ticket, secret []byte, issued time.Time) (k *sessionKeys, err error) {
	k = &sessionKeys{ticket: ticket, issued: issued, mac: gm.NewHMAC(secret[gm.BlockSize:])}
	if k.aead, err = gm.NewGCM(secret[:gm.BlockSize]); err != nil {
		return nil, err
	}
	k.nonces, err = gm.NewNonceSource()
	return k, err
}

// signed is what the signature of a ticket covers.
func (s *Session) signed(issued, wrapped []byte) []byte {
	return append(append(append([]byte{}, s.aad...), issued...), wrapped...)
}

// sending returns the keys to seal with, new ones when the old are out of date.
func (s *Session) sending() (*sessionKeys, error) {
	s.mu.RLock()
	k := s.out
	s.mu.RUnlock()
	if k != nil && s.now().Sub(k.issued) < s.o.Life {
		return k, nil
	}
	s.creating.Lock()
	defer s.creating.Unlock()
	s.mu.RLock()
	k = s.out
	s.mu.RUnlock()
	if k != nil && s.now().Sub(k.issued) < s.o.Life { // somebody else drew it meanwhile
		return k, nil
	}
	k, err := s.draw()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.out = k
	s.mu.Unlock()
	return k, nil
}

func (s *Session) draw() (*sessionKeys, error) {
	if s.sign == nil {
		return nil, errors.New("no private key for this direction")
	}
	secret := make([]byte, sessionSecret)
	defer clear(secret)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	wrapped, err := s.to.Encrypt(secret)
	if err != nil {
		return nil, err
	}
	now := s.now()
	issued := binary.BigEndian.AppendUint64(nil, uint64(now.Unix()))
	sig, err := s.sign.SignRaw([]byte(s.o.UserID), s.signed(issued, wrapped))
	if err != nil {
		return nil, err
	}
	ticket := append(append(append([]byte{}, issued...), wrapped...), sig...)
	return newSessionKeys(ticket, secret, now)
}

// Seal appends ticket and sealed body.
func (s *Session) Seal(dst []byte, f *protocol.Frame) ([]byte, error) {
	k, err := s.sending()
	if err != nil {
		return nil, err
	}
	nonce, err := k.nonces.Next()
	if err != nil {
		return nil, err
	}
	dst = slices.Grow(dst, 2+len(k.ticket)+nonceSize+len(f.Body)+macSize+k.aead.Overhead())
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(k.ticket)))
	dst = append(append(dst, k.ticket...), nonce[:]...)
	at := len(dst)
	dst = append(dst, f.Body...)
	mac := k.mac.Sum(s.aad, nonce[:], f.Body)
	dst = append(dst, mac[:]...)
	return k.aead.Seal(dst[:at], nonce[:], dst[at:], s.aad), nil
}

// Open looks the ticket up, or opens it, then decrypts the body, checks its MAC
// and appends it to dst.
func (s *Session) Open(dst []byte, f *protocol.Frame) ([]byte, error) {
	b := f.Body
	if len(b) < 2 {
		return nil, errTicket
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > maxTicket || len(b) < 2+n+nonceSize {
		return nil, errTicket
	}
	k, err := s.receiving(b[2 : 2+n])
	if err != nil {
		return nil, err
	}
	nonce, sealed := b[2+n:2+n+nonceSize], b[2+n+nonceSize:]
	at := len(dst)
	out, err := k.aead.Open(dst, nonce, sealed, s.aad)
	if err != nil || len(out)-at < macSize {
		return nil, errSealed
	}
	body := out[at : len(out)-macSize]
	if mac := k.mac.Sum(s.aad, nonce, body); !gm.EqualMAC(mac[:], out[len(out)-macSize:]) {
		return nil, errSealed
	}
	return out[:len(out)-macSize], nil
}

// errTicket is the one answer to a ticket that is not the sender's.
var errTicket = authError("a ticket of the sender for this end", "another", "check both ends' keys, their clocks and the direction")

// receiving returns the keys of a ticket. Only tickets that were proved are
// remembered.
func (s *Session) receiving(ticket []byte) (*sessionKeys, error) {
	s.mu.RLock()
	k := s.in[string(ticket)]
	s.mu.RUnlock()
	if k == nil {
		var err error
		if k, err = s.prove(ticket); err != nil {
			return nil, err
		}
		s.remember(k)
	}
	if age := s.now().Sub(k.issued); age > s.o.Life+s.o.Life/10 || age < -s.o.Life/10 {
		return nil, errTicket
	}
	return k, nil
}

func (s *Session) prove(ticket []byte) (*sessionKeys, error) {
	if len(s.own) == 0 {
		return nil, errors.New("no private key for this direction")
	}
	if len(ticket) < issuedSize+rawSize {
		return nil, errTicket
	}
	ticket = append([]byte{}, ticket...)
	issued, wrapped, sig := ticket[:issuedSize], ticket[issuedSize:len(ticket)-rawSize], ticket[len(ticket)-rawSize:]
	if err := anyOf(s.verify, func(k *gm.PublicKey) error { return k.VerifyRaw([]byte(s.o.UserID), s.signed(issued, wrapped), sig) }); err != nil {
		return nil, errTicket
	}
	var secret []byte
	err := anyOf(s.own, func(k *gm.PrivateKey) (err error) {
		secret, err = k.Decrypt(wrapped)
		return err
	})
	defer clear(secret)
	if err != nil || len(secret) != sessionSecret {
		return nil, errTicket
	}
	return newSessionKeys(ticket, secret, time.Unix(int64(binary.BigEndian.Uint64(issued)), 0))
}

func (s *Session) remember(k *sessionKeys) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in[string(k.ticket)] != nil {
		return
	}
	if len(s.inOrder) >= s.o.Tickets {
		delete(s.in, s.inOrder[0])
		s.inOrder = s.inOrder[1:]
	}
	s.in[string(k.ticket)] = k
	s.inOrder = append(s.inOrder, string(k.ticket))
}
