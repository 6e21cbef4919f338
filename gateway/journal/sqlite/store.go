// Package sqlite keeps the journal in SQLite files, one for each accounting
// day: <day>.db in a directory. Rows are inserted in ascending order and never
// changed, so a file grows at its end, and no index slows it down.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/mattn/go-sqlite3"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

const schema = `CREATE TABLE IF NOT EXISTS event (
	row INTEGER PRIMARY KEY,
	day INTEGER NOT NULL, pay INTEGER NOT NULL, n INTEGER NOT NULL, prev INTEGER NOT NULL,
	kind INTEGER NOT NULL, state INTEGER NOT NULL, at INTEGER NOT NULL, ref INTEGER NOT NULL, about INTEGER NOT NULL,
	account INTEGER NOT NULL, pan INTEGER NOT NULL, serial INTEGER NOT NULL, tail TEXT NOT NULL,
	link INTEGER NOT NULL, body BLOB NOT NULL)`

// Store keeps logs in files of a directory. It is safe for concurrent use.
type Store struct{ dir string }

// New returns the store of a directory, which must exist. Nothing is opened.
func New(dir string) *Store { return &Store{dir: dir} }

func (s *Store) file(day pay.Day) string { return filepath.Join(s.dir, day.String()+".db") }

// Days returns the days whose logs hold rows, ascending. Only the newest log
// may be empty: a cut was prepared and did not come.
func (s *Store) Days(ctx context.Context) ([]pay.Day, error) {
	names, err := filepath.Glob(filepath.Join(s.dir, "*.db"))
	if err != nil {
		return nil, err
	}
	var days []pay.Day
	for _, name := range names {
		if day, err := pay.ParseDay(strings.TrimSuffix(filepath.Base(name), ".db")); err == nil {
			days = append(days, day)
		}
	}
	sort.Slice(days, func(a, b int) bool { return days[a] < days[b] })
	for n := len(days); n > 0; n-- {
		empty, err := s.empty(ctx, days[n-1])
		if err != nil || !empty {
			return days[:n], err
		}
	}
	return nil, nil
}

func (s *Store) empty(ctx context.Context, day pay.Day) (bool, error) {
	r, err := s.Reader(ctx, day)
	if err != nil {
		return false, err
	}
	empty := true
	err = r.Read(ctx, journal.Range{Narrow: true}, func(*journal.Row) bool {
		empty = false
		return false
	})
	if errors.Is(err, journal.ErrDamaged) { // whoever opens it sees
		empty, err = false, nil
	}
	return empty, errors.Join(err, r.Close())
}

// Tidy moves committed rows from the write-ahead log into the file, as far as
// readers let it.
func (s *Store) Tidy(_ context.Context, day pay.Day) error {
	c, err := open(s.file(day), "rw", busyTidy)
	if err != nil {
		return err
	}
	_, err = checkpoint(c, "PASSIVE")
	return errors.Join(err, c.Close())
}

// Milliseconds that a connection waits for another process.
const (
	busyWriter = 1000
	busyTidy   = 100
	busyReader = 5000
)

// open opens a connection of our own, without a pool.
func open(name, mode string, busy int) (*sqlite3.SQLiteConn, error) {
	c, err := new(sqlite3.SQLiteDriver).Open(dsn(name, mode, busy))
	if err != nil {
		return nil, damage(err)
	}
	return c.(*sqlite3.SQLiteConn), nil
}

func dsn(name, mode string, busy int) string {
	path := (&url.URL{Path: name}).EscapedPath()
	return fmt.Sprintf("file:%s?mode=%s&_busy_timeout=%d&_synchronous=FULL&_stmt_cache_size=8", path, mode, busy)
}

// damage marks errors that say the file is not what was written.
func damage(err error) error {
	var e sqlite3.Error
	if errors.As(err, &e) && (e.Code == sqlite3.ErrCorrupt || e.Code == sqlite3.ErrNotADB) {
		return fmt.Errorf("%w: %w", journal.ErrDamaged, err)
	}
	return err
}

// Copy makes a consistent copy of a day's file, beside its writer, under a name
// that must be free.
func (s *Store) Copy(ctx context.Context, day pay.Day, name string) error {
	if err := create(name); err != nil {
		return err
	}
	from, err := open(s.file(day), "rw", busyReader)
	if err != nil {
		return err
	}
	to, err := open(name, "rw", busyReader)
	if err != nil {
		return errors.Join(err, from.Close())
	}
	b, err := to.Backup("main", from, "main")
	if err == nil {
		_, err = b.Step(-1) // all in one snapshot: it does not begin anew when the writer commits
		err = errors.Join(err, b.Finish())
	}
	return errors.Join(damage(err), to.Close(), from.Close(), ctx.Err(), syncDir(filepath.Dir(name)))
}

// Remove removes the file of a day.
func (s *Store) Remove(_ context.Context, day pay.Day) error {
	var errs error
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(s.file(day) + suffix); !errors.Is(err, os.ErrNotExist) {
			errs = errors.Join(errs, err)
		}
	}
	return errors.Join(errs, syncDir(s.dir))
}

// Salvage builds a new file from the rows up to last, puts it in the place of
// the damaged one and keeps that under the name it returns.
func (s *Store) Salvage(ctx context.Context, day pay.Day, last uint64) (string, error) {
	name, fresh := s.file(day), s.file(day)+".salvage"
	aside, err := unused(name)
	if err != nil {
		return "", err
	}
	for _, old := range []string{fresh, fresh + "-wal", fresh + "-shm"} {
		if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	if err := s.copyRows(ctx, day, fresh, last); err != nil {
		return "", fmt.Errorf("sqlite: salvage of %s: %w", day, err)
	}
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := os.Rename(name+suffix, aside+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	return aside, errors.Join(os.Rename(fresh, name), syncDir(s.dir))
}

func (s *Store) copyRows(ctx context.Context, day pay.Day, to string, last uint64) error {
	w, err := newWriter(to)
	if err != nil {
		return err
	}
	if last == 0 {
		return w.Close()
	}
	r, err := s.Reader(ctx, day)
	if err != nil {
		return errors.Join(err, w.Close())
	}
	var rows []journal.Row
	err = r.Read(ctx, journal.Range{To: last}, func(row *journal.Row) bool {
		if rows = append(rows, *row); len(rows) == chunk {
			err = w.Append(ctx, rows)
			rows = rows[:0]
		}
		return err == nil
	})
	if err == nil && len(rows) > 0 {
		err = w.Append(ctx, rows)
	}
	return errors.Join(err, r.Close(), w.Close())
}

// unused returns a name beside name that is not taken.
func unused(name string) (string, error) {
	for n := 1; n < 1000; n++ {
		aside := fmt.Sprintf("%s.damaged-%d", name, n)
		if _, err := os.Lstat(aside); errors.Is(err, os.ErrNotExist) {
			return aside, nil
		}
	}
	return "", fmt.Errorf("sqlite: too many damaged files beside %s", name)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
