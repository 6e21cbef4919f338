package mis

import (
	"context"

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

// Net returns how many payments of the day count and their sum in fen.
func (l *Ledger) Net(ctx context.Context, day pay.Day) (n int, sum pay.Amount, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(amount),0) FROM payment WHERE day=? AND returned IS NULL`, day.String()).Scan(&n, &sum)
	return n, sum, err
}
