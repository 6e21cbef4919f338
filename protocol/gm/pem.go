package gm

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"

	fast "github.com/emmansun/gmsm/sm2"
	tjfoc "github.com/tjfoc/gmsm/sm2"
	"github.com/tjfoc/gmsm/x509"
)

const (
	privateBlock = "PRIVATE KEY"
	publicBlock  = "PUBLIC KEY"
)

// The algorithm of a key file: id-ecPublicKey of RFC 5480 with the curve
// 1.2.156.10197.1.301 of GM/T 0006.
var (
	oidEC  = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidSM2 = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301}
)

// keyInfo is PrivateKeyInfo of RFC 5208, without attributes.
type keyInfo struct {
	Version   int
	Algorithm struct{ Kind, Curve asn1.ObjectIdentifier }
	Key       []byte
}

// ecKey is ECPrivateKey of RFC 5915.
type ecKey struct {
	Version int
	D       []byte
	Curve   asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
	Point   asn1.BitString        `asn1:"optional,explicit,tag:1"`
}

var (
	errPrivateFile = errors.New("gm: not an SM2 private key in PKCS #8 (RFC 5208)")
	errPublicFile  = errors.New("gm: not an SM2 public key in SubjectPublicKeyInfo (RFC 5480)")
)

// ParsePrivateKey reads a private key: one PEM block "PRIVATE KEY" holding
// PKCS #8 without a password, or 64 hex digits. Space around it is ignored.
func ParsePrivateKey(text []byte) (*PrivateKey, error) {
	raw, isHex, err := decode(text, privateBlock, 2*coordinate)
	switch {
	case err != nil:
		return nil, err
	case isHex:
		return newPrivateKey(new(big.Int).SetBytes(raw), fast.P256())
	}
	return guarded(errPrivateFile, func() (*PrivateKey, error) { return parsePrivate(raw) })
}

// ParsePublicKey reads a public key: one PEM block "PUBLIC KEY" holding a
// SubjectPublicKeyInfo, or 130 hex digits 04||X||Y. Space around it is ignored.
func ParsePublicKey(text []byte) (*PublicKey, error) {
	raw, isHex, err := decode(text, publicBlock, 2+4*coordinate)
	switch {
	case err != nil:
		return nil, err
	case isHex && raw[0] != 4:
		return nil, fmt.Errorf("gm: public key: want hex digits that begin with 04, got %02X", raw[0])
	case isHex:
		x, y := new(big.Int).SetBytes(raw[1:1+coordinate]), new(big.Int).SetBytes(raw[1+coordinate:])
		return newPublicKey(x, y, fast.P256())
	}
	return guarded(errPublicFile, func() (*PublicKey, error) { return parsePublic(raw) })
}

// decode returns the bytes of the hex digits or of the only PEM block. No part
// of the text appears in an error: it may be a private key.
func decode(text []byte, kind string, digits int) (raw []byte, isHex bool, err error) {
	text = bytes.TrimSpace(text)
	if !bytes.HasPrefix(text, []byte("-----BEGIN ")) {
		raw, err = hex.DecodeString(string(text))
		if err != nil || len(text) != digits {
			return nil, false, fmt.Errorf("gm: want PEM %q or %d hex digits, got %d other characters", kind, digits, len(text))
		}
		return raw, true, nil
	}
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return nil, false, errors.New("gm: PEM block is damaged")
	case block.Type != kind || len(block.Headers) > 0:
		return nil, false, fmt.Errorf("gm: want PEM %q without headers, got %q with %d", kind, block.Type, len(block.Headers))
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, false, fmt.Errorf("gm: %d bytes behind the PEM block", len(rest))
	}
	return block.Bytes, false, nil
}

// parsePrivate adds to the library what it leaves out: the curve is SM2,
// nothing follows, and the public key beside the private one belongs to it.
func parsePrivate(der []byte) (*PrivateKey, error) {
	var info keyInfo
	rest, err := asn1.Unmarshal(der, &info)
	if err != nil || len(rest) > 0 || info.Version > 1 || !info.Algorithm.Curve.Equal(oidSM2) {
		return nil, errPrivateFile
	}
	var inner ecKey
	rest, err = asn1.Unmarshal(info.Key, &inner)
	if err != nil || len(rest) > 0 || inner.Version != 1 || inner.Curve != nil && !inner.Curve.Equal(oidSM2) {
		return nil, errPrivateFile
	}
	read, err := x509.ParsePKCS8UnecryptedPrivateKey(der)
	if err != nil {
		return nil, errPrivateFile
	}
	key, err := newPrivateKey(read.D, fast.P256())
	if err != nil {
		return nil, err
	}
	if inner.Point.Bytes != nil && !bytes.Equal(inner.Point.Bytes, key.public.point()) {
		return nil, errors.New("gm: the public key in the file does not belong to the private key")
	}
	return key, nil
}

// parsePublic accepts only what MarshalPublicKey would write for the key, which
// settles algorithm, curve, lengths and trailing bytes in one comparison.
func parsePublic(der []byte) (*PublicKey, error) {
	read, err := x509.ParseSm2PublicKey(der)
	if err != nil {
		return nil, errPublicFile
	}
	key, err := newPublicKey(read.X, read.Y, fast.P256())
	if err != nil {
		return nil, err
	}
	canonical, err := x509.MarshalSm2PublicKey(key.native())
	if err != nil || !bytes.Equal(canonical, der) {
		return nil, errPublicFile
	}
	return key, nil
}

// native is the key as the library's X.509 functions want it: they refuse any
// curve but their own.
func (p *PublicKey) native() *tjfoc.PublicKey {
	return &tjfoc.PublicKey{Curve: tjfoc.P256Sm2(), X: p.key.X, Y: p.key.Y}
}

// MarshalPublicKey writes the key as ParsePublicKey reads it from PEM.
func MarshalPublicKey(p *PublicKey) ([]byte, error) {
	return guarded(errPublicFile, func() ([]byte, error) { return x509.WritePublicKeyToPem(p.native()) })
}

// MarshalPrivateKey writes the key in clear as ParsePrivateKey reads it from
// PEM. The library's own writer is not used: it drops leading zeros, which RFC
// 5915 forbids.
func MarshalPrivateKey(p *PrivateKey) ([]byte, error) {
	inner, err := asn1.Marshal(ecKey{
		Version: 1,
		D:       p.key.D.FillBytes(make([]byte, coordinate)),
		Point:   asn1.BitString{Bytes: p.public.point(), BitLength: 8 * (1 + 2*coordinate)},
	})
	if err != nil {
		return nil, err
	}
	info := keyInfo{Key: inner}
	info.Algorithm.Kind, info.Algorithm.Curve = oidEC, oidSM2
	der, err := asn1.Marshal(info)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: der}), nil
}
