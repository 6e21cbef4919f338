package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// local is a folder of this machine. Nothing outside of it can be reached.
type local struct{ root *os.Root }

func openLocal(o *Options) (Store, error) {
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return nil, err
	}
	return local{root}, nil
}

func (l local) List() ([]Info, error) {
	entries, err := fs.ReadDir(l.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var out []Info
	for _, e := range entries {
		i, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // it went away in between
		}
		if err != nil {
			return nil, err
		}
		if i.Mode().IsRegular() {
			out = append(out, Info{Name: i.Name(), Size: i.Size(), Time: i.ModTime()})
		}
	}
	return out, nil
}

func (l local) Get(name string) (io.ReadCloser, error) { return l.root.Open(name) }

func (l local) Put(name string, r io.Reader) error {
	f, err := l.root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Rename fails when there is a file of the new name.
func (l local) Rename(from, to string) error {
	if err := l.root.Link(from, to); err != nil {
		return err
	}
	return l.root.Remove(from)
}

func (l local) Close() error { return l.root.Close() }
