package main

import (
	"fmt"
	"strings"
	"time"

	"qianzhi/cmd/internal/keyfile"
	"qianzhi/cmd/internal/peer"
	"qianzhi/protocol"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
)

// assemble loads a link file and builds one end of it with keys given as
// role=file.
func assemble(file string, roles []string, terminals int) (*spec.Link, *protocol.Dialect, error) {
	l, err := spec.Load(linkName(file), openLink)
	if err != nil {
		return nil, nil, err
	}
	keys := secure.Keys{Ring: secure.Ring{}, Roles: map[string]string{}}
	for _, k := range roles {
		role, name, ok := strings.Cut(k, "=")
		if !ok {
			return nil, nil, fmt.Errorf("--key: 应为 角色=文件, 而不是 %q", k)
		}
		if keys.Ring[role], err = keyfile.Read(name); err != nil {
			return nil, nil, err
		}
		keys.Roles[role] = role
	}
	d, err := l.Assemble(spec.Parts{Keys: keys, Sessions: secure.NewSessions(terminals), Now: time.Now})
	return l, d, err
}

// dial builds a client of the link's transport.
func dial(l *spec.Link, d *protocol.Dialect, addr string) (peer.Client, error) {
	if l.Transport == "http" {
		return peer.NewWeb(d, l, addr)
	}
	if l.OneShot() {
		return peer.DialOnce(d, addr, l.Endless()), nil
	}
	return peer.Dial(d, addr), nil
}
