// Package mis is the embedded marketing system that a fresh machine runs on:
// customers, bills by month, payments and their returns in one SQLite file. It
// is a gateway handler, so its door is the same listener and Dialect that banks
// use.
package mis

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver registers itself as sqlite3

	"qianzhi/gateway/pay"
)

// Options are the ledger's settings.
type Options struct {
	File   string
	Dedupe bool // post one serial once, however often it arrives
	Now    func() time.Time
}

const schema = `
CREATE TABLE IF NOT EXISTS customer (account TEXT PRIMARY KEY, name TEXT NOT NULL, address TEXT NOT NULL, balance INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS bill (id TEXT PRIMARY KEY, account TEXT NOT NULL, month TEXT NOT NULL, principal INTEGER NOT NULL,
	penalty INTEGER NOT NULL, payment INTEGER);
CREATE INDEX IF NOT EXISTS bill_account ON bill(account);
CREATE TABLE IF NOT EXISTS payment (id INTEGER PRIMARY KEY AUTOINCREMENT, serial TEXT NOT NULL, day TEXT NOT NULL, account TEXT NOT NULL,
	amount INTEGER NOT NULL, channel TEXT NOT NULL, at TEXT NOT NULL, returned TEXT, advance INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS payment_serial ON payment(serial);
CREATE INDEX IF NOT EXISTS payment_day ON payment(day);
CREATE TABLE IF NOT EXISTS tombstone (serial TEXT PRIMARY KEY, at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS refund (id INTEGER PRIMARY KEY AUTOINCREMENT, serial TEXT NOT NULL, payment INTEGER NOT NULL, day TEXT NOT NULL,
	amount INTEGER NOT NULL, channel TEXT NOT NULL, at TEXT NOT NULL, listed INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS refund_serial ON refund(serial);
CREATE INDEX IF NOT EXISTS refund_payment ON refund(payment);
CREATE INDEX IF NOT EXISTS refund_day ON refund(day);`

// Ledger is the marketing system. It is safe for concurrent use.
type Ledger struct {
	o  Options
	db *sql.DB
	mu sync.Mutex // one writing transaction at a time
}

