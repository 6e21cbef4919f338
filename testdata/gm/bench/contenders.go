package main

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	fast "github.com/emmansun/gmsm/sm2"
	fast4 "github.com/emmansun/gmsm/sm4"
	tjfoc "github.com/tjfoc/gmsm/sm2"
	tjfoc4 "github.com/tjfoc/gmsm/sm4"

	"qianzhi/protocol"
	"qianzhi/protocol/gm"
	"qianzhi/protocol/secure"
)

var (
	errForged = errors.New("an authentic message was refused")
	id        = []byte(gm.DefaultID)
	message   = bytes.Repeat([]byte("0512000123|30150"), 32) // 512 bytes
)

// ring has the keys of both ends: this process plays both.
func ring() (secure.Keys, error) {
	bank, err := gm.GenerateKey()
	if err != nil {
		return secure.Keys{}, err
	}
	own, err := gm.GenerateKey()
	return secure.Keys{Ring: secure.Ring{"bank": {Private: bank}, "gateway": {Private: own}, "session": {SM4: make([]byte, 16)}},
		Roles: map[string]string{"bank": "bank", "gateway": "gateway", "session": "session"}}, err
}

// exchange opens one and the same request again and again and seals replies.
func exchange(request, reply protocol.Envelope) (func() error, error) {
	sealed, err := request.Seal(nil, &protocol.Frame{Body: message})
	if err != nil {
		return nil, err
	}
	return func() error {
		body, err := request.Open(nil, &protocol.Frame{Body: sealed})
		if err != nil {
			return err
		}
		_, err = reply.Seal(nil, &protocol.Frame{Body: body})
		return err
	}, nil
}

// sealed is a link's envelope with SM2 for each message.
func sealed() (func() error, error) {
	keys, err := ring()
	if err != nil {
		return nil, err
	}
	o := secure.SealOptions{Key: "session", UserID: gm.DefaultID}
	request, err := secure.NewSeal(o, keys, "bank")
	if err != nil {
		return nil, err
	}
	reply, err := secure.NewSeal(o, keys, "gateway")
	if err != nil {
		return nil, err
	}
	return exchange(request, reply)
}

// session is a link's envelope with session keys.
func session() (func() error, error) {
	keys, err := ring()
	if err != nil {
		return nil, err
	}
	o := secure.SessionOptions{Life: time.Hour, UserID: gm.DefaultID, Tickets: 16}
	request, err := secure.NewSession(o, keys, "bank", "gateway", time.Now)
	if err != nil {
		return nil, err
	}
	reply, err := secure.NewSession(o, keys, "gateway", "bank", time.Now)
	if err != nil {
		return nil, err
	}
	return exchange(request, reply)
}

// alone is the exchange with a library by itself, whose signature is DER: open,
// verify, sign, seal, with GCM of the standard library over its block.
func alone(block cipher.Block, sign func(msg []byte) ([]byte, error), verify func(msg, sig []byte) bool) (func() error, error) {
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	var used atomic.Uint64
	seal := func() ([]byte, error) {
		sig, err := sign(message)
		if err != nil {
			return nil, err
		}
		nonce := make([]byte, 12)
		binary.BigEndian.PutUint64(nonce[4:], used.Add(1))
		return aead.Seal(nonce, nonce, append(bytes.Clone(message), sig...), nil), nil
	}
	request, err := seal()
	if err != nil {
		return nil, err
	}
	return func() error {
		plain, err := aead.Open(nil, request[:12], request[12:], nil)
		if err != nil {
			return err
		}
		if !verify(plain[:len(message)], plain[len(message):]) {
			return errForged
		}
		_, err = seal()
		return err
	}, nil
}

func native() (func() error, error) {
	key, err := tjfoc.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := tjfoc4.NewCipher(make([]byte, 16))
	if err != nil {
		return nil, err
	}
	return alone(block, func(msg []byte) ([]byte, error) { return key.Sign(rand.Reader, msg, nil) },
		func(msg, sig []byte) bool { return key.PublicKey.Verify(msg, sig) })
}

func pure() (func() error, error) {
	key, err := fast.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := fast4.NewCipher(make([]byte, 16))
	if err != nil {
		return nil, err
	}
	return alone(block, func(msg []byte) ([]byte, error) { return key.Sign(rand.Reader, msg, fast.DefaultSM2SignerOpts) },
		func(msg, sig []byte) bool { return fast.VerifyASN1WithSM2(&key.PublicKey, id, msg, sig) })
}
