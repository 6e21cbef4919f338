package reconcile

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// ErrLongLine reports a line longer than a block.
var ErrLongLine = errors.New("a line that does not end")

// Blocks deals out a stretch of a file to several workers, in whole lines. The
// first error ends it for all of them.
type Blocks struct {
	mu       sync.Mutex
	r        io.ReaderAt
	next, to int64
	stride   int64
	err      error
}

// NewBlocks deals out the bytes from..to. Lines of one width (stride > 0) are
// cut without looking for their ends; others end with a line feed.
func NewBlocks(r io.ReaderAt, from, to, stride int64) *Blocks {
	return &Blocks{r: r, next: from, to: to, stride: stride}
}

// Next reads the next whole lines into buf, which has room for the longest one
// (of one width: for a multiple of it). It returns them and their place;
// nothing at the end, and nothing once a worker has failed.
func (b *Blocks) Next(buf []byte) ([]byte, int64, error) {
	b.mu.Lock()
	at := b.next
	n := min(int64(len(buf)), b.to-at)
	if b.stride > 0 { // the others need not wait for the reading
		b.next += n
		b.mu.Unlock()
		return buf[:n], at, b.read(buf[:n], at)
	}
	defer b.mu.Unlock()
	if err := b.read(buf[:n], at); err != nil {
		return nil, at, err
	}
	if at+n < b.to {
		i := bytes.LastIndexByte(buf[:n], '\n')
		if i < 0 {
			return nil, at, ErrLongLine
		}
		n = int64(i) + 1
	}
	b.next = at + n
	return buf[:n], at, nil
}

func (b *Blocks) read(buf []byte, at int64) error {
	if len(buf) == 0 {
		return nil
	}
	n, err := b.r.ReadAt(buf, at)
	switch {
	case n == len(buf):
		return nil
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

// Fail ends the dealing; the first error stands.
func (b *Blocks) Fail(err error) {
	b.mu.Lock()
	if b.err == nil {
		b.err = err
	}
	b.next = b.to
	b.mu.Unlock()
}

// Err returns what Fail was told first.
func (b *Blocks) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}