// Open opens or creates the ledger's file, which only its owner may read.
func Open(o Options) (*Ledger, error) {
	f, err := os.OpenFile(o.File, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("mis: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("mis: %w", err)
	}
	db, err := sql.Open("sqlite3", "file:"+o.File+"?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=5000&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	if _, err := db.Exec(schema); err != nil {
		return nil, errors.Join(fmt.Errorf("mis: %s: %w", o.File, err), db.Close())
	}
	return &Ledger{o: o, db: db}, nil
}

// Close closes the file.
func (l *Ledger) Close() error { return l.db.Close() }

// Do answers one request of the gateway.
func (l *Ledger) Do(ctx context.Context, req *pay.Request) pay.Reply {
	var rep pay.Reply
	var err error
	switch req.Op {
	case pay.Query:
		rep, err = l.query(ctx, req)
	case pay.Pay, pay.CardPay, pay.Advance:
		rep, err = l.inTx(ctx, req, l.pay)
	case pay.Reverse:
		rep, err = l.inTx(ctx, req, l.reverse)
	case pay.Refund:
		rep, err = l.inTx(ctx, req, l.refund)
	case pay.Status:
		rep, err = l.status(ctx, req)
	case pay.CheckTotals:
		rep, err = l.totals(ctx, req)
	case pay.CheckFile:
		rep, err = l.details(ctx, req)
	case pay.Echo:
		rep = pay.Answer(pay.Approved, pay.CodeOK)
	default:
		rep = pay.Answer(pay.Declined, pay.CodeNotAllowed)
	}
	if err != nil {
		return pay.Answer(pay.Unknown, pay.CodeUnknown)
	}
	return rep
}

func (l *Ledger) inTx(ctx context.Context, req *pay.Request, do func(context.Context, *sql.Tx, *pay.Request) (pay.Reply, error)) (pay.Reply, error) {
	ctx = context.WithoutCancel(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return pay.Reply{}, err
	}
	rep, err := do(ctx, tx, req)
	if err != nil {
		return pay.Reply{}, errors.Join(err, tx.Rollback())
	}
	return rep, tx.Commit()
}

// query returns name, address and the open bills, oldest first.
func (l *Ledger) query(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	var name, address string
	var balance int64
	err := l.db.QueryRowContext(ctx, `SELECT name, address, balance FROM customer WHERE account=?`, req.Account).Scan(&name, &address, &balance)
	if errors.Is(err, sql.ErrNoRows) {
		return pay.Answer(pay.Declined, pay.CodeNoCustomer), nil
	}
	if err != nil {
		return pay.Reply{}, err
	}
	bills, err := openBills(ctx, l.db, req.Account)
	if err != nil {
		return pay.Reply{}, err
	}
	rep := pay.Answer(pay.Approved, pay.CodeOK)
	if len(bills) == 0 {
		rep = pay.Answer(pay.Declined, pay.CodeNothingOwed)
	}
	rep.Bills = bills
	for _, b := range bills {
		rep.Amount += b.Amount
	}
	rep.More = []pay.Field{{ID: pay.FName, Val: name}, {ID: pay.FAddress, Val: address},
		{ID: pay.FBalance, Val: fmt.Sprint(balance)}, {ID: pay.FOwedCount, Val: fmt.Sprint(len(bills))}}
	return rep, nil
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func openBills(ctx context.Context, q querier, account string) ([]pay.Bill, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, month, principal, penalty FROM bill WHERE account=? AND payment IS NULL ORDER BY month, id`, account)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var bills []pay.Bill
	for rows.Next() {
		var b pay.Bill
		if err := rows.Scan(&b.ID, &b.Month, &b.Principal, &b.Penalty); err != nil {
			return nil, err
		}
		b.Amount = b.Principal + b.Penalty
		bills = append(bills, b)
	}
	return bills, rows.Err()
}

// posted is a payment as the ledger has it.
type posted struct {
	id       int64
	account  string
	day      string
	amount   pay.Amount
	advance  pay.Amount // of amount, to the customer's balance
	back     pay.Amount // of amount, given back in parts or on a later day
	returned bool       // nothing of it is left
}

func find(ctx context.Context, q querier, serial string) ([]posted, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, account, day, amount, advance, returned IS NOT NULL,
		(SELECT coalesce(sum(r.amount), 0) FROM refund r WHERE r.payment=p.id) FROM payment p WHERE serial=? ORDER BY id`, serial)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []posted
	for rows.Next() {
		var p posted
		if err := rows.Scan(&p.id, &p.account, &p.day, &p.amount, &p.advance, &p.returned, &p.back); err != nil {
			return nil, err
		}
		p.returned = p.returned || p.back >= p.amount
		list = append(list, p)
	}
	return list, rows.Err()
}

func hostSerial(id int64) string { return fmt.Sprintf("YX%012d", id) }

// pay posts one payment. A serial that was returned before it arrived is
// refused, with or without deduplication.
func (l *Ledger) pay(ctx context.Context, tx *sql.Tx, req *pay.Request) (pay.Reply, error) {
	serial := req.Ref.Serial
	var dead int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM tombstone WHERE serial=?`, serial).Scan(&dead); err != nil {
		return pay.Reply{}, err
	}
	if dead > 0 {
		return pay.Answer(pay.Declined, pay.CodeTombstone), nil
	}
	if l.o.Dedupe {
		before, err := find(ctx, tx, serial)
		if err != nil || len(before) > 0 {
			return again(before, req), err
		}
	}
	var known int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM customer WHERE account=?`, req.Account).Scan(&known); err != nil {
		return pay.Reply{}, err
	}
	if known == 0 {
		return pay.Answer(pay.Declined, pay.CodeNoCustomer), nil
	}
	return l.post(ctx, tx, req)
}

// again answers a serial that was posted before.
func again(before []posted, req *pay.Request) pay.Reply {
	if len(before) == 0 {
		return pay.Reply{}
	}
	p := before[0]
	switch {
	case p.account != req.Account || p.amount != req.Amount:
		return pay.Answer(pay.Declined, pay.CodeDuplicate)
	case p.returned:
		return pay.Answer(pay.Declined, pay.CodeTombstone)
	}
	return approved(p)
}

func approved(p posted) pay.Reply {
	rep := pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: p.amount, Serial: hostSerial(p.id)}
	if p.advance > 0 {
		rep.More = []pay.Field{{ID: pay.FAdvance, Val: fmt.Sprint(int64(p.advance))}}
	}
	return rep
}

