// Package files fetches and delivers the files that banks and utilities
// exchange: check files, batch debits and their results, in a local folder,
// over SFTP or over FTP with or without TLS.
//
// A file that is not there, one that is there and wrong, and one that is there
// and empty are three different outcomes; that nobody could look is a fourth.
// What was fetched is kept as an immutable copy. What was delivered is read
// back before it gets its name.
package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
)

// Info is one file as a server lists it.
type Info struct {
	Name string
	Size int64     // bytes
	Time time.Time // of its last change, as precise as the server says it
}

// Store is a folder on a connected server. It is owned by one goroutine. Names
// have no path. The error of a name that is not there wraps fs.ErrNotExist.
type Store interface {
	List() ([]Info, error)
	Get(name string) (io.ReadCloser, error)
	Put(name string, r io.Reader) error // replaces a file of that name
	Rename(from, to string) error
	Close() error
}

// Options are where files are and how to get there.
type Options struct {
	Kind    string        `yaml:"kind"`     // one of local, sftp, ftp, ftps (explicit TLS, RFC 4217), ftps-implicit (TLS from the first byte, usually port 990)
	Addr    string        `yaml:"addr"`     // host:port; none for local
	Dir     string        `yaml:"dir"`      // the folder on the server
	User    string        `yaml:"user"`     // none for local
	HostKey string        `yaml:"host_key"` // sftp: the server's key as in known_hosts, for example "ssh-ed25519 AAAA..."; no other is accepted
	Name    string        `yaml:"name"`     // ftps, ftps-implicit: the name in the server's certificate
	Timeout time.Duration `yaml:"timeout"`  // of connecting, and of a transfer that stands still

	Password string `yaml:"-"` // of all but local; read from a file by who builds the options
	Key      []byte `yaml:"-"` // sftp: private key, PEM
	CA       []byte `yaml:"-"` // ftps, ftps-implicit: who signed the server's certificate, PEM
}

// Check reports the first setting that cannot work.
func (o *Options) Check() error {
	remote := o.Kind == "sftp" || o.Kind == "ftp" || o.secure()
	switch {
	case !remote && o.Kind != "local":
		return fmt.Errorf("kind: want local, sftp, ftp, ftps or ftps-implicit, got %q", o.Kind)
	case o.Dir == "":
		return errors.New("dir: missing")
	case !remote && o.Addr+o.User+o.HostKey+o.Name != "":
		return errors.New("addr: a local folder has none, nor user, host_key and name")
	case remote && (o.Addr == "" || o.User == "" || o.Timeout <= 0):
		return errors.New("addr: user and timeout are needed as well")
	case (o.Kind == "sftp") != (o.HostKey != ""):
		return errors.New("host_key: is needed for sftp, and only there")
	case o.secure() != (o.Name != ""):
		return errors.New("name: is needed for ftps, and only there")
	}
	return nil
}

// The kinds of FTP with TLS.
const (
	ftps         = "ftps"
	ftpsImplicit = "ftps-implicit"
)

// secure reports whether the server proves itself with a certificate.
func (o *Options) secure() bool { return o.Kind == ftps || o.Kind == ftpsImplicit }

// Open connects to the server. The store and everything under way on it end
// with ctx.
func (o *Options) Open(ctx context.Context) (Store, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	switch o.Kind {
	case "sftp":
		return openSFTP(ctx, o)
	case "ftp", ftps, ftpsImplicit:
		return openFTP(ctx, o)
	}
	return openLocal(o)
}

// plain reports a name that a folder cannot have, or that leads out of it.
func plain(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > 255 || strings.ContainsAny(name, "/\\\x00\r\n") {
		return fmt.Errorf("%q is no file name", name)
	}
	return nil
}

// find returns the file of a listing.
func find(list []Info, name string) (Info, error) {
	for _, i := range list {
		if i.Name == name {
			return i, nil
		}
	}
	return Info{}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}
