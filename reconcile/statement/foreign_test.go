package statement

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/text"
	"qianzhi/reconcile"
)

// foreign are check files as banks and wallets write them that have little in
// common with those that ship.
var foreign = []struct {
	name, spec, file string
	set              text.Charset
	want             []string // key, account, fen, out, effect, day, time
	written          bool     // writing the lines gives the file again
}{
	{"words in the file's encoding", `
encoding: gbk
delimiter: ","
columns: 1
fields: [bank_serial, account, amount, status, _memo]
trailer: [{name: _, const: 合计}, count, sum]
key: [bank_serial]
amount: yuan
status: [{wire: 成功, effect: effective}, {wire: 冲正, effect: undone}]
`, "流水,户号,金额,状态,备注\nA1,0512000001,12.50,成功,张三\nA2,0512000002,3.00,冲正,李四\n合计,1,12.50\n", text.GBK,
		[]string{"A1 0512000001 1250 false C 0 ", "A2 0512000002 300 false V 0 "}, false},
	{"words, encoding found out", `
encoding: auto
delimiter: "\t"
fields: [bank_serial, {name: account, strip: 户号}, amount, direction]
records: [{role: skip, prefix: 制表}, {role: trailer, level: 1, prefix: 总计, fields: [{name: _, const: 总计}, count]}]
key: [bank_serial]
amount: fen
direction: [{wire: 收, effect: in}, {wire: 付, effect: out}]
`, "制表 某行\nA1\t户号0512000001\t1250\t收\nA2\t户号0512000002\t300\t付\n总计\t2\n", text.GBK,
		[]string{"A1 0512000001 1250 false C 0 ", "A2 0512000002 300 true C 0 "}, false},
	{"a delimiter of three, a moment, blank lines behind", `
encoding: utf-8
delimiter: "|+|"
fields: [bank_serial, account, amount, {name: day, format: "YYYY-MM-DD HH:MM:SS"}]
key: [bank_serial]
amount: yuan
unproved: true
`, "A1|+|05|12000001|+|12.5|+|2026-11-20 10:11:12\nA2|+|0512000002|+|7|+|2026-11-20 23:59:59\n\r\n\n\x1A", text.UTF8,
		[]string{"A1 05|12000001 1250 false C 20261120 10:11:12", "A2 0512000002 700 false C 20261120 23:59:59"}, false},
	{"a delimiter whose bytes are halves of characters", `
encoding: gbk
delimiter: "||"
trailing: true
fields: [bank_serial, _name, account, amount]
trailer: [count]
key: [bank_serial]
amount: fen
`, "A1||倈||0512000001||1250||\n1||\n", text.GBK, []string{"A1 0512000001 1250 false C 0 "}, false},
	{"thousands", `
encoding: utf-8-bom
delimiter: ","
quoted: true
line_end: crlf
fields: [bank_serial, account, {name: amount, thousands: ",", sign: true}, {name: sender_time, format: "H:MM"}]
trailer: [{name: _, const: SUM}, count, {name: net, type: amount, thousands: ",", sign: true, total: {of: net}}]
key: [bank_serial]
amount: yuan
`, "\uFEFFA1,0512000001,\"1,234,567.50\",9:05\r\nA2,0512000002,-300.00,21:30\r\nSUM,2,\"1,234,267.50\"\r\n", text.UTF8,
		[]string{"A1 0512000001 123456750 false C 0 09:05:00", "A2 0512000002 30000 true C 0 21:30:00"}, true},
	{"a card centre's: no customer", `
encoding: gbk
header: [{name: day, width: 8}, {name: count, width: 6}]
fields:
  - {name: _trace, width: 6}
  - {name: reference, width: 20}
  - {name: amount, width: 12, pad: "0"}
  - {name: status, width: 2}
amount: fen
status: [{wire: "00", effect: effective}, {wire: "R0", effect: undone}]
`, "20261120000001\n00000120261120010000000001000000001250" + "00\n", text.UTF8, []string{"20261120010000000001  1250 false C 0 "}, false},
	{"dates of other countries", `
encoding: utf-8
delimiter: ";"
fields: [bank_serial, account, amount, {name: day, format: D.M.YYYY}]
header: [{name: day, format: YYYY年MM月DD日}, count]
key: [bank_serial]
amount: li
`, "2026年11月20日;2\nA1;0512000001;12500;20.11.2026\nA2;0512000002;10;3.1.2027\n", text.UTF8,
		[]string{"A1 0512000001 1250 false C 20261120 ", "A2 0512000002 1 false C 20270103 "}, false},
}

