package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/books"
	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

type findFlags struct {
	file, account, serial, pan, tail, amount, from, to, state, day, output string
	fen                                                                    int64
	limit                                                                  int
	now                                                                    bool
}

func journalFind() *cobra.Command {
	var o findFlags
	c := &cobra.Command{
		Use:   "find",
		Short: "按户号、流水号、卡号、金额、时间、状态查找缴费",
		Long: "按户号、流水号、卡号、金额、时间、状态查找缴费, 新的在前。\n" +
			"给出 --day 时只查已日切的流水(有索引, 很快), 状态截至最近一次日切; 加 --now 或不给 --day 时连同今日流水一起查, 状态为当前。",
		Example: "  qianzhi journal find --config qianzhi.yaml --account 0512000001\n" +
			"  qianzhi journal find --config qianzhi.yaml --day 20261124 --amount 301.50 --card-tail 0123\n" +
			"  qianzhi journal find --config qianzhi.yaml --from '2026-11-24 09:00' --to '2026-11-24 09:30' --state UNKN -o json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	config(c, &o.file)
	f := c.Flags()
	f.StringVar(&o.account, "account", "", "户号")
	f.StringVar(&o.serial, "serial", "", "银行流水号(终端流水号)")
	f.StringVar(&o.pan, "pan", "", "卡号")
	f.StringVar(&o.tail, "card-tail", "", "卡号后四位")
	f.StringVar(&o.amount, "amount", "", "金额, 元, 两位小数")
	f.Int64Var(&o.fen, "fen", 0, "金额, 分")
	f.StringVar(&o.from, "from", "", "受理时间从 (含), 如 '2026-11-24 09:00'")
	f.StringVar(&o.to, "to", "", "受理时间到 (不含)")
	f.StringVar(&o.state, "state", "", "状态, 如 SUCC、UNKN、SUSP")
	f.StringVar(&o.day, "day", "", "账务日期 YYYYMMDD")
	f.BoolVar(&o.now, "now", false, "与 --day 合用: 连同其后至今的流水")
	f.IntVar(&o.limit, "limit", 100, "最多列出的笔数")
	f.StringVarP(&o.output, "output", "o", "table", "table 或 json")
	return c
}

func (o *findFlags) run(cmd *cobra.Command) error {
	if o.output != "table" && o.output != "json" {
		return fmt.Errorf("-o: 应为 table 或 json, 而不是 %q", o.output)
	}
	b, err := openBooks(cmd.Context(), o.file)
	if err != nil {
		return err
	}
	defer b.Close()
	q, err := o.query(b)
	if err != nil {
		return err
	}
	start := time.Now()
	list := []books.Line{}
	asOf, err := b.Find(cmd.Context(), q, func(e *pay.Entry) bool {
		list = append(list, books.LineOf(e, false))
		return true
	})
	if errors.Is(err, journal.ErrTooMany) {
		return errors.New("可能相符的缴费太多, 请加上户号、流水号、卡号或更窄的时间")
	}
	if err != nil {
		return err
	}
	took := time.Since(start)
	if o.output == "json" {
		return writeJSON(cmd.OutOrStdout(), map[string]any{"as_of": asOf.String(), "closed": q.Closed, "ms": float64(took.Microseconds()) / 1000, "payments": list})
	}
	if err := books.Table(cmd.OutOrStdout(), list); err != nil {
		return err
	}
	word := "日终"
	if !q.Closed {
		word = "此刻"
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d 笔, 截至 %s %s, 用时 %s\n", len(list), asOf, word, took.Round(100*time.Microsecond))
	if len(list) == o.limit {
		fmt.Fprintln(cmd.OutOrStdout(), "可能还有更早的, 用 --limit 或条件继续")
	}
	return nil
}

func (o *findFlags) query(b *books.Books) (q journal.Query, err error) {
	q = journal.Query{Account: o.account, Serial: o.serial, PAN: o.pan, Tail: o.tail, Amount: pay.Amount(o.fen), Limit: o.limit}
	if o.amount != "" {
		if q.Amount, err = pay.ParseYuan(o.amount); err != nil || o.fen != 0 {
			return q, errors.New("--amount: 应为元, 最多两位小数, 且不与 --fen 合用")
		}
	}
	if o.state != "" {
		for s := pay.Recv; s <= pay.Adjd; s++ {
			if s.String() == o.state || s.Chinese() == o.state {
				q.State = s
			}
		}
		if q.State == pay.NoState {
			return q, fmt.Errorf("--state: 没有状态 %q", o.state)
		}
	}
	if o.day != "" {
		if q.From, err = pay.ParseDay(o.day); err != nil {
			return q, fmt.Errorf("--day: %w", err)
		}
		days := b.Days()
		q.To, q.Closed = q.From, !o.now && len(days) > 0 && q.From < days[len(days)-1]
	}
	zone := b.Options.Now().Location()
	for _, t := range []struct {
		flag, text string
		to         *time.Time
	}{{"--from", o.from, &q.Since}, {"--to", o.to, &q.Until}} {
		if *t.to, err = when(t.text, zone); err != nil {
			return q, fmt.Errorf("%s: %w", t.flag, err)
		}
	}
	return q, nil
}

// when reads a moment to the day, minute, second or in full.
func when(s string, zone *time.Location) (t time.Time, err error) {
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04", time.DateTime, time.RFC3339} {
		if t, err = time.ParseInLocation(layout, s, zone); err == nil || s == "" {
			return t, nil
		}
	}
	return t, fmt.Errorf("应为如 '2026-11-24 09:00' 的时间, 而不是 %q", s)
}
