package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

// some writes n payments and stops in good order; it returns their names.
func some(t *testing.T, dir string, o journal.Options, n int) []pay.ID {
	t.Helper()
	j, stop := start(t, dir, o)
	defer stop()
	var ids []pay.ID
	for i := range n {
		e, seen, err := j.Begin(t.Context(), sale(strconv.Itoa(i)))
		if err != nil || seen != pay.SeenNew {
			t.Fatal(seen, err)
		}
		ids = append(ids, e.ID)
	}
	return ids
}

func exec1(t *testing.T, dir, query string) {
	t.Helper()
	c, err := open(New(dir).file(today), "rw", busyWriter)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(query, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func unsign(t *testing.T, dir string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, today.String()+".sig")); err != nil {
		t.Fatal(err)
	}
}

// damages are ways to hurt a log of which the rows up to 12 stay good.
var damages = map[string]func(t *testing.T, dir string){
	"row altered": func(t *testing.T, dir string) { exec1(t, dir, "UPDATE event SET body = x'00' WHERE row = 13") },
	"row gone":    func(t *testing.T, dir string) { exec1(t, dir, "DELETE FROM event WHERE row = 13") },
	"wrong type":  func(t *testing.T, dir string) { exec1(t, dir, "UPDATE event SET ref = x'00' WHERE row = 13") },
}

// TestDamagedTail wants rows that are not under a signed checkpoint cut off and
// kept aside, and no row number used twice.
func TestDamagedTail(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := newOptions(t, dir)
			ids := some(t, dir, o, 20)
			unsign(t, dir)
			damage(t, dir)
			j, stop := start(t, dir, o)
			defer stop()
			for i, id := range ids {
				if _, err := j.Get(t.Context(), id); (err == nil) != (id.Row <= 12) {
					t.Errorf("payment %d in row %d: %v", i, id.Row, err)
				}
			}
			e, seen, err := j.Begin(t.Context(), sale("15"))
			if err != nil || seen != pay.SeenNew || e.ID.Row <= ids[len(ids)-1].Row {
				t.Fatalf("got %v %d %v", e.ID, seen, err)
			}
			if j.Stats().Damaged == "" {
				t.Error("nothing was noted")
			}
			if aside, err := filepath.Glob(filepath.Join(dir, "*.damaged-*")); err != nil || len(aside) == 0 {
				t.Error("nothing was kept aside")
			}
			if _, err := j.Verify(t.Context(), today); err != nil {
				t.Error(err)
			}
			stop()
			again, stop := start(t, dir, o)
			defer stop()
			if _, err := again.Get(t.Context(), e.ID); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSignedLoss wants a start refused when rows under a signed checkpoint are
// gone, until somebody accepts that.
func TestSignedLoss(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string){
		"truncated": func(t *testing.T, dir string) { exec1(t, dir, "DELETE FROM event WHERE row > 12") },
		"last row altered": func(t *testing.T, dir string) {
			exec1(t, dir, "UPDATE event SET link = 1 WHERE row = (SELECT max(row) FROM event)")
		},
		"file cut": func(t *testing.T, dir string) {
			if err := os.Truncate(New(dir).file(today), 4096*3); err != nil {
				t.Fatal(err)
			}
		},
		"file overwritten": func(t *testing.T, dir string) {
			if err := os.WriteFile(New(dir).file(today), make([]byte, 9000), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := newOptions(t, dir)
			ids := some(t, dir, o, 20)
			damage(t, dir)
			if j, err := journal.Open(t.Context(), New(dir), o, today); !errors.Is(err, journal.ErrLoss) {
				t.Fatalf("opened: %v %v", j, err)
			}
			o.AcceptLoss = true
			j, stop := start(t, dir, o)
			defer stop()
			e, seen, err := j.Begin(t.Context(), sale("new"))
			if err != nil || seen != pay.SeenNew || e.ID.Row <= ids[len(ids)-1].Row {
				t.Fatalf("got %v %d %v", e.ID, seen, err)
			}
			if j.Stats().Damaged == "" {
				t.Error("nothing was noted")
			}
			stop()
			o.AcceptLoss = false
			_, stop = start(t, dir, o)
			stop()
		})
	}
}

// TestDamagedPage wants a page that SQLite cannot read treated like a row that
// does not prove true.
func TestDamagedPage(t *testing.T) {
	dir := t.TempDir()
	o := newOptions(t, dir)
	ids := some(t, dir, o, 200)
	unsign(t, dir)
	f, err := os.OpenFile(New(dir).file(today), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Seek(0, 2)
	if err == nil {
		_, err = f.WriteAt(make([]byte, 4096), size-3*4096)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	j, stop := start(t, dir, o)
	defer stop()
	if _, err := j.Get(t.Context(), ids[0]); err != nil {
		t.Error(err)
	}
	if _, err := j.Verify(t.Context(), today); err != nil || j.Stats().Damaged == "" {
		t.Errorf("%v, stats %+v", err, j.Stats())
	}
}

func TestTwoOpeners(t *testing.T) {
	dir := t.TempDir()
	o := newOptions(t, dir)
	_, stop := start(t, dir, o)
	if _, err := journal.Open(t.Context(), New(dir), o, today); !errors.Is(err, journal.ErrLocked) {
		t.Fatalf("got %v", err)
	}
	stop()
	_, stop = start(t, dir, o)
	stop()
}

func TestFileModes(t *testing.T) {
	dir := t.TempDir()
	some(t, dir, newOptions(t, dir), 1)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v", f.Name(), info.Mode(), err)
		}
	}
}

// TestStoreErrors wants a store that says what is wrong.
func TestStoreErrors(t *testing.T) {
	dir := t.TempDir()
	s := New(dir)
	if _, err := s.Reader(t.Context(), today); !errors.Is(err, journal.ErrNoLog) {
		t.Errorf("got %v", err)
	}
	if days, err := s.Days(t.Context()); err != nil || len(days) != 0 {
		t.Errorf("got %v %v", days, err)
	}
	if err := s.Tidy(t.Context(), today); err == nil {
		t.Error("tidied nothing")
	}
	w, err := s.Writer(t.Context(), today)
	if err != nil {
		t.Fatal(err)
	}
	rows := []journal.Row{{Seq: 1}, {Seq: 2}, {Seq: 2}}
	if err := w.Append(t.Context(), rows); err == nil {
		t.Error("appended a row twice")
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if days, err := s.Days(t.Context()); err != nil || len(days) != 0 {
		t.Errorf("half a commit: %v %v", days, err)
	}
}
