// Package transport makes connections of links secure ones, as configuration
// says: TLS 1.2 and 1.3, or TLCP (GB/T 38636). Certificates are read again when
// their files change, so renewing one needs no restart and breaks no
// connection.
package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"qianzhi/protocol/gm"
)

// Options are the secure transport of one link. A relative file name starts
// from the folder of the configuration.
type Options struct {
	Mode       string   `yaml:"mode"`        // tls or tlcp; empty: no secure transport
	Cert       string   `yaml:"cert"`        // our certificate and the chain above it, PEM
	Key        string   `yaml:"key"`         // its key, PEM, mode 600
	EncCert    string   `yaml:"enc_cert"`    // tlcp: our encryption certificate
	EncKey     string   `yaml:"enc_key"`     // tlcp: its key, mode 600
	CA         string   `yaml:"ca"`          // who signs the peer's certificate, PEM
	Client     string   `yaml:"client"`      // a listener: require (default) or none
	Names      []string `yaml:"names"`       // a listener: common or DNS names of the clients that may connect; empty: all that the CA signed
	ServerName string   `yaml:"server_name"` // what we dial: the name in its certificate
	Min        string   `yaml:"min"`         // "1.2" (default) or "1.3"
}

// The modes.
const (
	ModeTLS  = "tls"
	ModeTLCP = "tlcp"
)

// Check reports the first setting that cannot work. The text begins with its
// key.
func (o *Options) Check() error {
	if o.Mode == "" {
		if o.Cert+o.Key+o.EncCert+o.EncKey+o.CA+o.Client+o.ServerName+o.Min != "" || len(o.Names) > 0 {
			return errors.New("mode: want tls or tlcp")
		}
		return nil
	}
	switch {
	case o.Mode != ModeTLS && o.Mode != ModeTLCP:
		return fmt.Errorf("mode: want tls or tlcp, got %q", o.Mode)
	case (o.Cert == "") != (o.Key == ""):
		return errors.New("key: cert and key go together")
	case (o.EncCert == "") != (o.EncKey == ""):
		return errors.New("enc_key: enc_cert and enc_key go together")
	case o.Mode == ModeTLS && o.EncCert != "":
		return errors.New("enc_cert: only mode tlcp has two certificates")
	case o.Mode == ModeTLCP && o.Min != "":
		return errors.New("min: tlcp has one version")
	case o.Client != "" && o.Client != "require" && o.Client != "none":
		return fmt.Errorf("client: want require or none, got %q", o.Client)
	case o.Client == "none" && len(o.Names) > 0:
		return errors.New("names: need client: require")
	case o.Min != "" && o.Min != "1.2" && o.Min != "1.3":
		return fmt.Errorf("min: want \"1.2\" or \"1.3\", got %q", o.Min)
	}
	return nil
}

// On reports whether there is a secure transport.
func (o *Options) On() bool { return o.Mode != "" }

// CheckServer reports what a listener lacks.
func (o *Options) CheckServer() error {
	switch {
	case o.Cert == "":
		return errors.New("cert: a listener needs a certificate")
	case o.Mode == ModeTLCP && o.EncCert == "":
		return errors.New("enc_cert: a tlcp listener needs an encryption certificate")
	case o.Client != "none" && o.CA == "":
		return errors.New("ca: needed to check the clients' certificates; client: none lets in clients without one")
	case o.ServerName != "":
		return errors.New("server_name: only for what we dial")
	}
	return nil
}

// CheckClient reports what an outgoing connection lacks.
func (o *Options) CheckClient() error {
	switch {
	case o.CA == "":
		return errors.New("ca: needed to check the server's certificate")
	case o.ServerName == "":
		return errors.New("server_name: needed to check the server's certificate")
	case o.Client != "" || len(o.Names) > 0:
		return errors.New("client: only for listeners, and so is names")
	}
	return nil
}

// Wrap makes a connection a secure one.
type Wrap func(net.Conn) net.Conn

// Server returns what secures accepted connections. The files are read once to
// see that they are right. path resolves file names.
func (o Options) Server(path func(string) string) (Wrap, error) {
	if o.Mode == ModeTLCP {
		if err := errors.Join(o.Check(), o.CheckServer()); err != nil {
			return nil, err
		}
		return tlcp(o.files(path), true, o)
	}
	c, err := o.ServerConfig(path)
	if err != nil {
		return nil, err
	}
	return func(nc net.Conn) net.Conn { return tls.Server(nc, c) }, nil
}

// Dial returns what secures dialled connections.
func (o Options) Dial(path func(string) string) (Wrap, error) {
	if err := errors.Join(o.Check(), o.CheckClient()); err != nil {
		return nil, err
	}
	if o.Mode == ModeTLCP {
		return tlcp(o.files(path), false, o)
	}
	c := &current{o: o, path: path}
	if _, err := c.load(); err != nil {
		return nil, err
	}
	return func(nc net.Conn) net.Conn { return tls.Client(nc, c.client()) }, nil
}

