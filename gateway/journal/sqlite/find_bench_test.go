package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

// BenchmarkFind searches a closed day through its index, and the running day
// through its segments and the rows that are in none. QIANZHI_JOURNAL_PAYMENTS says how many payments each holds; two
// rows belong to each. Building the index is measured once.
func BenchmarkFind(b *testing.B) {
	payments := 20_000
	if n, err := strconv.Atoi(os.Getenv("QIANZHI_JOURNAL_PAYMENTS")); err == nil {
		payments = n
	}
	dir := b.TempDir()
	o := newOptions(b, dir)
	fill(b, dir, o, payments)
	from := time.Now()
	j, stop := start(b, dir, o)
	b.Logf("%d rows: ready %s after the start", 2*payments, time.Since(from).Round(time.Millisecond))
	find := func(name string, q journal.Query, want int) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				a, err := journal.OpenArchive(context.Background(), New(dir), o) // as the command line does, with cold files of its own
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				if _, err := a.Find(context.Background(), q, func(*pay.Entry) bool { n++; return true }); err != nil || n < want {
					b.Fatal(n, err)
				}
				if err := a.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	one := benchSale(uint64(payments / 3)).Req
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for j.Stats().IndexLag >= 8192 {
		<-tick.C
	}
	b.Logf("%d rows: indexed %s after the start, %d rows in no segment", 2*payments, time.Since(from).Round(time.Millisecond), j.Stats().IndexLag)
	queries := map[string]func(q *journal.Query){
		"account": func(q *journal.Query) { q.Account = one.Account }, "serial": func(q *journal.Query) { q.Serial = one.Ref.Serial },
		"amount": func(q *journal.Query) { q.Amount = one.Amount }, "tail": func(q *journal.Query) { q.Tail = "0123" },
		"state": func(q *journal.Query) { q.State = pay.Succ }, "nothing but a day": func(q *journal.Query) { q.From = today },
		"time": func(q *journal.Query) { q.Since = from; q.State = pay.Succ; q.Until = from.Add(time.Hour) },
	}
	for key, change := range queries {
		q := journal.Query{Limit: 100}
		change(&q)
		find("running/"+key, q, map[bool]int{true: 0, false: 1}[key == "time"])
	}
	if err := j.Cut(context.Background(), today.Add(1)); err != nil {
		b.Fatal(err)
	}
	from, name := time.Now(), filepath.Join(dir, today.String()+".idx")
	for _, err := os.Stat(name); err != nil; _, err = os.Stat(name) {
		<-tick.C
	}
	info, err := os.Stat(name)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d rows: index built in %s, %d MB", 2*payments, time.Since(from).Round(time.Millisecond), info.Size()>>20)
	for key, change := range queries {
		if key == "time" {
			continue
		}
		q := journal.Query{Limit: 100, Closed: true}
		change(&q)
		find("closed/"+key, q, 1)
	}
	stop()
}
