package statement

import (
	"errors"
	"strings"
	"testing"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/reconcile"
)

// the public samples: a bank's check file, a batch debit and its two results.
const (
	bil = "20120331|2|20000|12033100019051|\n" +
		"120227000012|    010600097103.0503|0221|20120331|170350|033100018475|                                   |0200|000000010000|            |        |      |20100299|\n" +
		"120227000014|    010600097103.0503|0221|20120331|170555|033100018477|                  60142800000000000|0200|000000010000|            |        |      |20100499|\n"
	debit = "201202|2|20000|123456|\n" +
		"    010600097103.0505|  60142800000000000|       10000|  201002|000|      0000000000000|0|\n" +
		"    010600097103.0505|  60142800000000000|       10000|  201004|000|      0000000000000|0|\n"
	failed = "  2010|2|20000|0|0|2|20000|123456|20120331|\n" +
		"    010600097103.0505|                  60142800000000000|       10000|  201002|000|                      0000000000000|PA10|\n" +
		"    010600097103.0505|                  60142800000000000|       10000|  201004|000|                      0000000000000|PA10|\n"
)

func TestPublicSamples(t *testing.T) {
	succeeded := strings.ReplaceAll(strings.Replace(failed, "|0|0|2|20000|", "|2|20000|0|0|", 1), "PA10", "0000")
	cheque := strings.Replace(bil, "|      |20100299|", "|      |00001234|20100299|", 1)
	for _, c := range []struct {
		spec, file string
		effective  int
	}{{"utility-bil.yaml", bil, 2}, {"utility-bil.yaml", cheque, 2}, {"utility-debit.yaml", debit, 2}, {"utility-debit-result.yaml", failed, 0},
		{"utility-debit-result.yaml", succeeded, 2}} {
		lines, err := shipped(t, c.spec).Read([]byte(c.file), 20120331, reconcile.Bank)
		if err != nil {
			t.Errorf("%s: %v", c.spec, err)
			continue
		}
		n := 0
		for _, l := range lines {
			if l.Effect == reconcile.Charged && l.Amount == 10000 {
				n++
			}
		}
		if n != c.effective || len(lines) != 2 {
			t.Errorf("%s: %d of %d lines count, want %d of 2", c.spec, n, len(lines), c.effective)
		}
	}
	lines, err := shipped(t, "utility-bil.yaml").Read([]byte(bil), 20120331, reconcile.Bank)
	if err != nil || lines[0].Key != "033100018475/20120331" || lines[0].Account != "010600097103.0503" || lines[0].Time != "17:03:50" || lines[0].Serial != "120227000012" {
		t.Errorf("got %+v, %v", lines, err)
	}
	if _, err := shipped(t, "utility-bil.yaml").Read([]byte(strings.Replace(bil, "000000010000", "000000010001", 1)), 20120331, reconcile.Bank); err == nil {
		t.Error("a sum that does not hold was accepted")
	}
}

// TestEveryShippedSpecReadsWhatItWrites writes lines with each specification
// that ships and reads them back.
func TestEveryShippedSpecReadsWhatItWrites(t *testing.T) {
	entries, err := conf.Files.ReadDir("statements")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) < 9 {
		t.Errorf("%d specifications ship", len(entries))
	}
	for _, e := range entries {
		if e.Name() == "README.md" {
			continue
		}
		s := shipped(t, e.Name())
		party := reconcile.Bank
		effect := reconcile.Charged
		switch e.Name() {
		case "journal-lines.yaml":
			party, effect = reconcile.Journal, reconcile.Success
		case "mis-lines.yaml":
			party, effect = reconcile.MIS, reconcile.Posted
		}
		row := Row{Effect: effect, Amount: 12345, Values: map[string]string{"reference": "120227000012", "account": "0512000001", "bank_serial": "033100018475",
			"sender_date": "20261120", "serial": "000001", "terminal": "60120001", "channel": "pos", "key": "K/1", "sender_time": "17:03:50", "host_serial": "H1",
			"host_date": "1120", "pan": "6014280000", "bill_month": "202611", "branch": "000", "_flag": "0", "_time": "170350", "original_serial": "120227000011", "original_date": "20261119",
			"_work_date": "20261120", "_result": "0000", "_cheque": "00001234"}}
		if e.Name() == "wallet-bill.yaml" || e.Name() == "agency-dz.yaml" {
			row.Values["_time"] = "2026-11-20 17:03:50"
		}
		if e.Name() == "utility-bil.yaml" {
			row.Values["bill_month"] = "20261199"
		}
		b, err := s.Write(day, []Row{row, row})
		if err != nil {
			t.Errorf("%s: %v", e.Name(), err)
			continue
		}
		lines, err := s.Read(b, day, party)
		account := map[bool]string{true: "0512000001"}[s.Has("account")]
		if err != nil || len(lines) != 2 || lines[0].Amount != 12345 || lines[0].Account != account || lines[0].Effect != effect {
			t.Errorf("%s: got %+v, %v in\n%s", e.Name(), lines, err, b)
		}
		if _, ok := s.DayOf(strings.ReplaceAll(s.File(day), "*", "7"), day); !ok {
			t.Errorf("%s: no day in its own name %s", e.Name(), s.File(day))
		}
	}
}

