package gm

import "testing"

// onCurves runs the benchmark with the standard key on both implementations.
func onCurves(b *testing.B, f func(b *testing.B, key *PrivateKey)) {
	for _, c := range []Curve{Assembly, Native} {
		key, err := standardKey(b).On(c)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(c), func(b *testing.B) {
			b.ReportAllocs()
			f(b, key)
		})
	}
}

func BenchmarkSign(b *testing.B) {
	id, msg := []byte(DefaultID), make([]byte, 512)
	onCurves(b, func(b *testing.B, key *PrivateKey) {
		for b.Loop() {
			if _, err := key.SignRaw(id, msg); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	id, msg := []byte(DefaultID), make([]byte, 512)
	onCurves(b, func(b *testing.B, key *PrivateKey) {
		sig, err := key.Sign(id, msg)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if err := key.Public().Verify(id, msg, sig); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSealOpen(b *testing.B) {
	aead, err := NewGCM(make([]byte, 16))
	if err != nil {
		b.Fatal(err)
	}
	nonces, err := NewNonceSource()
	if err != nil {
		b.Fatal(err)
	}
	msg := make([]byte, 512)
	sealed, plain := make([]byte, 0, 600), make([]byte, 0, 600)
	b.ReportAllocs()
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		nonce, err := nonces.Next()
		if err != nil {
			b.Fatal(err)
		}
		sealed = aead.Seal(sealed[:0], nonce[:], msg, nil)
		if plain, err = aead.Open(plain[:0], nonce[:], sealed, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHMAC(b *testing.B) {
	h, msg := NewHMAC(make([]byte, 32)), make([]byte, 512)
	b.ReportAllocs()
	for b.Loop() {
		h.Sum(msg)
	}
}

func BenchmarkSelfTest(b *testing.B) {
	for b.Loop() {
		if err := SelfTest(); err != nil {
			b.Fatal(err)
		}
	}
}
