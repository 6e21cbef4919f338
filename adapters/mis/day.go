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
	Back     bool // a 退货 that is a line of its own: the amount went back
}

// lines are the rows of a day's list: its payments in posting order, and then what
// was given back on it by itself.
const lines = `SELECT printf('YX%012d', id) AS host, serial, account, amount, channel, returned IS NOT NULL AS returned, 0 AS back, id FROM payment WHERE day=?1
	UNION ALL SELECT printf('YXT%011d', r.id), r.serial, p.account, r.amount, r.channel, 0, 1, r.id FROM refund r JOIN payment p ON p.id=r.payment WHERE r.day=?1 AND r.listed
	ORDER BY back, id`

// Day yields every payment that was stamped with the day, in posting order,
// returned ones included, and then what was given back on it. It stops when yield
// returns false.
func (l *Ledger) Day(ctx context.Context, day pay.Day, yield func(Posted) bool) error {
	rows, err := l.db.QueryContext(ctx, lines, day.String())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		p := Posted{Day: day}
		var id int64
		if err := rows.Scan(&p.Host, &p.Serial, &p.Account, &p.Amount, &p.Channel, &p.Returned, &p.Back, &id); err != nil {
			return err
		}
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
	rep, all := pay.Answer(pay.Approved, pay.CodeOK), 0
	var count int
	if err := tx.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE NOT returned), coalesce(sum(iif(back, -amount, amount)) FILTER (WHERE NOT returned), 0)
		FROM (`+lines+`)`, req.Day.String()).Scan(&all, &count, &rep.Amount); err != nil {
		return rep, err
	}
	var text string
	err = tx.QueryRowContext(ctx, `SELECT coalesce(group_concat(line, char(10)), '') FROM (SELECT ?1 || '|' || serial || '|' || host || '|' || channel
		|| '|' || account || '|' || iif(back, -amount, amount) || '|' || iif(returned, 'V', 'P') AS line
		FROM (`+lines+`) LIMIT ?2 OFFSET ?3)`, req.Day.String(), pageLines, (page-1)*pageLines).Scan(&text)
	rep.More = []pay.Field{{ID: pay.FCreditCount, Val: strconv.Itoa(count)}, {ID: pay.FPages, Val: strconv.Itoa((all + pageLines - 1) / pageLines)},
		{ID: pay.FDetails, Val: text}}
	return rep, err
}

// Net returns how many payments of the day count and their sum in fen, less what
// was given back on it by itself.
func (l *Ledger) Net(ctx context.Context, day pay.Day) (n int, sum pay.Amount, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT coalesce(sum(iif(back, -1, 1)), 0), coalesce(sum(iif(back, -amount, amount)), 0) FROM (`+lines+`) WHERE NOT returned`,
		day.String()).Scan(&n, &sum)
	return n, sum, err
}
