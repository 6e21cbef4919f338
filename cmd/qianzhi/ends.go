package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/pflag"

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

// far says where the other end of a link is, or where it is awaited.
type far struct{ to, listen, replyTo, replyListen string }

// flags adds the flags of it.
func (o *far) flags(f *pflag.FlagSet) {
	f.StringVar(&o.to, "to", "", "对方地址 主机:端口")
	f.StringVar(&o.listen, "listen", "", "不去连接, 在此地址等对方来连接")
	f.StringVar(&o.replyTo, "reply-to", "", "应答走另一条连接: 连接此地址收应答")
	f.StringVar(&o.replyListen, "reply-listen", "", "应答走另一条连接: 在此地址等对方来连接")
}

// line returns the line of an address to dial or to listen at, nil for neither.
// What it listens at is said through note, and closed with ctx.
func line(ctx context.Context, to, listen, what string, note func(string)) (*peer.Line, error) {
	switch {
	case to != "" && listen != "":
		return nil, fmt.Errorf("%s: 地址只能有一个", what)
	case to != "":
		return peer.DialLine(to), nil
	case listen == "":
		return nil, nil
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { ln.Close() })
	note(fmt.Sprintf("在 %s 等候%s连接", ln.Addr(), what))
	return peer.WaitLine(ln), nil
}

// client builds a client of the link's transport.
func (o *far) client(ctx context.Context, l *spec.Link, d *protocol.Dialect, note func(string)) (peer.Client, error) {
	plain := o.listen == "" && o.replyTo == "" && o.replyListen == ""
	switch {
	case o.to == "" && o.listen == "":
		return nil, errors.New("--to 与 --listen 应有一个")
	case plain:
		return dial(l, d, o.to)
	case l.Transport == "http" || l.OneShot():
		return nil, fmt.Errorf("%s: 等候连接与另走应答只用于 tcp 长连接", l.ID)
	}
	to, err := line(ctx, o.to, o.listen, "请求", note)
	if err != nil {
		return nil, err
	}
	replies, err := line(ctx, o.replyTo, o.replyListen, "应答", note)
	if err != nil {
		return nil, err
	}
	return peer.Join(d, to, replies), nil
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
