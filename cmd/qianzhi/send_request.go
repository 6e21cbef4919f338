package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"qianzhi/gateway/pay"
)

// request builds the business message that the flags describe.
func (o *sendFlags) request() (*pay.Request, error) {
	now := time.Now()
	op, ok := pay.ParseOp(o.op)
	if !ok {
		return nil, fmt.Errorf("--op: 未知的操作 %q", o.op)
	}
	req := &pay.Request{Op: op, Account: o.account, Day: pay.DayOf(now), Ref: pay.Ref{Kind: op.Kind(), Serial: o.serial}}
	if o.serial == "" {
		req.Ref.Serial = now.Format("150405")
	}
	var err error
	if o.date != "" {
		if req.Day, err = pay.ParseDay(o.date); err != nil {
			return nil, fmt.Errorf("--date: %w", err)
		}
	}
	if o.amount != "" {
		if req.Amount, err = pay.ParseYuan(o.amount); err != nil {
			return nil, fmt.Errorf("--amount: 应为元, 两位小数: %w", err)
		}
	}
	if o.original != "" {
		req.Original = &pay.Ref{Kind: pay.KindPay, Serial: o.original}
		if o.originalDate == "" {
			o.originalDate = req.Day.String()
		}
		req.More = append(req.More, pay.Field{ID: pay.FOriginalDate, Val: o.originalDate})
	}
	return req, errors.Join(o.addFields(req, now), o.addBills(req))
}

func (o *sendFlags) addFields(req *pay.Request, now time.Time) error {
	for _, f := range o.fields {
		name, val, _ := strings.Cut(f, "=")
		id, ok := pay.ParseField(name)
		if !ok {
			return fmt.Errorf("--field: 未知的业务字段 %q", name)
		}
		req.More = append(req.More, pay.Field{ID: id, Val: val})
	}
	if !slices.ContainsFunc(req.More, func(f pay.Field) bool { return f.ID == pay.FSenderTime }) {
		req.More = append(req.More, pay.Field{ID: pay.FSenderTime, Val: now.Format("150405")})
	}
	return nil
}

func (o *sendFlags) addBills(req *pay.Request) error {
	for _, b := range o.bills {
		parts := strings.Split(b, ":")
		if len(parts) != 3 {
			return fmt.Errorf("--bill: 应为 应收标识:年月:金额, 而不是 %q", b)
		}
		fen, err := pay.ParseYuan(parts[2])
		if err != nil {
			return fmt.Errorf("--bill: %w", err)
		}
		req.Bills = append(req.Bills, pay.Bill{ID: parts[0], Month: parts[1], Amount: fen})
	}
	return nil
}
