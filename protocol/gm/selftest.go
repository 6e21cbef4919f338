package gm

import (
	"bytes"
	"crypto/elliptic"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"

	fast "github.com/emmansun/gmsm/sm2"
)

// SelfTest proves that both libraries compute what the standards say, that each
// understands the other, and that the fences stand. It takes a few
// milliseconds; the program refuses to start on an error, which names the check.
func SelfTest() error { return knownAnswers().run() }

// answers are inputs and the results they must have, in hex.
type answers struct {
	sm3Message, sm3Sum                              string
	sm4Key, sm4Plain, sm4Sealed                     string
	gcmKey, gcmNonce, gcmPlain, gcmExtra, gcmSealed string
	privateKey, publicKey                           string         // of GB/T 32918.5, annex A
	message, signature                              string         // raw, DefaultID
	zeroDigestKey, zeroDigestSignature              string         // DER
	offCurve                                        string         // ciphertext for privateKey
	curve                                           elliptic.Curve // tested against Native
}

func knownAnswers() answers {
	return answers{
		sm3Message: "616263", // GB/T 32905, A.1
		sm3Sum:     "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",

		sm4Key:    "0123456789abcdeffedcba9876543210", // GB/T 32907, A.1
		sm4Plain:  "0123456789abcdeffedcba9876543210",
		sm4Sealed: "681edf34d206965e86b3e94f536e4246",

		gcmKey:   "0123456789abcdeffedcba9876543210", // RFC 8998, A.1
		gcmNonce: "00001234567800000000abcd",
		gcmPlain: "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd" +
			"eeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa",
		gcmExtra: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
		gcmSealed: "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735" +
			"d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d" +
			"83de3541e4c2b58177e065a9bf7b62ec",

		privateKey: "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8", // GB/T 32918.5, A.2
		publicKey: "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020" +
			"ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13",
		message: "6d65737361676520646967657374",
		signature: "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3" +
			"b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa",

		// A digest of 32 zero bytes; arithmetic with a carry lost on processors
		// that have BMI2 refuses it (github.com/emmansun/gmsm, issue 560).
		zeroDigestKey: "04ef4de57af00ae424c00c4caadff7193f804a19dd73a7e2954db9d0d15ab4cbba" +
			"67728c3f4572878b7a674735da9fde1682fe2d9e0799c4a5cde57e3d473039a2",
		zeroDigestSignature: "3046022100be0ea64e1ec06f0d247093f3ccbbadcfb6260224272f86ddb78326e7cd6c7560" +
			"022100e9f6ab2fcc48a2cef94838e66b5c7e21fd8e4de25990dd98ca5243f4966f2853",

		// C1 = (1, 1), which lies on another curve, and C3 and C2 as they follow
		// there from the private key: arithmetic that does not look decrypts it.
		offCurve: "3037020101020101042079be033134b54211b818d07727514c2cfb845edefe6b0e40ba9d5bd24db7e9db" +
			"040d5282dc4d5e8c06445422135da4",

		curve: fast.P256(),
	}
}

// run does the checks and returns what the first one to fail found.
func (a answers) run() error {
	checks := []struct {
		name string
		run  func() error
	}{
		{"SM3", a.checkSM3},
		{"SM4", a.checkSM4},
		{"SM4-GCM", a.checkGCM},
		{"SM2 known signature", a.checkSignature},
		{"SM2 zero digest", a.checkZeroDigest},
		{"SM2 both libraries", a.checkLibraries},
		{"SM2 point off the curve", a.checkOffCurve},
	}
	for _, c := range checks {
		if _, err := guarded(errors.New("panic"), func() (struct{}, error) { return struct{}{}, c.run() }); err != nil {
			return fmt.Errorf("gm: self-test: %s: %w", c.name, err)
		}
	}
	return nil
}

// unhex decodes an answer; a mistyped one becomes nil and fails its check.
func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

func differ(got []byte, want string) error {
	if bytes.Equal(got, unhex(want)) {
		return nil
	}
	return fmt.Errorf("got %x, want %s", got, want)
}

func (a answers) checkSM3() error {
	sum := SumSM3(unhex(a.sm3Message))
	return differ(sum[:], a.sm3Sum)
}

func (a answers) checkSM4() error {
	block, err := NewSM4(unhex(a.sm4Key))
	if err != nil {
		return err
	}
	out := make([]byte, BlockSize)
	block.Encrypt(out, unhex(a.sm4Plain))
	if err := differ(out, a.sm4Sealed); err != nil {
		return err
	}
	block.Decrypt(out, out)
	return differ(out, a.sm4Plain)
}

func (a answers) checkGCM() error {
	aead, err := NewGCM(unhex(a.gcmKey))
	if err != nil {
		return err
	}
	nonce, extra := unhex(a.gcmNonce), unhex(a.gcmExtra)
	sealed := aead.Seal(nil, nonce, unhex(a.gcmPlain), extra)
	if err := differ(sealed, a.gcmSealed); err != nil {
		return err
	}
	plain, err := aead.Open(nil, nonce, sealed, extra)
	if err != nil {
		return err
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := aead.Open(nil, nonce, sealed, extra); err == nil {
		return errors.New("a wrong tag was accepted")
	}
	return differ(plain, a.gcmPlain)
}

func (a answers) checkSignature() error {
	key, err := a.public(a.publicKey)
	if err != nil {
		return err
	}
	return key.VerifyRaw([]byte(DefaultID), unhex(a.message), unhex(a.signature))
}

func (a answers) checkZeroDigest() error {
	key, err := a.public(a.zeroDigestKey)
	if err != nil {
		return err
	}
	sig, err := decodeSignature(unhex(a.zeroDigestSignature))
	if err != nil {
		return err
	}
	return key.verifyDigest(make([]byte, 32), sig)
}

// checkLibraries signs with each implementation of the curve and verifies with
// the other.
func (a answers) checkLibraries() error {
	swapped, native, err := a.keys()
	if err != nil {
		return err
	}
	for _, pair := range [][2]*PrivateKey{{swapped, native}, {native, swapped}} {
		id, msg := []byte(DefaultID), unhex(a.message)
		sig, err := pair[0].Sign(id, msg)
		if err != nil {
			return err
		}
		if err := pair[1].Public().Verify(id, msg, sig); err != nil {
			return err
		}
	}
	return differ(native.Public().point(), a.publicKey)
}

// checkOffCurve offers a ciphertext that opens on another curve, where every
// success would tell something about the private key.
func (a answers) checkOffCurve() error {
	swapped, native, err := a.keys()
	if err != nil {
		return err
	}
	for _, key := range []*PrivateKey{swapped, native} {
		if plain, err := key.Decrypt(unhex(a.offCurve)); err == nil || plain != nil {
			return errors.New("it was decrypted")
		}
	}
	return nil
}

func (a answers) public(text string) (*PublicKey, error) {
	key, err := ParsePublicKey([]byte(text))
	if err != nil {
		return nil, err
	}
	return newPublicKey(key.key.X, key.key.Y, a.curve)
}

func (a answers) keys() (swapped, native *PrivateKey, err error) {
	if swapped, err = newPrivateKey(new(big.Int).SetBytes(unhex(a.privateKey)), a.curve); err != nil {
		return nil, nil, err
	}
	native, err = swapped.On(Native)
	return swapped, native, err
}
