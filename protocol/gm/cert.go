package gm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	fast "github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

const (
	certBlock    = "CERTIFICATE"
	requestBlock = "CERTIFICATE REQUEST"
)

// Certificate is an X.509 certificate (RFC 5280) of an SM2 key. It is read with
// emmansun's smx509, which keeps up with the parser of the Go library.
type Certificate struct {
	cert *smx509.Certificate
	key  *PublicKey
}

// ParseCertificates reads the PEM blocks "CERTIFICATE" of a file, the holder's
// first. Other text, and a key that is not of SM2, is an error.
func ParseCertificates(text []byte) ([]*Certificate, error) {
	var out []*Certificate
	for text = bytes.TrimSpace(text); len(text) > 0; text = bytes.TrimSpace(text) {
		block, rest := pem.Decode(text)
		if block == nil || block.Type != certBlock {
			return nil, fmt.Errorf("gm: want PEM %q, got other text at certificate %d", certBlock, len(out)+1)
		}
		text = rest
		c, err := parseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("gm: certificate %d: %w", len(out)+1, err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("gm: no certificate")
	}
	return out, nil
}

var errCertificate = errors.New("not a certificate of an SM2 key")

func parseCertificate(der []byte) (*Certificate, error) {
	return guarded(errCertificate, func() (*Certificate, error) {
		c, err := smx509.ParseCertificate(der)
		if err != nil {
			return nil, errCertificate
		}
		pub, ok := c.PublicKey.(*ecdsa.PublicKey)
		if !ok || !fast.IsSM2PublicKey(pub) {
			return nil, errCertificate
		}
		key, err := newPublicKey(pub.X, pub.Y, fast.P256())
		return &Certificate{c, key}, err
	})
}

// Key returns the holder's public key.
func (c *Certificate) Key() *PublicKey { return c.key }

// Subject and Issuer are names as RFC 4514 writes them.
func (c *Certificate) Subject() string { return c.cert.Subject.String() }

// Issuer is the name of who signed the certificate.
func (c *Certificate) Issuer() string { return c.cert.Issuer.String() }

// Serial is the serial number, in hex.
func (c *Certificate) Serial() string { return fmt.Sprintf("%X", c.cert.SerialNumber) }

// Validity returns the first and the last moment at which the certificate holds.
func (c *Certificate) Validity() (from, to time.Time) { return c.cert.NotBefore, c.cert.NotAfter }

// PEM writes the certificate as ParseCertificates reads it.
func (c *Certificate) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certBlock, Bytes: c.cert.Raw})
}

// VerifyChain checks that the first of the certificates leads through the others
// to one of the roots, at the time given: signatures with the user id of GM/T
// 0009, validity, and who may sign. Roots that are not trusted on purpose, such
// as those of the system, are not used.
func VerifyChain(chain, roots []*Certificate, at time.Time) error {
	if len(chain) == 0 || len(roots) == 0 {
		return errors.New("gm: no certificate, or no root to trust")
	}
	o := smx509.VerifyOptions{Roots: smx509.NewCertPool(), Intermediates: smx509.NewCertPool(), CurrentTime: at,
		KeyUsages: []smx509.ExtKeyUsage{smx509.ExtKeyUsageAny}}
	for _, r := range roots {
		o.Roots.AddCert(r.cert)
	}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c.cert)
	}
	_, err := guarded(errors.New("gm: certificate chain"), func() (any, error) { return chain[0].cert.Verify(o) })
	if err != nil {
		return fmt.Errorf("gm: certificate of %s: %w", chain[0].Subject(), err)
	}
	return nil
}

// NewRequest writes a certificate signing request (RFC 2986, PEM) for the key,
// signed with SM2 and SM3. The subject is written as OpenSSL takes it:
// /C=CN/O=…/OU=…/CN=….
func NewRequest(p *PrivateKey, subject string) ([]byte, error) {
	name, err := parseSubject(subject)
	if err != nil {
		return nil, err
	}
	der, err := smx509.CreateCertificateRequest(rand.Reader, &smx509.CertificateRequest{Subject: name, SignatureAlgorithm: smx509.SM2WithSM3}, p.hedged)
	if err != nil {
		return nil, fmt.Errorf("gm: request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: der}), nil
}

func parseSubject(subject string) (name pkix.Name, err error) {
	parts, ok := strings.CutPrefix(subject, "/")
	if !ok {
		return name, fmt.Errorf("gm: subject: want /CN=…, got %q", subject)
	}
	for _, part := range strings.Split(parts, "/") {
		key, val, _ := strings.Cut(part, "=")
		if val == "" {
			return name, fmt.Errorf("gm: subject: %q has no value", part)
		}
		switch key {
		case "C":
			name.Country = append(name.Country, val)
		case "ST":
			name.Province = append(name.Province, val)
		case "L":
			name.Locality = append(name.Locality, val)
		case "O":
			name.Organization = append(name.Organization, val)
		case "OU":
			name.OrganizationalUnit = append(name.OrganizationalUnit, val)
		case "CN":
			name.CommonName = val
		default:
			return name, fmt.Errorf("gm: subject: want C, ST, L, O, OU or CN, got %q", key)
		}
	}
	if name.CommonName == "" {
		return name, errors.New("gm: subject: no CN")
	}
	return name, nil
}

// Equal reports whether both are the same point.
func (p *PublicKey) Equal(q *PublicKey) bool {
	return p.key.X.Cmp(q.key.X) == 0 && p.key.Y.Cmp(q.key.Y) == 0
}
