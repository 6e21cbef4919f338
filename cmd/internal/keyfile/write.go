package keyfile

import (
	"os"
	"path/filepath"
)

// Write writes a file that only its owner may read (mode 600), whole or not at
// all: beside it, to the disk, and then in its place.
func Write(name string, content []byte) error {
	f, err := Create(name)
	if err != nil {
		return err
	}
	defer f.Abandon()
	if _, err := f.Write(content); err != nil {
		return err
	}
	return f.Commit()
}

// Pending is a file that is being written; it does not have its name yet.
type Pending struct {
	*os.File
	name string
	done bool
}

// Create begins a file of mode 600.
func Create(name string) (*Pending, error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".qianzhi-*") // mode 600
	if err != nil {
		return nil, err
	}
	return &Pending{File: f, name: name}, nil
}

// Commit brings the content to the disk and gives the file its name.
func (p *Pending) Commit() error {
	if err := p.Sync(); err != nil {
		return err
	}
	if err := p.Close(); err != nil {
		return err
	}
	if err := os.Rename(p.File.Name(), p.name); err != nil {
		return err
	}
	p.done = true
	dir, err := os.Open(filepath.Dir(p.name))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// Abandon removes the file unless it was committed.
func (p *Pending) Abandon() {
	if !p.done {
		p.Close()
		os.Remove(p.File.Name())
	}
}
