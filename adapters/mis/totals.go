package mis

import (
	"context"
	"strconv"

	"qianzhi/gateway/pay"
)

// What a 对总账 is answered with.
const (
	balanced   = "1"
	unbalanced = "2"
)

// totals answers a 对总账: how many payments of a day count, their sum, and
// whether the asker's totals are the same.
func (l *Ledger) totals(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	if req.Day == 0 {
		return pay.Answer(pay.Declined, pay.CodeFormat), nil
	}
	n, sum, err := l.Net(ctx, req.Day)
	if err != nil {
		return pay.Reply{}, err
	}
	rep := pay.Answer(pay.Approved, pay.CodeOK)
	rep.Amount = sum
	count, result := strconv.Itoa(n), unbalanced
	if pay.Find(req.More, pay.FCreditCount) == count && req.Amount == sum {
		result = balanced
	}
	rep.More = []pay.Field{{ID: pay.FCreditCount, Val: count}, {ID: pay.FCreditSum, Val: strconv.FormatInt(int64(sum), 10)}, {ID: pay.FBalanced, Val: result}}
	return rep, nil
}
