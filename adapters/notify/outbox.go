package notify

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver registers itself as sqlite3
)

// What became of a letter. The body of one that waits no more is forgotten; its
// key stays.
const (
	waiting = iota
	told
	dropped
	lost
)

const schema = `
CREATE TABLE IF NOT EXISTS position (one INTEGER PRIMARY KEY CHECK (one = 1), log INTEGER NOT NULL, row INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS letter (id INTEGER PRIMARY KEY, target TEXT NOT NULL, key TEXT NOT NULL, body BLOB, state INTEGER NOT NULL DEFAULT 0,
	tries INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL, last TEXT NOT NULL DEFAULT '', ended INTEGER, UNIQUE (target, key));
CREATE INDEX IF NOT EXISTS letter_due ON letter(target, next) WHERE state = 0;`

// letter is a notice on its way to one target.
type letter struct {
	Notice
	row    int64
	target string
	tries  int
	next   time.Time
	last   string // why the last try failed
}

// outbox is the durable memory: one SQLite file that only its owner may read.
type outbox struct{ db *sql.DB }

func openOutbox(ctx context.Context, file string, start Position) (*outbox, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("notify: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("notify: %w", err)
	}
	db, err := sql.Open("sqlite3", "file:"+file+"?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=5000&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // one writer; reads are short
	b := &outbox{db}
	_, err = db.ExecContext(ctx, schema)
	if err == nil {
		_, err = db.ExecContext(ctx, `INSERT OR IGNORE INTO position VALUES(1, ?, ?)`, start.Log, int64(start.Row))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("notify: %s: %w", file, err), db.Close())
	}
	return b, nil
}

func (b *outbox) close() error { return b.db.Close() }

func (b *outbox) position(ctx context.Context) (p Position, err error) {
	err = b.db.QueryRowContext(ctx, `SELECT log, row FROM position`).Scan(&p.Log, &p.Row)
	return p, err
}

// advance makes letters and the position behind them one commit.
func (b *outbox) advance(ctx context.Context, at Position, found []letter) error {
	return b.commit(ctx, found, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE position SET log=?, row=?`, at.Log, int64(at.Row))
		return err
	})
}

func (b *outbox) put(ctx context.Context, found []letter) error {
	return b.commit(ctx, found, func(*sql.Tx) error { return nil })
}

func (b *outbox) commit(ctx context.Context, found []letter, more func(*sql.Tx) error) error {
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	for i := range found {
		l := &found[i]
		body, err := json.Marshal(&l.Notice)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO letter(target, key, body, next) VALUES(?,?,?,?)`, l.target, l.Key, body, l.next.UnixNano()); err != nil {
			return err
		}
	}
	if err := more(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// due returns letters of a target whose time has come, the oldest first.
func (b *outbox) due(ctx context.Context, target string, now time.Time, most int) ([]letter, error) {
	rows, err := b.db.QueryContext(ctx, `SELECT id, body, tries, last FROM letter WHERE target=? AND state=0 AND next<=? ORDER BY next, id LIMIT ?`, target, now.UnixNano(), most)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []letter
	for rows.Next() {
		l := letter{target: target}
		var body []byte
		if err := rows.Scan(&l.row, &body, &l.tries, &l.last); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(body, &l.Notice); err != nil {
			return nil, fmt.Errorf("notify: letter %d: %w", l.row, err)
		}
		out = append(out, l)
	}
	return out, rows.Err()
}

func (b *outbox) end(ctx context.Context, l *letter, state int, now time.Time) error {
	_, err := b.db.ExecContext(ctx, `UPDATE letter SET state=?, ended=?, body=NULL, tries=tries+1 WHERE id=?`, state, now.UnixNano(), l.row)
	return err
}

// maxWhy bounds the text of a failure that is kept, in bytes.
const maxWhy = 500

func (b *outbox) again(ctx context.Context, l *letter, next time.Time, why error) error {
	text := why.Error()
	_, err := b.db.ExecContext(ctx, `UPDATE letter SET tries=tries+1, next=?, last=? WHERE id=?`, next.UnixNano(), text[:min(len(text), maxWhy)], l.row)
	return err
}

func (b *outbox) count(ctx context.Context, s *Stats) error {
	rows, err := b.db.QueryContext(ctx, `SELECT state, count(*) FROM letter WHERE target=? GROUP BY state`, s.Target)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var state, n int
		if err := rows.Scan(&state, &n); err != nil {
			return err
		}
		*[]*int{&s.Waiting, &s.Told, &s.Dropped, &s.Lost}[state] = n
	}
	return rows.Err()
}