// post settles the named bills, or the oldest ones that the amount covers
// exactly. What is paid in advance (预存) settles the oldest that it covers whole;
// the rest is the customer's balance. A ledger without deduplication takes what no bill is open for as an
// advance, as many systems do: a payment posted twice then shows.
func (l *Ledger) post(ctx context.Context, tx *sql.Tx, req *pay.Request) (pay.Reply, error) {
	open, err := openBills(ctx, tx, req.Account)
	if err != nil {
		return pay.Reply{}, err
	}
	chosen, sum := choose(open, req)
	advance := pay.Amount(0)
	switch {
	case req.Op == pay.CardPay: // energy sold for a card meter settles no bill
		chosen, advance = nil, req.Amount
	case req.Op == pay.Advance:
		advance = req.Amount - sum
	case sum != req.Amount:
		if l.o.Dedupe || sum > 0 {
			if len(open) == 0 {
				return pay.Answer(pay.Declined, pay.CodeNothingOwed), nil
			}
			return pay.Answer(pay.Declined, pay.CodeAmount), nil
		}
		chosen, advance = nil, req.Amount
	}
	day := req.Day
	if day == 0 {
		day = pay.DayOf(l.o.Now())
	}
	res, err := tx.ExecContext(ctx, `INSERT INTO payment(serial, day, account, amount, channel, at, advance) VALUES(?,?,?,?,?,?,?)`,
		req.Ref.Serial, day.String(), req.Account, int64(req.Amount), pay.Find(req.More, pay.FChannel), l.o.Now().Format(time.RFC3339Nano), int64(advance))
	if err != nil {
		return pay.Reply{}, err
	}
	id, err := res.LastInsertId()
	if err != nil {
		return pay.Reply{}, err
	}
	if err := settle(ctx, tx, id, chosen); err != nil {
		return pay.Reply{}, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE customer SET balance = balance + ? WHERE account=?`, int64(advance), req.Account)
	return approved(posted{id: id, amount: req.Amount, advance: advance}), err
}

// choose picks the bills that the request names, or the oldest ones up to the
// amount.
func choose(open []pay.Bill, req *pay.Request) (ids []string, sum pay.Amount) {
	want := map[string]bool{}
	for _, b := range req.Bills {
		want[b.ID] = true
	}
	for _, b := range open {
		if len(want) > 0 && !want[b.ID] || len(want) == 0 && sum+b.Amount > req.Amount {
			continue
		}
		ids = append(ids, b.ID)
		sum += b.Amount
	}
	if len(want) > 0 && len(ids) != len(want) {
		return nil, 0
	}
	return ids, sum
}

func settle(ctx context.Context, tx *sql.Tx, payment int64, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	args := []any{payment}
	for _, id := range ids {
		args = append(args, id)
	}
	_, err := tx.ExecContext(ctx, `UPDATE bill SET payment=? WHERE id IN (?`+strings.Repeat(",?", len(ids)-1)+`)`, args...)
	return err
}

// reverse returns a payment. One that has not arrived leaves a tombstone, so
// that it is refused when it does.
func (l *Ledger) reverse(ctx context.Context, tx *sql.Tx, req *pay.Request) (pay.Reply, error) {
	if req.Original == nil {
		return pay.Answer(pay.Declined, pay.CodeFormat), nil
	}
	list, err := find(ctx, tx, req.Original.Serial)
	if err != nil {
		return pay.Reply{}, err
	}
	now := l.o.Now().Format(time.RFC3339Nano)
	if len(list) == 0 {
		_, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO tombstone(serial, at) VALUES(?,?)`, req.Original.Serial, now)
		return pay.Answer(pay.Approved, pay.CodeNoEffect), err
	}
	p := list[0]
	if p.returned {
		rep := approved(p)
		rep.Code = pay.CodeReversed
		return rep, nil
	}
	if p.amount != req.Amount || p.account != req.Account || p.back > 0 {
		return pay.Answer(pay.Declined, pay.CodeAmount), nil
	}
	for _, stmt := range []string{`UPDATE customer SET balance = balance - (SELECT advance FROM payment WHERE id=?1) WHERE account=(SELECT account FROM payment WHERE id=?1)`,
		`UPDATE bill SET payment=NULL WHERE payment=?1`} {
		if _, err := tx.ExecContext(ctx, stmt, p.id); err != nil {
			return pay.Reply{}, err
		}
	}
	_, err = tx.ExecContext(ctx, `UPDATE payment SET returned=? WHERE id=?`, now, p.id)
	return approved(p), err
}

// status says what became of a serial.
func (l *Ledger) status(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	if req.Original == nil {
		return pay.Answer(pay.Declined, pay.CodeFormat), nil
	}
	list, err := find(ctx, l.db, req.Original.Serial)
	if err != nil {
		return pay.Reply{}, err
	}
	if len(list) == 0 {
		if g, err := refundOf(ctx, l.db, req.Original.Serial); err != nil || g.id > 0 {
			return g.approved(), err
		}
		return pay.Answer(pay.Declined, pay.CodeOriginal), nil
	}
	rep := approved(list[0])
	if list[0].returned {
		rep.Code = pay.CodeReversed
	}
	return rep, nil
}
