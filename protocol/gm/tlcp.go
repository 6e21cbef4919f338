package gm

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	fast "github.com/emmansun/gmsm/sm2"
	"github.com/tjfoc/gmsm/gmtls"
	tjfoc "github.com/tjfoc/gmsm/sm2"
	"github.com/tjfoc/gmsm/x509"
)

// TLCPFiles are the files of a TLCP connection. Certificates are PEM; the keys
// must not be readable by others. A file that is not needed is empty.
type TLCPFiles struct {
	Cert, Key       string // signature
	EncCert, EncKey string // encryption
	CA              string // who signs the peer's certificates
}

// TLCPOptions say which side we are and what we want of the other.
type TLCPOptions struct {
	Server     bool
	Verify     bool     // check the peer's certificates; a client always does
	Names      []string // common names of the clients that may connect; empty: all that the CA signed
	ServerName string   // of the server that is dialled
}

// TLCP makes connections of GB/T 38636-2020 ones, within the limits that the
// library sets: version 1.1, suite ECC_SM4_CBC_SM3 (0xE013) alone, no session
// resumption, no GCM, no ECDHE and so no forward secrecy. Files are read once.
type TLCP struct {
	server bool
	config *gmtls.Config
}

// NewTLCP reads the files.
func NewTLCP(f TLCPFiles, o TLCPOptions) (*TLCP, error) {
	return guarded(errors.New("gm: tlcp: a certificate or key cannot be read"), func() (*TLCP, error) { return newTLCP(f, o) })
}

func newTLCP(f TLCPFiles, o TLCPOptions) (*TLCP, error) {
	c := &gmtls.Config{GMSupport: gmtls.NewGMSupport(), CipherSuites: []uint16{gmtls.GMTLS_SM2_WITH_SM4_SM3}, ServerName: o.ServerName,
		SessionTicketsDisabled: true}
	for _, p := range [][2]string{{f.Cert, f.Key}, {f.EncCert, f.EncKey}} {
		if p[0] == "" {
			continue
		}
		cert, err := tlcpPair(p[0], p[1])
		if err != nil {
			return nil, err
		}
		c.Certificates = append(c.Certificates, cert)
	}
	switch {
	case o.Server && len(c.Certificates) != 2:
		return nil, errors.New("gm: tlcp: a server needs a signature and an encryption certificate")
	case (o.Verify || !o.Server) && f.CA == "":
		return nil, errors.New("gm: tlcp: the peer's certificates cannot be checked without a CA")
	}
	if f.CA != "" {
		roots, err := tlcpRoots(f.CA)
		if err != nil {
			return nil, err
		}
		c.RootCAs, c.ClientCAs = roots, roots
	}
	if o.Server && o.Verify {
		c.ClientAuth = gmtls.RequireAndVerifyClientCert
		c.VerifyPeerCertificate = func(_ [][]byte, chains [][]*x509.Certificate) error { return tlcpNamed(chains, o.Names) }
	}
	return &TLCP{o.Server, c}, nil
}

func tlcpNamed(chains [][]*x509.Certificate, names []string) error {
	if len(names) == 0 || len(chains) > 0 && len(chains[0]) > 0 && slices.Contains(names, chains[0][0].Subject.CommonName) {
		return nil
	}
	return errors.New("gm: tlcp: the client certificate has none of the names that may connect")
}

func tlcpRoots(name string) (*x509.CertPool, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("gm: tlcp: %s holds no certificate", name)
	}
	return roots, nil
}

