package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"qianzhi/cmd/internal/load"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/statement"
)

// checkFile writes the bank's file of the day: what the bank was told, with a
// known set of differences planted. It returns how many of each code a
// truthful reconciliation must find.
func (r *run) checkFile(ctx context.Context, acks []load.Ack) (map[string]int, error) {
	spec, err := r.h.statement("bank-lines.yaml")
	if err != nil {
		return nil, err
	}
	var rows []statement.Row
	var sound []int // rows that are neither reversed nor planted yet
	for _, a := range acks {
		if a.Day != r.day {
			continue
		}
		row := rowOf(&a)
		if !a.Reversed {
			sound = append(sound, len(rows))
		}
		rows = append(rows, row)
	}
	sort.Ints(sound)
	if len(sound) < 4 {
		return nil, errors.New("当日缴费太少, 无法预设差异; 请增大 --messages")
	}
	rng := rand.New(rand.NewPCG(r.o.Seed, 7))
	rng.Shuffle(len(sound), func(i, j int) { sound[i], sound[j] = sound[j], sound[i] })
	rows[sound[0]].Amount++
	rows[sound[1]].Effect = reconcile.Undone
	rows[sound[2]].Values["account"] = other(rows[sound[2]].Values["account"])
	bankOnly := rowOf(&load.Ack{Link: "fixed", Date: r.day.String(), Serial: "799900000001", Account: r.customers[0].Account, Amount: pay.Amount(rng.IntN(30000) + 100)})
	rows = append(append(rows[:sound[3]:sound[3]], rows[sound[3]+1:]...), bankOnly) // one left out, one put in
	rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	out, err := spec.Write(r.day, rows)
	if err != nil {
		return nil, err
	}
	name := spec.File(r.day)
	if err := errors.Join(r.h.write("server/bank/"+name, out, 0o600), r.h.write("server/bank/"+strings.TrimSuffix(name, ".txt")+".ok", nil, 0o600)); err != nil {
		return nil, err
	}
	if _, err := r.arrived(ctx, "data/inbox/"+name); err != nil {
		return nil, fmt.Errorf("银行对账文件没有取回: %w", err)
	}
	r.say("银行对账文件 %s 由本地目录取回: %d 行, 预设 5 处差异", name, len(rows))
	return map[string]int{"LG-6": 1, "SH-2": 1, "AM-3": 1, "SH-7": 1, "ID-1": 1}, nil
}

// statement reads a specification of the demo's folder.
func (h *home) statement(name string) (*statement.Spec, error) {
	b, err := os.ReadFile(filepath.Join(h.dir, "statements", name))
	if err != nil {
		return nil, err
	}
	return statement.Parse(name, b)
}

func rowOf(a *load.Ack) statement.Row {
	row := statement.Row{Effect: reconcile.Charged, Amount: a.Amount, Values: map[string]string{"channel": a.Link, "terminal": a.Terminal,
		"batch": a.Batch, "sender_date": a.Date, "serial": a.Serial, "account": a.Account, "sender_time": a.Time}}
	if a.Reversed {
		row.Effect = reconcile.Undone
	}
	return row
}

// other is the number of another customer.
func other(account string) string {
	b := []byte(account)
	b[len(b)-1] = '0' + (b[len(b)-1]-'0'+1)%10
	return string(b)
}
