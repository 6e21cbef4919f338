package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-sqlite3"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

// chunk is how many rows are read at once. The snapshot ends before they are
// yielded, so a slow consumer never keeps the write-ahead log from beginning
// anew.
const chunk = 512

// span is how many rows are passed over in one statement where a day's are
// looked for.
const span = 16384

// reader reads one file over a few pooled connections.
type reader struct{ db *sql.DB }

// maxReaders bounds the connections of one file.
const maxReaders = 4

// Reader opens the file of a day for reading.
func (s *Store) Reader(_ context.Context, day pay.Day) (journal.Reader, error) {
	if _, err := os.Stat(s.file(day)); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", journal.ErrNoLog, err)
	}
	db, err := sql.Open("sqlite3", dsn(s.file(day), "rw", busyReader)+"&_query_only=true")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(maxReaders)
	db.SetMaxIdleConns(maxReaders)
	return &reader{db: db}, nil
}

// Close ends the connections.
func (r *reader) Close() error { return r.db.Close() }

const (
	narrow = "row,day,pay,n,prev,kind,state,at,ref,about"
	wide   = narrow + ",account,pan,serial,tail,link,body"
)

// Read yields the rows of a range.
func (r *reader) Read(ctx context.Context, want journal.Range, yield func(*journal.Row) bool) error {
	c, err := r.db.Conn(context.WithoutCancel(ctx))
	if err != nil {
		return damage(err)
	}
	err = c.Raw(func(dc any) error { return read(ctx, dc.(*sqlite3.SQLiteConn), want, yield) })
	return errors.Join(damage(err), c.Close())
}

func read(ctx context.Context, c *sqlite3.SQLiteConn, want journal.Range, yield func(*journal.Row) bool) error {
	st, err := c.Prepare(query(want))
	if err != nil {
		if made, again := hasTable(c); again == nil && !made {
			return nil // a file that was made, and no more, holds no rows
		}
		return err
	}
	defer st.Close()
	size := chunk
	if want.To == want.From && want.To != 0 {
		size = 1
	}
	end := want.To
	sparse := want.Day != 0 || want.Match != nil
	if sparse {
		if end, err = lastRow(c, want); err != nil || end == 0 {
			return err
		}
	}
	rows := make([]journal.Row, 0, size)
	for from := want.From; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		to := end
		if sparse { // other rows are passed over, a bounded number at a time
			to = min(end, from+span)
		}
		rows, err = readChunk(st, rows[:0], from, to, want.Narrow)
		for i := range rows { // those before a damaged one too
			if !yield(&rows[i]) {
				return nil
			}
		}
		switch {
		case err != nil:
			return err
		case len(rows) == cap(rows):
			from = rows[len(rows)-1].Seq + 1
		case to == end:
			return nil
		default:
			from = to + 1
		}
		if end != 0 && from > end {
			return nil
		}
	}
}

// lastRow returns the last row of a range that has an end.
func lastRow(c *sqlite3.SQLiteConn, want journal.Range) (uint64, error) {
	rows, err := c.Query("SELECT coalesce(max(row), 0) FROM event", nil)
	if err != nil {
		return 0, err
	}
	var last [1]driver.Value
	err = errors.Join(rows.Next(last[:]), rows.Close())
	n, _ := last[0].(int64)
	if want.To != 0 {
		return min(uint64(n), want.To), err
	}
	return uint64(n), err
}

func hasTable(c *sqlite3.SQLiteConn) (bool, error) {
	rows, err := c.Query("SELECT count(*) FROM sqlite_master WHERE name = 'event'", nil)
	if err != nil {
		return false, err
	}
	var n [1]driver.Value
	err = rows.Next(n[:])
	return n[0] == int64(1), errors.Join(err, rows.Close())
}

func query(want journal.Range) string {
	q := "SELECT " + wide
	if want.Narrow {
		q = "SELECT " + narrow
	}
	q += " FROM event WHERE row >= ?1 AND row <= ?2"
	if want.Day != 0 {
		q += fmt.Sprintf(" AND day = %d", uint32(want.Day))
	}
	if want.Match != nil {
		q += matching(want.Match)
	}
	return q + " ORDER BY row LIMIT ?3"
}

// matching writes the conditions of a Match, which are numbers and, in the
// tail, digits.
func matching(m *journal.Match) string {
	var q strings.Builder
	for _, c := range []struct {
		column string
		value  uint64
	}{{"account", m.Account}, {"pan", m.PAN}, {"serial", m.Serial}, {"state", uint64(m.State)}} {
		if c.value != 0 {
			fmt.Fprintf(&q, " AND %s = %d", c.column, int64(c.value))
		}
	}
	if m.Tail != "" {
		fmt.Fprintf(&q, " AND tail = '%s'", strings.ReplaceAll(m.Tail, "'", "''"))
	}
	if m.Carried {
		fmt.Fprintf(&q, " AND kind = %d", pay.EvCarried)
	} else if m.First {
		fmt.Fprintf(&q, " AND kind IN (%d, %d, %d)", pay.EvReceived, pay.EvReverse, pay.EvCarried)
	}
	if !m.Older.IsZero() {
		fmt.Fprintf(&q, " AND pay > 0 AND (day < %d OR day = %[1]d AND pay < %d)", uint32(m.Older.Day), m.Older.Row)
	}
	if len(m.Refs) > 0 {
		q.WriteString(" AND ref IN (")
		for i, ref := range m.Refs {
			if i > 0 {
				q.WriteByte(',')
			}
			fmt.Fprintf(&q, "%d", int64(ref))
		}
		q.WriteByte(')')
	}
	return q.String()
}

func readChunk(st driver.Stmt, rows []journal.Row, from, end uint64, short bool) ([]journal.Row, error) {
	to := int64(end)
	if to == 0 {
		to = 1<<63 - 1
	}
	got, err := st.(driver.StmtQueryContext).QueryContext(context.Background(), []driver.NamedValue{
		{Ordinal: 1, Value: int64(from)}, {Ordinal: 2, Value: to}, {Ordinal: 3, Value: int64(cap(rows))}})
	if err != nil {
		return rows, err
	}
	var values [columns]driver.Value
	n := columns
	if short {
		n = 10
	}
	for {
		if err = got.Next(values[:n]); err != nil {
			break
		}
		var r journal.Row
		if err = scan(&r, values[:n]); err != nil {
			break
		}
		if rows = append(rows, r); r.Seq == end {
			break // what follows may be damaged
		}
	}
	if err == io.EOF {
		err = nil
	}
	return rows, errors.Join(err, got.Close())
}

// scan fills a row. A value of the wrong type is damage: nobody wrote it.
func scan(r *journal.Row, v []driver.Value) error {
	var whole [columns]uint64
	for i := range v {
		switch t := v[i].(type) {
		case int64:
			whole[i] = uint64(t)
		case string:
			if i != 13 {
				return errType
			}
			r.Tail = t
		case []byte:
			if i != 15 {
				return errType
			}
			r.Body = t
		default:
			return errType
		}
	}
	r.Seq, r.Day, r.Pay, r.N, r.Prev = whole[0], pay.Day(whole[1]), whole[2], uint32(whole[3]), whole[4]
	r.Kind, r.State, r.At = pay.EventKind(whole[5]), pay.State(whole[6]), int64(whole[7])
	r.Ref, r.About, r.Account, r.PAN, r.Serial, r.Link = whole[8], whole[9], whole[10], whole[11], whole[12], whole[14]
	return nil
}

var errType = fmt.Errorf("%w: a column holds another type", journal.ErrDamaged)