func TestForeignFiles(t *testing.T) {
	for _, c := range foreign {
		s, err := Parse("foreign.yaml", []byte("id: foreign\ntitle: foreign\nname: \"F_{day}.txt\"\nmax_line: 200\n"+c.spec))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		file, err := c.set.Append(nil, []byte(c.file))
		if err != nil {
			t.Fatal(err)
		}
		lines, err := s.Read(file, 20261120, reconcile.Bank)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for _, l := range lines {
			got = append(got, fmt.Sprintf("%s %s %d %v %c %d %s", l.Key+l.Serial, l.Account, l.Amount, l.Out, l.Effect, l.Day, l.Time))
		}
		if strings.Join(got, "|") != strings.Join(c.want, "|") {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
		if c.written {
			var rows []Row
			for _, l := range lines {
				rows = append(rows, Row{Effect: l.Effect, Amount: l.Amount, Out: l.Out,
					Values: map[string]string{"bank_serial": l.Key, "account": l.Account, "sender_time": l.Time}})
			}
			if out, err := s.Write(20261120, rows); err != nil || string(out) != string(file) {
				t.Errorf("%s: written %q, %v", c.name, out, err)
			}
		}
	}
}

// TestForms writes a moment in a form and reads it again.
func TestForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dates := []string{"YYYYMMDD", "YYMMDD", "MMDD", "DD/MM/YYYY", "D-M-YYYY", "YYYY年M月D日"}
		clocks := []string{"", "HHMMSS", " HH:MM:SS", "THH:MM", " H时MM分"}
		text := rapid.SampledFrom(dates).Draw(t, "date") + rapid.SampledFrom(clocks).Draw(t, "clock")
		f, err := newForm(text)
		if err != nil {
			t.Fatal(err)
		}
		near := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 2000).Draw(t, "near"))
		at := near.Add(time.Duration(rapid.IntRange(-170*86400, 170*86400).Draw(t, "at")) * time.Second)
		d, clock := pay.DayOf(at), at.Format("15:04:05")
		v := f.write(d, clock)
		m, ok := f.read([]byte(v), pay.DayOf(near))
		want := ""
		if f.clock() {
			want = clock
			if !f.has[partSecond] {
				want = clock[:6] + "00"
			}
		}
		if !ok || m.day != d || m.time != want {
			t.Fatalf("%s: %s %s is %q, read as %v %v", text, d, clock, v, m, ok)
		}
		if _, ok := f.read([]byte(v+"0"), pay.DayOf(near)); ok && f.fixed() {
			t.Fatalf("%s: %q is read with one digit more", text, v)
		}
	})
	for _, bad := range []string{"", "YYYY", "HH", "MM", "DDMMDD", "YYYYYYYY"} {
		if _, err := newForm(bad); err == nil {
			t.Errorf("%q is a form", bad)
		}
	}
	f, _ := newForm("MMDD")
	for near, want := range map[pay.Day]pay.Day{20240301: 20240229, 20241231: 20240229, 20250101: 20240229, 20230715: 20240229, 20260101: 0} {
		if m, ok := f.read([]byte("0229"), near); m.day != want || ok != (want != 0) {
			t.Errorf("0229 near %s is %v %v", near, m.day, ok)
		}
	}
}

func TestThousands(t *testing.T) {
	for v, want := range map[string]string{"1,234.50": "1234.50", "1234.50": "1234.50", "12,345,678": "12345678", "1,23": "", "1234,567": "", ",123": "", "1,234.5,0": "", "": ""} {
		got, ok := ungrouped([]byte(v), ',')
		if ok != (want != "" || v == "") || ok && string(got) != want {
			t.Errorf("%q: %q %v", v, got, ok)
		}
		if back := grouped(want, ","); strings.Contains(v, ",") && want != "" && back != v {
			t.Errorf("%q grouped is %q", want, back)
		}
	}
}
