package mis

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"qianzhi/gateway/pay"
)

// A 退货 has a serial of its own and may be for a part. One that gives all of a
// payment back on its own day is the payment's return; every other is a line of
// its own in the list of the day on which it is made, and the payment stays what
// it was. A part is taken from the customer's balance, which may then be owed; the
// part that completes the whole opens the bills again.

// back is a 退货 as the ledger has it.
type back struct {
	id      int64
	payment int64
	amount  pay.Amount
}

// refundOf finds a 退货 by its serial; id is 0 when there is none.
func refundOf(ctx context.Context, q querier, serial string) (g back, err error) {
	rows, err := q.QueryContext(ctx, `SELECT id, payment, amount FROM refund WHERE serial=? ORDER BY id LIMIT 1`, serial)
	if err != nil {
		return g, err
	}
	defer rows.Close()
	if rows.Next() {
		err = rows.Scan(&g.id, &g.payment, &g.amount)
	}
	if err != nil {
		return g, err
	}
	return g, rows.Err()
}

func (g *back) approved() pay.Reply {
	return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: g.amount, Serial: fmt.Sprintf("YXT%011d", g.id)}
}

// refund gives back all of a payment or a part.
func (l *Ledger) refund(ctx context.Context, tx *sql.Tx, req *pay.Request) (pay.Reply, error) {
	if req.Original == nil {
		return pay.Answer(pay.Declined, pay.CodeFormat), nil
	}
	before, err := refundOf(ctx, tx, req.Ref.Serial)
	if err != nil {
		return pay.Reply{}, err
	}
	list, err := find(ctx, tx, req.Original.Serial)
	switch {
	case err != nil:
		return pay.Reply{}, err
	case len(list) == 0:
		return pay.Answer(pay.Declined, pay.CodeOriginal), nil
	}
	p := list[0]
	switch {
	case before.id > 0 && l.o.Dedupe:
		if before.payment != p.id || before.amount != req.Amount {
			return pay.Answer(pay.Declined, pay.CodeDuplicate), nil
		}
		return before.approved(), nil
	case p.account != req.Account:
		return pay.Answer(pay.Declined, pay.CodeOriginal), nil
	case p.returned:
		return pay.Answer(pay.Declined, pay.CodeReversed), nil
	case req.Amount <= 0 || req.Amount > p.amount-p.back:
		return pay.Answer(pay.Declined, pay.CodeAmount), nil
	}
	return l.give(ctx, tx, req, &p)
}

// give books a 退货 that is in order.
func (l *Ledger) give(ctx context.Context, tx *sql.Tx, req *pay.Request, p *posted) (pay.Reply, error) {
	day, now := req.Day, l.o.Now()
	if day == 0 {
		day = pay.DayOf(now)
	}
	listed := req.Amount < p.amount || day.String() != p.day
	res, err := tx.ExecContext(ctx, `INSERT INTO refund(serial, payment, day, amount, channel, at, listed) VALUES(?,?,?,?,?,?,?)`,
		req.Ref.Serial, p.id, day.String(), int64(req.Amount), pay.Find(req.More, pay.FChannel), now.Format(time.RFC3339Nano), listed)
	if err != nil {
		return pay.Reply{}, err
	}
	g := back{payment: p.id, amount: req.Amount}
	if g.id, err = res.LastInsertId(); err != nil {
		return pay.Reply{}, err
	}
	from := req.Amount // the customer's balance
	if p.back+req.Amount == p.amount {
		from = p.advance - p.back // what the parts took from it goes back, the bills are open again
		if _, err := tx.ExecContext(ctx, `UPDATE bill SET payment=NULL WHERE payment=?`, p.id); err != nil {
			return pay.Reply{}, err
		}
	}
	if _, err := tx.ExecContext(ctx, `UPDATE customer SET balance = balance - ? WHERE account=?`, int64(from), p.account); err != nil {
		return pay.Reply{}, err
	}
	if !listed {
		_, err = tx.ExecContext(ctx, `UPDATE payment SET returned=? WHERE id=?`, now.Format(time.RFC3339Nano), p.id)
	}
	return g.approved(), err
}
