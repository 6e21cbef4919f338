// Package demo is the main job end to end on one machine: it writes a
// configuration and throw-away keys, starts the daemon, plays a bank's day
// against it over real sockets, cuts the day, reconciles it and checks that
// every number agrees.
package demo

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	mrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"qianzhi/cmd/internal/keyfile"
	"qianzhi/conf"
	"qianzhi/protocol/gm"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
)

// mark is the file that says a folder belongs to the demo and may be emptied.
const mark = ".qianzhi-demo"

// home is the demo's folder.
type home struct {
	dir              string
	dedupe, products bool              // of the options
	ports            map[string]string // link id, or mis: loopback address
	files            *fileServer
}

// prepare empties the folder if it is the demo's own, and writes the shipped
// specifications, keys and a configuration into it.
func prepare(o *Options) (*home, error) {
	h := &home{dir: o.Dir, dedupe: o.Dedupe, products: o.Products, ports: map[string]string{}}
	if err := h.clear(); err != nil {
		return nil, err
	}
	for _, step := range []func() error{h.specs, h.keys, h.reserve, h.config} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (h *home) clear() error {
	names, err := os.ReadDir(h.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(names) > 0 {
		if _, err := os.Stat(filepath.Join(h.dir, mark)); err != nil {
			return fmt.Errorf("%s 不是演示目录(没有 %s), 不清空; 请用 --dir 另选", h.dir, mark)
		}
		if h.busy() {
			return fmt.Errorf("%s 正被另一进程使用, 不清空; 请先停止它或用 --dir 另选", h.dir)
		}
		if err := os.RemoveAll(h.dir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return err
	}
	return h.write(mark, []byte("此目录由 qianzhi demo 生成, 再次运行时清空\n"), 0o600)
}

// busy reports whether a daemon runs on the folder: it holds the journal's lock.
func (h *home) busy() bool {
	f, err := os.Open(filepath.Join(h.dir, "data", "journal", "lock"))
	if err != nil {
		return false
	}
	defer f.Close() // gives the lock back
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}

func (h *home) write(name string, b []byte, mode os.FileMode) error {
	name = filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return os.WriteFile(name, b, mode)
}

func (h *home) specs() error {
	return fs.WalkDir(conf.Files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, "/") {
			return err
		}
		b, err := conf.Files.ReadFile(path)
		if err != nil {
			return err
		}
		return h.write(path, b, 0o600)
	})
}

// keys makes a key pair for each party and the shared secrets.
func (h *home) keys() error {
	for _, name := range []string{"gateway", "bank", "mis", "journal"} {
		k, err := gm.GenerateKey()
		if err != nil {
			return err
		}
		priv, err := gm.MarshalPrivateKey(k)
		if err != nil {
			return err
		}
		pub, err := gm.MarshalPublicKey(k.Public())
		if err != nil {
			return err
		}
		if err := errors.Join(h.write("keys/"+name+".key", priv, 0o600), h.write("keys/"+name+".pub", pub, 0o600)); err != nil {
			return err
		}
	}
	for _, name := range []string{"terminal-master", "posp-master", "mis-session", "journal-seal", "journal-index"} {
		var b [16]byte
		if _, err := rand.Read(b[:]); err != nil {
			return err
		}
		if err := h.write("keys/"+name+".sm4", []byte(hex.EncodeToString(b[:])+"\n"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// reserve finds free loopback ports, which stay the same when serve is run on
// the folder later.
func (h *home) reserve() error {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	for _, id := range append([]string{"pos", "fixed", "http", "mis", "kiosk", "kiosk-pos", "public", "posp", "meter"}, doorPorts...) {
		l, err := listenLow()
		if err != nil {
			return err
		}
		held = append(held, l)
		h.ports[id] = l.Addr().String()
	}
	return nil
}

// listenLow takes a free port below those that the system gives to outgoing
// connections, so that none of them has it when the daemon wants it.
func listenLow() (l net.Listener, err error) {
	for range 100 {
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+mrand.IntN(22_000))); err == nil {
			return l, nil
		}
	}
	return nil, err
}

// config writes the shipped configuration with the demo's ports and short
// waits.
func (h *home) config() error {
	b, err := conf.Files.ReadFile("qianzhi.yaml")
	if err != nil {
		return err
	}
	text := string(b)
	for _, c := range [][2]string{
		{"127.0.0.1:7001", h.ports["pos"]}, {"127.0.0.1:7002", h.ports["fixed"]}, {"127.0.0.1:7003", h.ports["http"]},
		{"127.0.0.1:7100", h.ports["mis"]},
		{"timeout: 10s", "timeout: 3s"}, {"late_window: 30m", "late_window: 6s"}, {"undo_days: 0", "undo_days: 1"},
		{"gaps: [1s, 2s, 4s, 8s, 16s, 32s, 1m, 5m, 15m]", "gaps: [200ms, 500ms, 1s, 2s, 4s, 8s]"},
		{"park_for: 24h", "park_for: 1h"}, {"  dedupe: true\n", fmt.Sprintf("  dedupe: %v\n", h.dedupe)},
		{`dedupe: "yes"`, `dedupe: "` + map[bool]string{true: "yes", false: "no"}[h.dedupe] + `"`},
	} {
		if !strings.Contains(text, c[0]) {
			return fmt.Errorf("shipped configuration has no %q", c[0])
		}
		text = strings.ReplaceAll(text, c[0], c[1])
	}
	if text, err = h.addProducts(text); err == nil {
		text, err = h.addDoors(text)
	}
	if err != nil {
		return err
	}
	return h.write("qianzhi.yaml", []byte(text), 0o600)
}

// file is the path of the configuration.
func (h *home) file() string { return filepath.Join(h.dir, "qianzhi.yaml") }

// bankSide loads the keys as the bank holds them: its own private key, the
// terminals' master key, and the gateway's public key.
func (h *home) bankSide() (secure.Keys, error) {
	keys := secure.Keys{Ring: secure.Ring{}, Roles: map[string]string{}}
	for role, file := range map[string]string{"bank": "bank.key", "gateway": "gateway.pub", "master": "terminal-master.sm4"} {
		key, err := keyfile.Read(filepath.Join(h.dir, "keys", file))
		if err != nil {
			return keys, err
		}
		keys.Ring[role], keys.Roles[role] = key, role
	}
	return keys, nil
}

func (h *home) link(file string) (*spec.Link, error) {
	return spec.Load(filepath.Join(h.dir, "links", file), os.ReadFile)
}
