package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"qianzhi/gateway/pay"
)

// refused are the payments that were definitely refused although the journal
// could not write it down: a copy of such a message that comes later, even after
// a restart, must not be accepted. They stand in a file of fixed size whose
// space is taken while there is some, so that a full disk does not keep a
// refusal from being written. A slot is the key's token and the second in which
// it was refused, 8 bytes each, big endian; zero is free.
type refused struct {
	mu   sync.Mutex
	f    *os.File
	by   map[uint64]int // slot by token
	at   []int64        // by slot, unix seconds, 0 when free
	next int
	keep time.Duration
	now  func() time.Time
}

const (
	refusedFile  = "refused"
	refusedSlots = 1 << 14
	refusedSize  = 16
)

// openRefused opens the table of a folder, or makes it. A table that cannot be
// made whole refuses nothing: then nothing definite is said.
func openRefused(dir string, keep time.Duration, now func() time.Time) (*refused, error) {
	f, err := os.OpenFile(filepath.Join(dir, refusedFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	r := &refused{f: f, by: map[uint64]int{}, at: make([]int64, refusedSlots), keep: keep, now: now}
	b := make([]byte, refusedSlots*refusedSize)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errors.Join(err, f.Close())
	}
	if n < len(b) { // new, or its making was interrupted: nothing was refused by it
		clear(b)
		if _, err := f.WriteAt(b, 0); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if err := f.Sync(); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	for i := range r.at {
		s := b[i*refusedSize:]
		if r.at[i] = int64(binary.BigEndian.Uint64(s[8:])); r.at[i] != 0 {
			r.by[binary.BigEndian.Uint64(s)] = i
		}
	}
	return r, nil
}

func (r *refused) old(i int) bool { return r.now().Sub(time.Unix(r.at[i], 0)) > r.keep }

func (r *refused) has(token uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, ok := r.by[token]
	return ok && !r.old(i)
}

// add returns when the refusal is durable.
func (r *refused) add(token uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range refusedSlots {
		i := r.next
		r.next = (r.next + 1) % refusedSlots
		if r.at[i] != 0 && !r.old(i) {
			continue
		}
		s := make([]byte, refusedSize)
		binary.BigEndian.PutUint64(s, token)
		binary.BigEndian.PutUint64(s[8:], uint64(r.now().Unix()))
		if _, err := r.f.WriteAt(s, int64(i*refusedSize)); err != nil {
			return err
		}
		if err := r.f.Sync(); err != nil {
			return err
		}
		if r.at[i] != 0 { // what stood there is too old to matter
			maps.DeleteFunc(r.by, func(_ uint64, slot int) bool { return slot == i })
		}
		r.by[token], r.at[i] = i, int64(binary.BigEndian.Uint64(s[8:]))
		return nil
	}
	return errors.New("no room for another refusal")
}

// Refuse makes durable that a payment was refused which the journal could not
// take. On an error nothing definite may be said about it.
func (j *Journal) Refuse(ref pay.Ref) error {
	if err := j.refused.add(j.tokens.ref(ref)); err != nil {
		return fmt.Errorf("refusal: %w", err)
	}
	return nil
}

// Refused reports whether a payment was refused by Refuse, as far back as
// repeats are recognised.
func (j *Journal) Refused(ref pay.Ref) bool { return j.refused.has(j.tokens.ref(ref)) }
