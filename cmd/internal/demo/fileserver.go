package demo

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// fileServer is a small SFTP server, so that the demo needs none installed. It
// serves the file system as its user sees it.
type fileServer struct {
	conf *ssh.ServerConfig
	Line string // host key as in known_hosts
}

// newFileServer makes a server with a fresh host key for one user.
func newFileServer(user, password string) (*fileServer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return nil, err
	}
	f := &fileServer{Line: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))}
	f.conf = &ssh.ServerConfig{PasswordCallback: func(c ssh.ConnMetadata, got []byte) (*ssh.Permissions, error) {
		if c.User() != user || subtle.ConstantTimeCompare(got, []byte(password)) != 1 {
			return nil, errors.New("no such user")
		}
		return nil, nil
	}}
	f.conf.AddHostKey(signer)
	return f, nil
}

// Serve serves connections until ctx ends.
func (f *fileServer) Serve(ctx context.Context, ln net.Listener) error {
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		nc, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		all.Go(func() {
			stop := context.AfterFunc(ctx, func() { nc.Close() })
			defer stop()
			f.one(nc)
		})
	}
}

// one serves a connection to its end.
func (f *fileServer) one(nc net.Conn) {
	defer nc.Close()
	_, chans, reqs, err := ssh.NewServerConn(nc, f.conf)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(reqs)
	for offer := range chans {
		if offer.ChannelType() != "session" {
			_ = offer.Reject(ssh.UnknownChannelType, "only sessions") // a peer that is gone needs no answer
			continue
		}
		ch, more, err := offer.Accept()
		if err != nil {
			return
		}
		go session(ch, more)
	}
}

// session answers the one request that is served: the subsystem sftp.
func session(ch ssh.Channel, reqs <-chan *ssh.Request) {
	for r := range reqs {
		ok := r.Type == "subsystem" && strings.HasSuffix(string(r.Payload), "sftp")
		_ = r.Reply(ok, nil) // a peer that is gone needs no answer
		if !ok {
			continue
		}
		s, err := sftp.NewServer(ch)
		if err != nil {
			ch.Close()
			continue
		}
		if err := s.Serve(); err != nil && !errors.Is(err, io.EOF) {
			ch.Close()
			continue
		}
		s.Close()
	}
}
