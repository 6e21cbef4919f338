package gm

import (
	"crypto/cipher"
	"crypto/rand"
	"syscall"
	"testing"

	fast "github.com/emmansun/gmsm/sm2"
	fastsm4 "github.com/emmansun/gmsm/sm4"
	tjfocsm4 "github.com/tjfoc/gmsm/sm4"
)

// contender is one way to do the cryptography of an exchange: open a sealed
// request, verify its signature, sign the reply and seal it.
type contender struct {
	verify func(msg, sig []byte) bool
	sign   func(msg []byte) ([]byte, error)
	aead   cipher.AEAD
}

// contenders are this package, and each of the two libraries used as it comes.
func contenders(b *testing.B) map[string]contender {
	b.Helper()
	key, secret, id := standardKey(b), make([]byte, BlockSize), []byte(DefaultID)
	ours, err := NewGCM(secret)
	if err != nil {
		b.Fatal(err)
	}
	slow, err := key.On(Native)
	if err != nil {
		b.Fatal(err)
	}
	out := map[string]contender{
		"ours": {
			verify: func(msg, sig []byte) bool { return key.Public().Verify(id, msg, sig) == nil },
			sign:   func(msg []byte) ([]byte, error) { return key.Sign(id, msg) },
			aead:   ours,
		},
		"tjfoc": {
			verify: func(msg, sig []byte) bool { return slow.public.key.Verify(msg, sig) },
			sign:   func(msg []byte) ([]byte, error) { return slow.key.Sign(rand.Reader, msg, nil) },
		},
		"emmansun": {
			verify: func(msg, sig []byte) bool { return fast.VerifyASN1WithSM2(&key.hedged.PublicKey, id, msg, sig) },
			sign: func(msg []byte) ([]byte, error) {
				return key.hedged.Sign(rand.Reader, msg, fast.NewSM2SignerOption(true, id))
			},
		},
	}
	for name, block := range map[string]func([]byte) (cipher.Block, error){"tjfoc": tjfocsm4.NewCipher, "emmansun": fastsm4.NewCipher} {
		c := out[name]
		k, err := block(secret)
		if err != nil {
			b.Fatal(err)
		}
		if c.aead, err = cipher.NewGCM(k); err != nil {
			b.Fatal(err)
		}
		out[name] = c
	}
	return out
}

// exchange runs one with a request of the contender's own making.
func (c *contender) exchange(b *testing.B, nonce, sealed, sig, reply, plain, out []byte) {
	request, err := c.aead.Open(plain[:0], nonce, sealed, nil)
	if err != nil || !c.verify(request, sig) {
		b.Fatalf("request refused: %v", err)
	}
	proof, err := c.sign(reply)
	if err != nil {
		b.Fatal(err)
	}
	c.aead.Seal(out[:0], nonce, append(reply, proof...), nil)
}

// cpu is the processor time of this process, nanoseconds: other work on the
// machine does not count.
func cpu(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkExchange opens, verifies, signs and seals messages of 512 bytes. Its
// cpu-ns/op is what make bench-gm compares.
func BenchmarkExchange(b *testing.B) {
	all := contenders(b)
	msg := make([]byte, 512)
	for _, name := range []string{"ours", "tjfoc", "emmansun"} {
		c := all[name]
		for _, other := range all { // they understand one another
			if sig, err := other.sign(msg); err != nil || !c.verify(msg, sig) || c.verify(msg[1:], sig) {
				b.Fatalf("%s: signature of another contender: %v", name, err)
			}
		}
		sig, err := c.sign(msg)
		if err != nil {
			b.Fatal(err)
		}
		nonce := make([]byte, NonceSize)
		sealed := c.aead.Seal(nil, nonce, msg, nil)
		reply, plain, out := make([]byte, 512, 600), make([]byte, 0, 600), make([]byte, 0, 700)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			began := cpu(b)
			for b.Loop() {
				c.exchange(b, nonce, sealed, sig, reply, plain, out)
			}
			b.ReportMetric(float64(cpu(b)-began)/float64(b.N), "cpu-ns/op")
		})
	}
}
