package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mattn/go-sqlite3"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

const (
	columns      = 16
	group        = 8     // rows of one insert statement
	restartEvery = 65536 // rows after which the write-ahead log begins anew
)

// writer appends to one file over a connection of its own.
type writer struct {
	conn                *sqlite3.SQLiteConn
	begin, commit, undo driver.Stmt
	single, several     driver.Stmt
	args                []driver.NamedValue
	unchecked           int // rows since the write-ahead log began
	statements          []driver.Stmt
}

// Writer opens the file of a day for writing, making it when there is none.
// What an earlier writer left in the write-ahead log is moved into the file and
// synced first, and the log is emptied. After a commit that failed half-way,
// rows that can be read are not yet known to be on the disk, and rows that
// cannot be read could come back when somebody recovers the log.
func (s *Store) Writer(_ context.Context, day pay.Day) (journal.Writer, error) {
	w, err := newWriter(s.file(day))
	if err != nil {
		return nil, err
	}
	return w, syncDir(s.dir)
}

func newWriter(name string) (*writer, error) {
	if err := create(name); err != nil {
		return nil, err
	}
	conn, err := open(name, "rwc", busyWriter)
	if err != nil {
		return nil, err
	}
	w := &writer{conn: conn, args: make([]driver.NamedValue, group*columns)}
	for i := range w.args {
		w.args[i].Ordinal = i + 1
	}
	if err := w.prepare(); err != nil {
		return nil, errors.Join(damage(err), w.Close())
	}
	return w, nil
}

// create makes the file readable for its owner alone, which SQLite would not.
// A file that is there is not opened: closing it would take the locks away
// that SQLite holds on it in this process.
func create(name string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func (w *writer) prepare() error {
	for _, q := range []string{"PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0", schema} {
		if _, err := w.conn.Exec(q, nil); err != nil {
			return err
		}
	}
	if done, err := checkpoint(w.conn, "TRUNCATE"); err != nil || !done {
		return errors.Join(err, errors.New("sqlite: the write-ahead log cannot be emptied while somebody reads"))
	}
	one, many := insert(1), insert(group)
	for _, p := range []struct {
		to    *driver.Stmt
		query string
	}{{&w.begin, "BEGIN IMMEDIATE"}, {&w.commit, "COMMIT"}, {&w.undo, "ROLLBACK"}, {&w.single, one}, {&w.several, many}} {
		st, err := w.conn.Prepare(p.query)
		if err != nil {
			return err
		}
		*p.to = st
		w.statements = append(w.statements, st)
	}
	return nil
}

func insert(rows int) string {
	q := []byte("INSERT INTO event (row,day,pay,n,prev,kind,state,at,ref,about,account,pan,serial,tail,link,body) VALUES ")
	for i := range rows {
		if i > 0 {
			q = append(q, ',')
		}
		q = append(q, "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"...)
	}
	return string(q)
}

// checkpoint reports whether the whole write-ahead log was moved.
func checkpoint(c *sqlite3.SQLiteConn, mode string) (bool, error) {
	rows, err := c.Query("PRAGMA wal_checkpoint("+mode+")", nil)
	if err != nil {
		return false, err
	}
	var got [3]driver.Value // busy, frames in the log, frames moved
	err = rows.Next(got[:])
	return got[0] == int64(0) && got[1] == got[2], errors.Join(err, rows.Close())
}

// Append inserts all rows in one transaction. It does not heed a context: a
// commit is not left half-way.
func (w *writer) Append(_ context.Context, rows []journal.Row) error {
	if _, err := w.begin.Exec(nil); err != nil {
		return damage(err)
	}
	if err := w.insertAll(rows); err != nil {
		_, again := w.undo.Exec(nil)
		return errors.Join(damage(err), again)
	}
	if _, err := w.commit.Exec(nil); err != nil {
		return damage(err)
	}
	if w.unchecked += len(rows); w.unchecked >= restartEvery {
		w.unchecked = 0
		w.restart()
	}
	return nil
}

// restart lets the write-ahead log begin anew. It does not wait for readers,
// and a failure does not matter: the rows are durable, and it is tried again.
func (w *writer) restart() {
	_, _ = w.conn.Exec("PRAGMA busy_timeout=0", nil)
	_, _ = checkpoint(w.conn, "RESTART")
	_, _ = w.conn.Exec(fmt.Sprintf("PRAGMA busy_timeout=%d", busyWriter), nil)
}

func (w *writer) insertAll(rows []journal.Row) error {
	for len(rows) > 0 {
		st, n := w.single, 1
		if len(rows) >= group {
			st, n = w.several, group
		}
		for i := range n {
			bind(w.args[i*columns:], &rows[i])
		}
		// A query runs bind and step in one call into C, an exec one for each
		// value.
		got, err := st.(driver.StmtQueryContext).QueryContext(context.Background(), w.args[:n*columns])
		if err != nil {
			return err
		}
		if err := errors.Join(ended(got), got.Close()); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// ended steps a statement without results to its end.
func ended(rows driver.Rows) error {
	if err := rows.Next(nil); err != io.EOF {
		return fmt.Errorf("sqlite: insert did not end: %w", err)
	}
	return nil
}

func bind(a []driver.NamedValue, r *journal.Row) {
	for i, v := range [...]uint64{r.Seq, uint64(r.Day), r.Pay, uint64(r.N), r.Prev, uint64(r.Kind), uint64(r.State), uint64(r.At),
		r.Ref, r.About, r.Account, r.PAN, r.Serial} {
		a[i].Value = int64(v)
	}
	a[13].Value, a[14].Value, a[15].Value = r.Tail, int64(r.Link), r.Body
}

// Close ends the connection. Rows that were not committed are gone.
func (w *writer) Close() error {
	var errs error
	for _, st := range w.statements {
		errs = errors.Join(errs, st.Close())
	}
	return errors.Join(errs, w.conn.Close())
}
