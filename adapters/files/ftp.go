package files

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/textproto"
	"path"

	"github.com/jlaffaye/ftp"
)

// old is a folder over FTP (RFC 959).
type old struct {
	c    *ftp.ServerConn
	stop func() bool
}

func openFTP(ctx context.Context, o *Options) (Store, error) {
	with := []ftp.DialOption{ftp.DialWithContext(ctx), ftp.DialWithTimeout(o.Timeout), ftp.DialWithShutTimeout(o.Timeout)}
	if o.secure() {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("ca: no certificate in it")
		}
		// Servers want the data connection to resume the session of the control
		// connection, which needs the cache; with TLS 1.3 tickets come too late.
		secured := ftp.DialWithExplicitTLS
		if o.Kind == ftpsImplicit {
			secured = ftp.DialWithTLS
		}
		with = append(with, secured(&tls.Config{ServerName: o.Name, RootCAs: roots, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12,
			ClientSessionCache: tls.NewLRUClientSessionCache(4)}))
	}
	c, err := ftp.Dial(o.Addr, with...)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Quit() }) // what is under way fails by it
	err = c.Login(o.User, o.Password)
	if err == nil { // a list of a folder that is not there is empty on some servers
		err = c.ChangeDir(o.Dir)
	}
	if err != nil {
		stop()
		return nil, errors.Join(err, c.Quit())
	}
	return &old{c: c, stop: stop}, nil
}

func (f *old) List() ([]Info, error) {
	entries, err := f.c.List("")
	if err != nil {
		return nil, absent(err)
	}
	var out []Info
	for _, e := range entries {
		if e.Type == ftp.EntryTypeFile {
			out = append(out, Info{Name: path.Base(e.Name), Size: int64(e.Size), Time: e.Time})
		}
	}
	return out, nil
}

func (f *old) Get(name string) (io.ReadCloser, error) {
	r, err := f.c.Retr(name)
	if err != nil {
		return nil, absent(err)
	}
	return r, nil
}

func (f *old) Put(name string, r io.Reader) error { return f.c.Stor(name, r) }

// Rename replaces a file of the new name on most servers; who cares looks
// first.
func (f *old) Rename(from, to string) error { return absent(f.c.Rename(from, to)) }

func (f *old) Close() error {
	f.stop()
	return f.c.Quit()
}

// absent makes the answer 550, which is all that FTP says, one that wraps
// fs.ErrNotExist.
func absent(err error) error {
	var e *textproto.Error
	if errors.As(err, &e) && e.Code == ftp.StatusFileUnavailable {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}
