package mis

import (
	"context"
	"strconv"

	"qianzhi/gateway/pay"
)

// Posted is one payment as the ledger's check file shows it.
type Posted struct {
	Host     string // the ledger's own serial
	Serial   string // the gateway's
	Day      pay.Day
	Account  string
	Amount   pay.Amount
	Channel  string
	Returned bool
}

// Day yields every payment that was stamped with the day, in posting order,
// returned ones included. It stops when yield returns false.
func (l *Ledger) Day(ctx context.Context, day pay.Day, yield func(Posted) bool) error {
	rows, err := l.db.QueryContext(ctx, `SELECT id, serial, account, amount, channel, returned IS NOT NULL FROM payment WHERE day=? ORDER BY id`, day.String())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		p := Posted{Day: day}
		var id int64
		if err := rows.Scan(&id, &p.Serial, &p.Account, &p.Amount, &p.Channel, &p.Returned); err != nil {
			return err
		}
		p.Host = hostSerial(id)
		if !yield(p) {
			return nil
		}
	}
	return rows.Err()
}

// pageLines is how many lines of a day's list one answer has.
const pageLines = 200

// details answers with one page of a day's list: what statements/mis-lines.yaml
// describes, without the header, whose count and sum stand in every answer.
func (l *Ledger) details(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	page := 1
	if text := pay.Find(req.More, pay.FPage); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return pay.Answer(pay.Declined, pay.CodeFormat), nil
		}
		page = n
	}
	if req.Day == 0 {
		return pay.Answer(pay.Declined, pay.CodeFormat), nil
	}
	tx, err := l.db.BeginTx(ctx, nil) // one picture of the day
	if err != nil {
		return pay.Reply{}, err
	}
	defer tx.Rollback() // nothing was changed
	rep, lines := pay.Answer(pay.Approved, pay.CodeOK), 0
	var count int
	if err := tx.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE returned IS NULL), coalesce(sum(amount) FILTER (WHERE returned IS NULL), 0)
		FROM payment WHERE day=?`, req.Day.String()).Scan(&lines, &count, &rep.Amount); err != nil {
		return rep, err
	}
	var text string
	err = tx.QueryRowContext(ctx, `SELECT coalesce(group_concat(line, char(10)), '') FROM (SELECT day || '|' || serial || '|' || printf('YX%012d', id) || '|' || channel
		|| '|' || account || '|' || amount || '|' || CASE WHEN returned IS NULL THEN 'P' ELSE 'V' END AS line
		FROM payment WHERE day=? ORDER BY id LIMIT ? OFFSET ?)`, req.Day.String(), pageLines, (page-1)*pageLines).Scan(&text)
	rep.More = []pay.Field{{ID: pay.FCreditCount, Val: strconv.Itoa(count)}, {ID: pay.FPages, Val: strconv.Itoa((lines + pageLines - 1) / pageLines)},
		{ID: pay.FDetails, Val: text}}
	return rep, err
}

// Net returns how many payments of the day count and their sum in fen.
func (l *Ledger) Net(ctx context.Context, day pay.Day) (n int, sum pay.Amount, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(amount),0) FROM payment WHERE day=? AND returned IS NULL`, day.String()).Scan(&n, &sum)
	return n, sum, err
}
