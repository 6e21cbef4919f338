package powerloss

import (
	"io"
	"path/filepath"
	"strings"
)

// replay follows a recorded run on a model of the disk.
type replay struct {
	dir, acks string // recorded folder, and the file that acknowledgements are written to
	disk      *folder
	open      map[int64]*handle
	syncing   map[string]int // marks of syncs under way, by thread
	told      []string       // acknowledgements so far
	deaf      bool           // syncs of logs do nothing: a disk that lies
}

// handle is an open file of the process; its file is nil for the folder itself.
type handle struct {
	file   *file
	ack    bool
	append bool
	at     int64
}

// follow replays a record and calls at before each of its lines.
func (p *replay) follow(record io.Reader, at func(line int) error) error {
	line := 0
	return parse(record, func(c call) error {
		if err := at(line); err != nil {
			return err
		}
		line++
		return p.do(&c)
	})
}

// name returns the name of a path within the folder.
func (p *replay) name(path []byte) (string, bool) {
	name, ours := strings.CutPrefix(string(path), p.dir+"/")
	return name, ours && !strings.Contains(name, "/") && !strings.HasSuffix(name, "-shm")
}

func (p *replay) do(c *call) error {
	switch c.name {
	case "execve": // the process ends and another begins
		p.open = map[int64]*handle{}
		return nil
	case "openat":
		return p.openFile(c)
	case "close":
		if c.begins { // whoever opens next may get the number before this call ends
			delete(p.open, number(c.args[0]))
		}
		return nil
	case "rename", "renameat", "renameat2":
		return p.rename(c)
	case "unlink", "unlinkat":
		return p.unlink(c)
	}
	h := p.open[number(c.args[0])]
	if h == nil {
		return nil
	}
	switch c.name {
	case "write", "pwrite64":
		return p.write(c, h)
	case "lseek":
		if c.ends && c.result >= 0 {
			h.at = c.result
		}
	case "ftruncate":
		if c.ends && c.result == 0 && h.file != nil {
			h.file.change(change{size: number(c.args[1])})
		}
	case "fsync", "fdatasync":
		p.sync(c, h)
	}
	return nil
}

// sync makes safe what was written before the call began.
func (p *replay) sync(c *call, h *handle) {
	thing := interface {
		mark() int
		sync(int)
	}(p.disk)
	if h.file != nil {
		thing = h.file
	}
	if c.begins {
		p.syncing[c.thread] = thing.mark()
	}
	if c.ends && c.result == 0 && !p.deaf {
		thing.sync(p.syncing[c.thread])
	}
}

func (p *replay) openFile(c *call) error {
	if !c.ends || c.result < 0 {
		return nil
	}
	path, err := text(c.args[1])
	if err != nil {
		return err
	}
	flags := c.args[2]
	switch name, ours := p.name(path); {
	case string(path) == p.acks:
		p.open[c.result] = &handle{ack: true}
	case filepath.Clean(string(path)) == p.dir:
		p.open[c.result] = &handle{}
	case ours:
		f := p.disk.now[name]
		if f == nil {
			f = &file{}
			p.disk.change(naming{[]string{name}, []*file{f}})
		} else if strings.Contains(flags, "O_TRUNC") {
			f.change(change{size: 0})
		}
		p.open[c.result] = &handle{file: f, append: strings.Contains(flags, "O_APPEND")}
	default:
		delete(p.open, c.result)
	}
	return nil
}

// write takes effect when it ends, an acknowledgement as soon as it begins.
func (p *replay) write(c *call, h *handle) error {
	if h.ack && c.begins {
		b, err := text(c.args[1])
		p.told = append(p.told, strings.TrimSpace(string(b)))
		return err
	}
	if !c.ends || c.result <= 0 || h.file == nil {
		return nil
	}
	b, err := text(c.args[1])
	if err != nil {
		return err
	}
	b = b[:min(int64(len(b)), c.result)]
	at := h.at
	switch {
	case c.name == "pwrite64":
		at = number(c.args[3])
	case h.append:
		at = h.file.size
	}
	if c.name == "write" {
		h.at = at + int64(len(b))
	}
	h.file.change(change{at: at, data: b, size: -1})
	return nil
}

func (p *replay) rename(c *call) error {
	if !c.ends || c.result != 0 {
		return nil
	}
	from, to := c.args[0], c.args[1]
	if c.name != "rename" {
		from, to = c.args[1], c.args[3]
	}
	a, err := text(from)
	if err != nil {
		return err
	}
	b, err := text(to)
	if err != nil {
		return err
	}
	old, ours := p.name(a)
	fresh, here := p.name(b)
	if ours && here {
		p.disk.change(naming{[]string{old, fresh}, []*file{nil, p.disk.now[old]}})
	}
	return nil
}

func (p *replay) unlink(c *call) error {
	if !c.ends || c.result != 0 {
		return nil
	}
	arg := c.args[0]
	if c.name == "unlinkat" {
		arg = c.args[1]
	}
	path, err := text(arg)
	if name, ours := p.name(path); ours && err == nil {
		p.disk.change(naming{[]string{name}, []*file{nil}})
	}
	return err
}
