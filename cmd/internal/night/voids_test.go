package night

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"qianzhi/reconcile"
)

const voidBank = `id: void-bank
title: 撤销单列的银行
name: "B_{day}.txt"
encoding: gb18030
delimiter: "|"
header: [day, {name: _n, total: {of: count, effect: any}}, {name: _sale, total: {of: sum}}, {name: _void, total: {of: sum, effect: void}}]
fields: [terminal, batch, serial, account, amount, direction, original_serial]
amount: fen
direction: [{wire: S, effect: in}, {wire: V, effect: void}]
key: [terminal, batch, serial]
original: [terminal, batch, original_serial]
max_line: 200
`

// TestVoidLines reconciles with a bank that lists a 撤销 as a line of its own:
// what was taken back on both sides is flat, and what only one side took back is
// told as such.
func TestVoidLines(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	journal, mis := "reference,key,account,terminal,amount,direction,status,channel,sender_time\n", ""
	for i, state := range []string{"S", "R", "S", "R", "S"} {
		journal += fmt.Sprintf("2026112001%d,T1/000001/00000%d,051200000%d,T1,%d,+,%s,pos,10:15:0%d\n", i, i, i, 100*(i+1), state, i)
		word := "P"
		if state == "R" {
			word = "V"
		}
		mis += fmt.Sprintf("20261120|2026112001%d|YX%d|pos|051200000%d|%d|%s\n", i, i, i, 100*(i+1), word)
	}
	bank := "T1|000001|000009|0512000001|200|V|000001\n" + // before its original
		"T1|000001|000000|0512000000|100|S|\nT1|000001|000001|0512000001|200|S|\n" +
		"T1|000001|000002|0512000002|300|S|\nT1|000001|000008|0512000002|300|V|000002\n" + // we know nothing of it
		"T1|000001|000003|0512000003|400|S|\n" + // taken back here alone
		"T1|000001|000004|0512000004|500|S|\n"
	f := Files{Day: 20261120, Channel: "VOID", Out: filepath.Join(dir, "out"),
		Names: map[reconcile.Party]string{reconcile.Journal: write("j.csv", journal), reconcile.MIS: write("m.txt", "20261120|3|900\n"+mis), reconcile.Bank: write("b.txt", "20261120|7|1500|500\n"+bank)},
		Specs: map[reconcile.Party]string{reconcile.Bank: write("void-bank.yaml", voidBank)}}
	res, err := f.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(res.Codes()); got != "map[LG-5:1 SH-7:1]" || res.Totals[reconcile.Bank].Sum != 1000 {
		t.Errorf("%s %s %s, bank %+v", res.Verdict, res.Why, got, res.Totals[reconcile.Bank])
	}
}
