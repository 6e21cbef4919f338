package batch

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// The steps of a file.
const (
	arrived  = "arrived"  // a copy is kept
	refused  = "refused"  // nothing of it was or will be begun
	accepted = "accepted" // its rows may have been begun
	done     = "done"     // its result is written
	ended    = "ended"    // and delivered
)

// state is what is known of one file. It is durable before the next step.
type state struct {
	Name  string    `json:"name"`
	Step  string    `json:"step"`
	Copy  string    `json:"copy"` // as it was fetched
	SM3   string    `json:"sm3"`
	Size  int64     `json:"size"` // at the server, to notice another one
	Time  time.Time `json:"time"`
	Why   string    `json:"why,omitempty"`   // it was refused
	Sent  string    `json:"sent,omitempty"`  // name of the answer, in the state's folder
	Rows  int       `json:"rows,omitempty"`  // of it
	Good  int       `json:"good,omitempty"`  // of these, charged
	Fen   int64     `json:"fen,omitempty"`   // charged
	Other string    `json:"other,omitempty"` // SM3 of another file of the name, which was not taken
}

const stateEnd = ".state"

func (b *Batch) path(name string) string { return filepath.Join(b.o.Dir, name) }

// load reads the state of a file; the error of one that is new wraps
// fs.ErrNotExist.
func (b *Batch) load(name string) (*state, error) {
	raw, err := os.ReadFile(b.path(name + stateEnd))
	if err != nil {
		return nil, err
	}
	s := new(state)
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, fmt.Errorf("%s: %w", b.path(name+stateEnd), err)
	}
	return s, nil
}

// states are the files that are not through, the oldest name first.
func (b *Batch) states() ([]*state, error) {
	names, err := os.ReadDir(b.o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []*state
	for _, n := range names {
		name, ok := strings.CutSuffix(n.Name(), stateEnd)
		if !ok {
			continue
		}
		s, err := b.load(name)
		if err != nil {
			return all, err
		}
		if s.Step != ended {
			all = append(all, s)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, nil
}

// keep makes a state durable.
func (b *Batch) keep(s *state) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return b.write(s.Name+stateEnd, append(raw, '\n'))
}

// write puts a file into the state's folder, whole or not at all.
func (b *Batch) write(name string, raw []byte) error {
	if err := os.MkdirAll(b.o.Dir, 0o700); err != nil {
		return err
	}
	tmp := b.path(name + ".part")
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, b.path(name)); err != nil {
		return err
	}
	dir, err := os.Open(b.o.Dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// fate is how a row ended.
type fate struct {
	Row  int    `json:"row"` // its line
	Code string `json:"code"`
	Ours string `json:"ours,omitempty"` // our serial
	Bank string `json:"bank,omitempty"` // the bank's
	Host string `json:"host,omitempty"` // the utility's
}

// fates are the rows that are final, by line. A line that a kill cut short says
// nothing: its row is asked for again.
func (b *Batch) fates(name string) (map[int]fate, error) {
	out := map[int]fate{}
	raw, err := os.ReadFile(b.path(name + ".rows"))
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	sc := bufio.NewScanner(bytes.NewReader(raw))
	for sc.Scan() {
		var f fate
		if json.Unmarshal(sc.Bytes(), &f) == nil && f.Row > 0 && f.Code != "" {
			out[f.Row] = f
		}
	}
	return out, errors.Join(err, sc.Err())
}

// note adds rows that are final. A line end comes first, as the last line may be
// cut short.
func (b *Batch) note(name string, more []fate) error {
	if len(more) == 0 {
		return nil
	}
	f, err := os.OpenFile(b.path(name+".rows"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	buf := []byte("\n")
	for i := range more {
		line, err := json.Marshal(&more[i])
		if err != nil {
			return errors.Join(err, f.Close())
		}
		buf = append(append(buf, line...), '\n')
	}
	_, err = f.Write(buf)
	return errors.Join(err, f.Sync(), f.Close())
}
