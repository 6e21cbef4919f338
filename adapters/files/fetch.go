package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strconv"
	"time"
)

// Outcome is what became of fetching a file.
type Outcome uint8

// The outcomes. Only Whole and Empty are files to go on with.
const (
	Unseen  Outcome = iota // nobody could look: the server was not reached or did not answer
	Missing                // the server answered, and there is no such file
	Bad                    // there is one, and it is not complete or not what was agreed
	Empty                  // there is one, complete, of no bytes
	Whole                  // there is one, complete
)

var outcomeWords = [...]string{"未取到", "无文件", "文件错误", "空文件", "完整"}

// Chinese returns the word for operators.
func (o Outcome) Chinese() string {
	if int(o) < len(outcomeWords) {
		return outcomeWords[o]
	}
	return "?"
}

// Want is a file to be fetched and when it is complete.
type Want struct {
	Name    string
	Marker  string         // a file of this name says that it is complete; empty: none does
	Stable  time.Duration  // size and time must be the same twice with this pause between, 0: once is enough
	Trailer *regexp.Regexp // what the last line looks like; its first group, if any, is the number of lines before it; nil: anything
	Max     int64          // bytes
	Every   time.Duration  // between looks
	Until   time.Time      // the last look
}

// Check reports the first setting that cannot work.
func (w *Want) Check() error {
	if err := plain(w.Name); err != nil {
		return err
	}
	if w.Marker != "" {
		if err := plain(w.Marker); err != nil {
			return fmt.Errorf("marker: %w", err)
		}
	}
	if w.Max <= 0 || w.Every <= 0 || w.Stable < 0 {
		return errors.New("max: every must be positive as well, stable not negative")
	}
	return nil
}

// Got is the outcome of fetching a file.
type Got struct {
	Outcome Outcome
	Copy           // of what was fetched, complete or not; no Path when nothing was
	Looks   int    // how often the server was asked
	Why     string // of anything but Whole, for operators
}

// Fetcher fetches files of one server.
type Fetcher struct {
	Open  func(ctx context.Context) (Store, error)
	Keep  *Archive
	Now   func() time.Time
	Pause func(ctx context.Context, d time.Duration) error // between looks; an error ends them
}

// Fetch looks for a file until it is there and complete, or the time is up, and
// returns what the last look found. Every version that was fetched is kept.
func (f *Fetcher) Fetch(ctx context.Context, w *Want) Got {
	if err := w.Check(); err != nil {
		return Got{Outcome: Unseen, Why: err.Error()}
	}
	for looks := 1; ; looks++ {
		got := f.look(ctx, w)
		got.Looks = looks
		if got.Outcome >= Empty || f.Now().Add(w.Every).After(w.Until) || f.Pause(ctx, w.Every) != nil {
			return got
		}
	}
}

// look is one connection.
func (f *Fetcher) look(ctx context.Context, w *Want) Got {
	s, err := f.Open(ctx)
	if err != nil {
		return Got{Outcome: Unseen, Why: fmt.Sprintf("连接失败: %v", err)}
	}
	got, err := f.see(ctx, s, w)
	if err != nil {
		got = Got{Outcome: Unseen, Copy: got.Copy, Why: fmt.Sprintf("读取中断: %v", err)}
	}
	_ = s.Close() // all is read
	return got
}

// see judges the file on a connected server. The error is that nobody could
// look.
func (f *Fetcher) see(ctx context.Context, s Store, w *Want) (Got, error) {
	list, err := s.List()
	if err != nil {
		return Got{}, err
	}
	at, err := find(list, w.Name)
	if err != nil {
		return Got{Outcome: Missing, Why: "服务器上没有 " + w.Name}, nil
	}
	if _, err := find(list, w.Marker); w.Marker != "" && err != nil {
		return Got{Outcome: Bad, Why: "没有完成标志 " + w.Marker}, nil
	}
	if at.Size > w.Max {
		return Got{Outcome: Bad, Why: fmt.Sprintf("%d 字节, 超过上限 %d", at.Size, w.Max)}, nil
	}
	if w.Stable > 0 {
		if err := f.Pause(ctx, w.Stable); err != nil {
			return Got{}, err
		}
		if moved, err := same(s, at); err != nil || moved {
			return Got{Outcome: Bad, Why: "仍在写入"}, err
		}
	}
	return f.take(s, w, at)
}

// same looks once more and reports whether the file is another one now.
func same(s Store, at Info) (moved bool, err error) {
	list, err := s.List()
	if err != nil {
		return false, err
	}
	now, err := find(list, at.Name)
	return err != nil || now.Size != at.Size || !now.Time.Equal(at.Time), nil
}

// take fetches the file, keeps the copy and judges its content.
func (f *Fetcher) take(s Store, w *Want, at Info) (Got, error) {
	r, err := s.Get(w.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return Got{Outcome: Missing, Why: "读取前已被移走"}, nil
	}
	if err != nil {
		return Got{}, err
	}
	c, err := f.Keep.Add(w.Name, io.LimitReader(r, w.Max+1))
	if c.Size > w.Max {
		_ = r.Close() // the rest is not wanted
		return Got{Outcome: Bad, Copy: c, Why: fmt.Sprintf("超过上限 %d 字节", w.Max)}, err
	}
	if err = errors.Join(err, r.Close()); err != nil {
		return Got{Copy: c}, err
	}
	got := Got{Outcome: Whole, Copy: c}
	moved, err := same(s, at)
	switch {
	case err != nil:
		return got, err
	case moved || c.Size != at.Size:
		got.Outcome, got.Why = Bad, fmt.Sprintf("读取时被改动: 列表 %d 字节, 读到 %d 字节", at.Size, c.Size)
	case c.Size == 0:
		got.Outcome, got.Why = Empty, "0 字节"
	default:
		if why := w.ends(&c); why != "" {
			got.Outcome, got.Why = Bad, why
		}
	}
	return got, nil
}

// ends says what is wrong with the last line, "" when nothing is.
func (w *Want) ends(c *Copy) string {
	if w.Trailer == nil {
		return ""
	}
	m := w.Trailer.FindStringSubmatch(c.Last)
	switch {
	case m == nil:
		return "末行不是约定的文件尾"
	case len(m) < 2:
		return ""
	}
	if n, err := strconv.ParseInt(m[1], 10, 64); err != nil || n != c.Lines-1 {
		return fmt.Sprintf("文件尾记 %s 行, 实有 %d 行", m[1], c.Lines-1)
	}
	return ""
}