const groupSpec = `
id: g
title: g
name: "G_{day}.txt"
encoding: auto
delimiter: ","
records:
  - {role: header, level: 1, prefix: "01,", fields: [{name: _t}, {name: day}]}
  - {role: header, level: 2, prefix: "03,", fields: [{name: _t}, {name: batch}]}
  - {role: line, prefix: "16,", fields: [{name: _t}, bank_serial, account, {name: amount, sign: true}]}
  - {role: trailer, level: 2, prefix: "49,", fields: [{name: _t}, {name: _net, total: {of: net}}, {name: _hash, total: {of: hash, field: bank_serial, digits: 4}}, {name: _n, total: {of: lines}}]}
  - {role: trailer, level: 1, prefix: "99,", fields: [{name: _t}, {name: _in, total: {of: sum, direction: in}}, {name: _out, total: {of: sum, direction: out}}, {name: _n, total: {of: lines}}]}
amount: fen
key: [bank_serial]
max_line: 100
`

// TestGroups: totals at two levels, hash totals, records and directions.
func TestGroups(t *testing.T) {
	s, err := Parse("g.yaml", []byte(strings.ReplaceAll(groupSpec, "{name: _net, total: {of: net}}", "{name: _net, total: {of: net}, sign: true}")))
	if err != nil {
		t.Fatal(err)
	}
	good := "01,20261120\n03,A\n16,9999,0512000001,100\n16,0003,0512000002,-30\n49,70,2,4\n03,B\n16,0004,0512000003,5\n49,5,4,3\n99,105,30,9\n"
	lines, err := s.Read([]byte(good), day, reconcile.Bank)
	if err != nil || len(lines) != 3 || !lines[1].Out || lines[1].Row != 4 {
		t.Fatalf("got %+v, %v", lines, err)
	}
	for _, c := range []struct{ old, new, path string }{
		{"49,70,", "49,71,", "第5行 _net"}, {"70,2,4", "70,3,4", "第5行 _hash"}, {"5,4,3", "5,4,2", "第8行 _n"}, {"99,105", "99,106", "第9行 _in"},
		{"105,30,9", "105,30,8", "第9行 _n"}, {"16,0004", "16,0005", "第8行 _hash"}, {"01,20261120", "01,20261119", "第1行 day"},
	} {
		_, err := s.Read([]byte(strings.Replace(good, c.old, c.new, 1)), day, reconcile.Bank)
		var e *protocol.Error
		if !errors.As(err, &e) || e.Path != c.path {
			t.Errorf("%s: got %v, want %s", c.new, err, c.path)
		}
	}
	if _, err := s.Write(day, nil); !errors.Is(err, ErrGroups) {
		t.Errorf("got %v", err)
	}
}

// TestFastIsTheLongWay changes single bytes of a fixed file: the short way and
// the long way tell the same of each.
func TestFastIsTheLongWay(t *testing.T) {
	s, err := Parse("fixed.yaml", []byte(fixedSpec))
	if err != nil {
		t.Fatal(err)
	}
	good, short := fixedFile(3), false
	for at := 120; at < 360; at++ {
		for _, c := range []byte{' ', '0', 'F', 'U', '-', 0x00, 0x81, 0xFF, '\n', 'x'} {
			b := append([]byte(nil), good...)
			b[at] = c
			read := func(fast bool) string {
				tab, err := s.Table(strings.NewReader(string(b)), int64(len(b)), day, reconcile.Bank)
				if err != nil {
					return err.Error()
				}
				if !fast {
					tab.fast = nil
				}
				short = short || tab.fast != nil
				h := &reconcile.Hasher{}
				out := ""
				sc := &reconcile.Scan{Hash: h, Workers: 1, Row: func(_ int, p *reconcile.Print) {
					out += p.Amount.Yuan() + string(rune(p.Effect)) + map[bool]string{true: "-"}[p.Out] + pay.Amount(p.Pair[1].X%1e9).Yuan() + ";"
				}}
				sc.Compare(reconcile.Bank, reconcile.Rule{On: reconcile.HasKey, Fields: reconcile.HasAccount | reconcile.HasTerminal | reconcile.HasDay})
				if err := tab.Scan(sc); err != nil {
					return err.Error()
				}
				return out
			}
			if a, b := read(true), read(false); a != b {
				t.Fatalf("byte %d as %q: short %s, long %s", at, c, a, b)
			}
		}
	}
	if !short {
		t.Error("no line was read the short way")
	}
}
