package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// remote is a folder over SFTP.
type remote struct {
	c    *sftp.Client
	ssh  *ssh.Client
	dir  string
	stop func() bool
}

func openSFTP(ctx context.Context, o *Options) (Store, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(o.HostKey))
	if err != nil {
		return nil, fmt.Errorf("host_key: %w", err)
	}
	auth, err := o.auth()
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: o.Timeout}
	nc, err := d.DialContext(ctx, "tcp", o.Addr)
	if err != nil {
		return nil, err
	}
	nc = patient{nc, o.Timeout}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	fail := func(err error) (Store, error) {
		stop()
		nc.Close()
		return nil, err
	}
	conn, chans, reqs, err := ssh.NewClientConn(nc, o.Addr, &ssh.ClientConfig{User: o.User, Auth: auth, Timeout: o.Timeout,
		HostKeyCallback: ssh.FixedHostKey(key), HostKeyAlgorithms: algorithms(key.Type())})
	if err != nil {
		return fail(err)
	}
	client := ssh.NewClient(conn, chans, reqs)
	c, err := sftp.NewClient(client)
	if err != nil {
		client.Close()
		return fail(err)
	}
	return &remote{c: c, ssh: client, dir: o.Dir, stop: stop}, nil
}

// algorithms are the signatures that a host key of the type can make; the old
// one of RSA, with SHA-1, is none of them.
func algorithms(key string) []string {
	if key == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{key}
}

func (o *Options) auth() ([]ssh.AuthMethod, error) {
	switch {
	case len(o.Key) > 0:
		signer, err := ssh.ParsePrivateKey(o.Key)
		if err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
		return []ssh.AuthMethod{ssh.PublicKeys(signer)}, nil
	case o.Password != "":
		return []ssh.AuthMethod{ssh.Password(o.Password)}, nil
	}
	return nil, errors.New("key: sftp needs a private key or a password")
}

// patient ends a connection on which nothing moves for the time.
type patient struct {
	net.Conn
	within time.Duration
}

// Read waits for bytes at most for the time.
func (p patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(p.within)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

// Write waits for room at most for the time.
func (p patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(p.within)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

func (r *remote) at(name string) string { return path.Join(r.dir, name) }

func (r *remote) List() ([]Info, error) {
	entries, err := r.c.ReadDir(r.dir)
	if err != nil {
		return nil, err
	}
	var out []Info
	for _, e := range entries {
		if e.Mode().IsRegular() {
			out = append(out, Info{Name: e.Name(), Size: e.Size(), Time: e.ModTime()})
		}
	}
	return out, nil
}

func (r *remote) Get(name string) (io.ReadCloser, error) { return r.c.Open(r.at(name)) }

func (r *remote) Put(name string, in io.Reader) error {
	f, err := r.c.Create(r.at(name))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, in)
	return errors.Join(err, f.Close())
}

// Rename fails when there is a file of the new name.
func (r *remote) Rename(from, to string) error { return r.c.Rename(r.at(from), r.at(to)) }

func (r *remote) Close() error {
	r.stop()
	return errors.Join(r.c.Close(), r.ssh.Close())
}