// tlcpPair reads a certificate and puts the fence before its key.
func tlcpPair(cert, key string) (gmtls.Certificate, error) {
	info, err := os.Stat(key)
	if err != nil {
		return gmtls.Certificate{}, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return gmtls.Certificate{}, fmt.Errorf("gm: tlcp: %s is readable by others (mode %o), want 600", key, info.Mode().Perm())
	}
	out, err := gmtls.LoadGMX509KeyPair(cert, key)
	if err != nil {
		return gmtls.Certificate{}, fmt.Errorf("gm: tlcp: %s: %w", cert, err)
	}
	own, ok := out.PrivateKey.(*tjfoc.PrivateKey)
	if !ok {
		return gmtls.Certificate{}, fmt.Errorf("gm: tlcp: %s is no SM2 key", key)
	}
	out.PrivateKey = &fencedKey{*own}
	return out, nil
}

// fencedKey signs as the library does and decrypts behind the fence: a point
// that is not on the curve, a wrong hash and a panic all give a random secret,
// so that the handshake fails later and in one way. Otherwise every handshake
// would tell a little of the key to whoever sends chosen points.
type fencedKey struct{ key tjfoc.PrivateKey }

const premaster = 48 // bytes of the secret that a client sends

// Public returns the public key as the library knows it.
func (k *fencedKey) Public() crypto.PublicKey { return k.key.Public() }

// Sign signs a message.
func (k *fencedKey) Sign(r io.Reader, msg []byte, o crypto.SignerOpts) ([]byte, error) {
	return guarded(errors.New("gm: tlcp: signing failed"), func() ([]byte, error) { return k.key.Sign(r, msg, o) })
}

// Decrypt opens the client's secret, or returns a random one.
func (k *fencedKey) Decrypt(_ io.Reader, msg []byte, _ crypto.DecrypterOpts) ([]byte, error) {
	other := make([]byte, premaster)
	if _, err := rand.Read(other); err != nil {
		return nil, err
	}
	plain, err := guarded(ErrDecrypt, func() ([]byte, error) {
		if len(msg) != 1+2*coordinate+32+premaster || msg[0] != 4 {
			return nil, ErrDecrypt
		}
		if _, err := fast.NewPublicKey(msg[:1+2*coordinate]); err != nil {
			return nil, ErrDecrypt
		}
		return tjfoc.Decrypt(&k.key, msg, tjfoc.C1C3C2)
	})
	if err != nil || len(plain) != premaster {
		return other, nil
	}
	return plain, nil
}

// Conn makes a connection a secure one. The handshake runs with the first use,
// or before it with HandshakeContext.
func (t *TLCP) Conn(nc net.Conn) net.Conn {
	if t.server {
		return &tlcpConn{Conn: gmtls.Server(nc, t.config), raw: nc}
	}
	return &tlcpConn{Conn: gmtls.Client(nc, t.config), raw: nc}
}

// tlcpConn turns panics of the library into the end of the connection.
type tlcpConn struct {
	*gmtls.Conn
	raw net.Conn

	once sync.Once
	err  error
}

var errTLCP = errors.New("gm: tlcp: connection failed")

func (c *tlcpConn) shake() error {
	c.once.Do(func() {
		_, c.err = guarded(errTLCP, func() (struct{}, error) { return struct{}{}, c.Conn.Handshake() })
		if c.err != nil {
			_ = c.raw.Close() // the error that matters is the first one
		}
	})
	return c.err
}

// HandshakeContext proves both sides to each other; the end of ctx ends it.
func (c *tlcpConn) HandshakeContext(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = c.raw.SetDeadline(time.Unix(1, 0)) })() // fails on a closed connection only
	if err := c.shake(); err != nil {
		return errors.Join(err, ctx.Err())
	}
	return ctx.Err()
}

// Read reads what the peer sent.
func (c *tlcpConn) Read(b []byte) (int, error) {
	if err := c.shake(); err != nil {
		return 0, err
	}
	return guarded(errTLCP, func() (int, error) { return c.Conn.Read(b) })
}

// Write sends to the peer.
func (c *tlcpConn) Write(b []byte) (int, error) {
	if err := c.shake(); err != nil {
		return 0, err
	}
	return guarded(errTLCP, func() (int, error) { return c.Conn.Write(b) })
}
