package statement

import (
	"bytes"
	"fmt"
	"testing"

	"qianzhi/reconcile"
)

const fixedSpec = `
id: fixed
title: fixed
name: "B_{day}.dat"
encoding: gbk
line_end: crlf
header: [{name: day, width: 8}, {name: count, width: 12, pad: "0", align: right, total: {of: count, effect: any}}, {name: _, width: 98}]
fields:
  - {name: reference, width: 20}
  - {name: bank_serial, width: 20}
  - {name: account, width: 13}
  - {name: terminal, width: 8}
  - {name: day, width: 8}
  - {name: sender_time, width: 6}
  - {name: amount, width: 12, pad: "0"}
  - {name: direction, width: 1}
  - {name: status, width: 1}
  - {name: name, width: 20}
  - {name: _rest, width: 9}
key: [bank_serial]
amount: fen
direction: [{wire: "+", effect: in}, {wire: "-", effect: out}]
status: [{wire: "0", effect: effective}, {wire: "1", effect: undone}, {wire: F, effect: failed}, {wire: U, effect: open}]
max_line: 118
`

// fixedFile has n lines of 120 bytes with Chinese names.
func fixedFile(n int) []byte {
	b := fmt.Appendf(nil, "%s%012d%98s\r\n", day, n, "")
	for i := range n {
		b = fmt.Appendf(b, "%s01%010d%020d%013d%08d%s%02d%02d%02d%012d+0", day, i+1, i*7919, i*31, i%977, day, i%24, i%60, i%59, 100+i)
		for j := range 10 {
			b = append(b, 0xB0+byte(i>>j%32), 0xA1+byte(j))
		}
		b = append(b, "         \r\n"...)
	}
	return b
}

// BenchmarkScan parses, checks and hashes lines on one goroutine.
func BenchmarkScan(b *testing.B) {
	s, err := Parse("fixed.yaml", []byte(fixedSpec))
	if err != nil {
		b.Fatal(err)
	}
	const n = 8000
	file := fixedFile(n)
	both := reconcile.HasAccount | reconcile.HasTerminal | reconcile.HasDay | reconcile.HasDirection
	for _, c := range []struct {
		name     string
		verified bool
		want     func(int, *reconcile.Print) bool
	}{{"first", false, nil}, {"again", true, nil}, {"keys", true, func(int, *reconcile.Print) bool { return false }}} {
		b.Run(c.name, func(b *testing.B) {
			t, err := s.Table(bytes.NewReader(file), int64(len(file)), day, reconcile.Bank)
			if err != nil {
				b.Fatal(err)
			}
			sc := &reconcile.Scan{Hash: reconcile.NewHasher(), Workers: 1, Want: c.want, Row: func(int, *reconcile.Print) {}}
			sc.Compare(reconcile.Bank, reconcile.Rule{On: reconcile.HasKey, Fields: both})
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				t.verified = c.verified
				if err := t.Scan(sc); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/line")
		})
	}
}
