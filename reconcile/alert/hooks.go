package alert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// hookLimit is how long a hook may run.
const hookLimit = 30 * time.Second

// hooks are programs in a folder, each named after an event. One gets the
// result on its standard input and the exit status as its argument.
type hooks struct {
	dir   string
	limit time.Duration
	log   *slog.Logger
}

func (h *hooks) name() string { return "hook" }

func (h *hooks) wants(m *Message) bool {
	_, err := os.Stat(filepath.Join(h.dir, string(m.Event)))
	return err == nil || !errors.Is(err, fs.ErrNotExist)
}

// send runs the event's program. Whatever it does, it is not run again.
func (h *hooks) send(ctx context.Context, m *Message) error {
	name := filepath.Join(h.dir, string(m.Event))
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return final{err}
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return final{fmt.Errorf("%s is no program", name)}
	}
	if err := errors.Join(ours(name), ours(h.dir)); err != nil {
		return final{err}
	}
	ctx, cancel := context.WithTimeout(ctx, h.limit)
	defer cancel()
	c := exec.CommandContext(ctx, name, strconv.Itoa(m.Exit))
	c.Stdin = bytes.NewReader(m.Result)
	c.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "QIANZHI_EVENT=" + string(m.Event), "QIANZHI_LEVEL=" + string(m.Level), "QIANZHI_DAY=" + m.Day,
		"QIANZHI_CHANNEL=" + m.Channel, "QIANZHI_ID=" + m.ID, "QIANZHI_TEXT=" + m.Text}
	c.Dir = "/"
	out := &head{}
	c.Stdout, c.Stderr = out, out
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) } // with its children
	c.WaitDelay = time.Second
	if err := c.Run(); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w after %s", ctx.Err(), h.limit)
		}
		return final{fmt.Errorf("%s: %w: %s", name, err, out.b)}
	}
	return nil
}

// ours refuses what somebody else than we and root can change.
func ours(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.Mode()&0o022 != 0 {
		return fmt.Errorf("%s can be changed by others (mode %o)", name, info.Mode().Perm())
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d", name, st.Uid)
	}
	return nil
}

// head keeps the beginning of what is written to it.
type head struct{ b []byte }

func (h *head) Write(b []byte) (int, error) {
	h.b = append(h.b, b[:min(len(b), 4096-len(h.b))]...)
	return len(b), nil
}
