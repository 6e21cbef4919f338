package files

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"qianzhi/protocol/gm"
)

// Copy is a file as it was fetched, kept for good.
type Copy struct {
	Path  string   // of the copy
	Size  int64    // bytes
	SM3   [32]byte // GB/T 32905
	Lines int64    // the last one counts without its line end
	Last  string   // the last line, at most its first maxLast bytes
	Again bool     // the same bytes were there already
}

const maxLast = 4 << 10

// Archive keeps copies in a folder, one folder a day. A copy is never changed
// and never replaced: other bytes under the same name are another copy.
type Archive struct {
	Dir string
	Now func() time.Time
}

// Add reads a file to its end and keeps it. After an error of the reader
// nothing is kept.
func (a *Archive) Add(name string, r io.Reader) (c Copy, err error) {
	if err := plain(name); err != nil {
		return c, err
	}
	dir := filepath.Join(a.Dir, a.Now().Format("20060102"))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return c, err
	}
	tmp := filepath.Join(dir, ".part-"+rand.Text())
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o400)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, os.Remove(tmp)) }()
	m := meter{copy: &c}
	h := gm.NewSM3()
	_, err = io.Copy(io.MultiWriter(f, h, &m), r)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return c, err
	}
	m.end()
	h.Sum(c.SM3[:0])
	path := filepath.Join(dir, fmt.Sprintf("%s.%s", name, hex.EncodeToString(c.SM3[:8])))
	if err := os.Link(tmp, path); errors.Is(err, fs.ErrExist) {
		c.Again = true
	} else if err != nil {
		return c, err
	}
	c.Path = path
	return c, syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// meter counts bytes and lines and remembers the last line.
type meter struct {
	copy *Copy
	line []byte
	open bool // bytes since the last line end
}

// Write takes the next bytes.
func (m *meter) Write(b []byte) (int, error) {
	m.copy.Size += int64(len(b))
	for rest := b; len(rest) > 0; {
		if !m.open {
			m.copy.Lines++
			m.line, m.open = m.line[:0], true
		}
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		m.line = append(m.line, line[:min(len(line), maxLast-len(m.line))]...)
		m.open = !ended
		rest = after
	}
	return len(b), nil
}

func (m *meter) end() { m.copy.Last = string(bytes.TrimSuffix(m.line, []byte{'\r'})) }