// ServerConfig returns the configuration of a TLS listener.
func (o Options) ServerConfig(path func(string) string) (*tls.Config, error) {
	if err := errors.Join(o.Check(), o.CheckServer()); err != nil {
		return nil, err
	}
	c := &current{o: o, path: path}
	if _, err := c.load(); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: c.min(), GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.server() },
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get().cert, nil }}, nil
}

// material is what was read from the files of a link.
type material struct {
	cert  *tls.Certificate
	roots *x509.CertPool
	stamp string // of the files
}

// current keeps the material of a link and reads it again when a file changes.
type current struct {
	o    Options
	path func(string) string

	mu     sync.Mutex
	m      *material
	looked time.Time
}

// lookEvery is how often the files are looked at, at most.
const lookEvery = time.Second

// get returns the newest material that was right. Files that are being replaced,
// or are wrong, leave it as it was.
func (c *current) get() *material {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= lookEvery {
		c.looked = now
		if stamp, err := c.stamp(); err == nil && stamp != c.m.stamp {
			if m, err := c.read(stamp); err == nil {
				c.m = m
			}
		}
	}
	return c.m
}

func (c *current) load() (*material, error) {
	stamp, err := c.stamp()
	if err != nil {
		return nil, err
	}
	m, err := c.read(stamp)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.m = m
	c.mu.Unlock()
	return m, nil
}

func (c *current) stamp() (string, error) {
	text := ""
	for _, name := range []string{c.o.Cert, c.o.Key, c.o.CA} {
		if name == "" {
			continue
		}
		info, err := os.Stat(c.path(name))
		if err != nil {
			return "", err
		}
		text += fmt.Sprintln(info.ModTime().UnixNano(), info.Size())
	}
	return text, nil
}

func (c *current) read(stamp string) (*material, error) {
	m := &material{stamp: stamp}
	if c.o.Cert != "" {
		certPEM, keyPEM, err := pair(c.path(c.o.Cert), c.path(c.o.Key))
		if err != nil {
			return nil, err
		}
		cert, err := tls.X509KeyPair(certPEM, keyPEM)
		if err != nil {
			return nil, fmt.Errorf("cert: %s: %w", c.o.Cert, err)
		}
		m.cert = &cert
	}
	if c.o.CA != "" {
		b, err := os.ReadFile(c.path(c.o.CA))
		if err != nil {
			return nil, err
		}
		m.roots = x509.NewCertPool()
		if !m.roots.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("ca: %s holds no certificate", c.o.CA)
		}
	}
	return m, nil
}

// pair reads a certificate and its key, which must not be readable by others.
func pair(cert, key string) (certPEM, keyPEM []byte, err error) {
	if certPEM, err = os.ReadFile(cert); err != nil {
		return nil, nil, err
	}
	keyPEM, err = Private(key)
	return certPEM, keyPEM, err
}

// Private reads a file with a secret, which must not be readable by others.
func Private(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key: %s is readable by others (mode %o), want 600", name, info.Mode().Perm())
	}
	b := make([]byte, info.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, err
	}
	return b, nil
}

func (c *current) min() uint16 {
	if c.o.Min == "1.3" {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

// server is the configuration for one client that connects now.
func (c *current) server() (*tls.Config, error) {
	m := c.get()
	out := &tls.Config{MinVersion: c.min(), Certificates: []tls.Certificate{*m.cert}}
	if c.o.Client != "none" {
		out.ClientAuth, out.ClientCAs = tls.RequireAndVerifyClientCert, m.roots
		out.VerifyConnection = func(s tls.ConnectionState) error { return named(s.PeerCertificates, c.o.Names) }
	}
	return out, nil
}

// client is the configuration for one connection that is dialled now.
func (c *current) client() *tls.Config {
	m := c.get()
	out := &tls.Config{MinVersion: c.min(), RootCAs: m.roots, ServerName: c.o.ServerName}
	if m.cert != nil {
		out.Certificates = []tls.Certificate{*m.cert}
	}
	return out
}

// named wants a client to have one of the names.
func named(chain []*x509.Certificate, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if len(chain) > 0 && (slices.Contains(names, chain[0].Subject.CommonName) ||
		slices.ContainsFunc(chain[0].DNSNames, func(n string) bool { return slices.Contains(names, n) })) {
		return nil
	}
	return errors.New("client certificate has none of the names that may connect")
}

// files are the file names of a link, resolved.
func (o Options) files(path func(string) string) gm.TLCPFiles {
	at := func(s string) string {
		if s == "" {
			return ""
		}
		return path(s)
	}
	return gm.TLCPFiles{Cert: at(o.Cert), Key: at(o.Key), EncCert: at(o.EncCert), EncKey: at(o.EncKey), CA: at(o.CA)}
}

// tlcp is the same for TLCP, whose library is fenced in by package gm.
func tlcp(f gm.TLCPFiles, server bool, o Options) (Wrap, error) {
	c, err := gm.NewTLCP(f, gm.TLCPOptions{Server: server, Verify: !server || o.Client != "none", Names: o.Names, ServerName: o.ServerName})
	if err != nil {
		return nil, err
	}
	return func(nc net.Conn) net.Conn { return c.Conn(nc) }, nil
}
