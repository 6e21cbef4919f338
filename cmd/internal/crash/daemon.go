package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"time"

	"qianzhi/cmd/internal/app"
)

// daemon is the process that is killed.
type daemon struct {
	binary, config string
	doors          []app.LinkOptions
	cmd            *exec.Cmd
	out            bytes.Buffer
	exited         chan error
	born           time.Time
	ready          time.Duration // the longest that all doors took to open
}

func (d *daemon) start(ctx context.Context) error {
	d.out.Reset()
	d.cmd = exec.CommandContext(ctx, d.binary, "serve", "--config", d.config)
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.out
	d.born, d.exited = time.Now(), make(chan error, 1)
	if err := d.cmd.Start(); err != nil {
		return err
	}
	go func(cmd *exec.Cmd, exited chan error) { exited <- cmd.Wait() }(d.cmd, d.exited)
	return nil
}

// lifetimes of the daemon, from its start or from when its doors opened.
const (
	shortLife = 150 * time.Millisecond
	longLife  = 600 * time.Millisecond
	patience  = 3 * time.Minute // how fast a start is depends on the machine
)

// killAfter lets the daemon live for a random time and kills it: one in five
// while it still starts, the others while it serves.
func (d *daemon) killAfter(ctx context.Context, r *rand.Rand) error {
	life := time.Duration(r.Int64N(int64(shortLife)))
	if r.IntN(5) > 0 {
		if err := d.open(ctx); err != nil {
			return err
		}
		life = time.Duration(r.Int64N(int64(longLife)))
	}
	t := time.NewTimer(life)
	defer t.Stop()
	select {
	case <-t.C:
		return d.kill()
	case err := <-d.exited:
		return fmt.Errorf("the daemon ended by itself: %w\n%s", errors.Join(err), d.out.Bytes())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// open waits until every door can be dialled.
func (d *daemon) open(ctx context.Context) error {
	for _, l := range d.doors {
		for {
			c, err := net.DialTimeout("tcp", l.Listen, time.Second)
			if err == nil {
				_ = c.Close() // it was only a knock
				break
			}
			select {
			case err := <-d.exited:
				return fmt.Errorf("the daemon ended by itself: %w\n%s", errors.Join(err), d.out.Bytes())
			default:
			}
			if time.Since(d.born) > patience || !pause(ctx, 2*time.Millisecond) {
				return fmt.Errorf("link %s did not open: %w", l.ID, err)
			}
		}
	}
	d.ready = max(d.ready, time.Since(d.born))
	return nil
}

// kill ends the daemon as a power cut of the process would.
func (d *daemon) kill() error {
	if d.cmd == nil {
		return nil
	}
	err := d.cmd.Process.Kill()
	<-d.exited
	d.cmd = nil
	return err
}

// pause waits, and reports false when ctx ended first.
func pause(ctx context.Context, t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
