package app

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
)

// debits are the settings of a utility's debit files, in folders of a test.
const debits = `
batches:
  - id: debit
    institution: "0512"
    spec: statements/utility-debit.yaml
    serial: [account, bill_month]
    result: statements/utility-debit-result.yaml
    rename: {from: "0001_", to: "1001_"}
    refusal: "{name}.err"
    words: [{code: nothing-owed, wire: PA10}, {code: no-customer, wire: "0003"}]
    from: {kind: local, dir: debit}
    to: {kind: local, dir: result}
    every: 50ms
    max: 1000000
    workers: 2
`

// bureau is a house with a utility that sends debit files.
func bureau(t *testing.T) *house {
	h := newHouse(t)
	h.stop()
	dir := filepath.Dir(h.file)
	for _, name := range []string{"statements/utility-debit.yaml", "statements/utility-debit-result.yaml"} {
		b, err := conf.Files.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"debit", "result"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	rewrite(t, h.file, "\nbatches: []\n", debits)
	return h
}

// TestDebitFile charges a file row by row at the embedded MIS while the daemon
// is stopped again and again; every bill is settled once, and the result says
// what became of each row.
func TestDebitFile(t *testing.T) {
	h := bureau(t)
	dir := filepath.Dir(h.file)
	h.start()
	day := h.app.Journal().Day()
	rows, sum := "", pay.Amount(0)
	for i := range 20 {
		fen := pay.Amount(0)
		for _, b := range h.owe[i].Bills {
			fen += b.Amount
		}
		rows += fmt.Sprintf("%21s|62220000|%12d|  202511|001|6222999|1|\n", h.owe[i].Account, fen)
		sum += fen
	}
	rows += fmt.Sprintf("%21s|62220000|%12d|  202511|001|6222999|1|\n", "051299999999", 100)
	text := fmt.Sprintf("202511|21|%d|B1|\n%s", sum+100, rows)
	name := "0001_" + day.String() + "_00_1_1.set"
	if err := os.WriteFile(filepath.Join(dir, "debit", name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		h.stop()
		h.start()
	}
	result := filepath.Join(dir, "result", "1001"+name[4:])
	h.until("result", func() bool { _, err := os.Stat(result); return err == nil })
	b, err := os.ReadFile(result)
	if err != nil || strings.Count(string(b), "|0000|\n") != 20 || strings.Count(string(b), "|0003|\n") != 1 || !strings.HasPrefix(string(b), fmt.Sprintf("202511|21|%d|20|%d|1|100|B1|", sum+100, sum)) {
		t.Errorf("%s %v", b, err)
	}
	if n, got, err := h.app.Ledger().Net(t.Context(), day); n != 20 || got != sum || err != nil {
		t.Errorf("the MIS has %d payments, %s of %s, %v", n, got.Yuan(), sum.Yuan(), err)
	}
	h.until("delivery", func() bool {
		return h.log.has("event=QZ466") && strings.Contains(strings.Join(acted(t, h.app), "\n"), "debit 批扣结果送达 "+name)
	})
	bad := "0001_" + day.String() + "_00_1_2.set"
	if err := os.WriteFile(filepath.Join(dir, "debit", bad), []byte(strings.Replace(text, "62220000|", "62220000|x", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	h.until("refusal", func() bool { _, err := os.Stat(filepath.Join(dir, "result", bad+".err")); return err == nil })
	if b, err := os.ReadFile(filepath.Join(dir, "result", bad+".err")); err != nil || !strings.Contains(string(b), "第2行 amount") {
		t.Errorf("%s %v", b, err)
	}
}

func TestBatchesAreChecked(t *testing.T) {
	for want, change := range map[string][2]string{
		"a link is called": {"id: debit", "id: fixed"}, "unknown code": {"code: nothing-owed", "code: nothing"},
		"from: kind: want": {"from: {kind: local", "from: {kind: pigeon"}, "every and max": {"every: 50ms", "every: 0s"}, "serial: lines have no": {"serial: [account", "serial: [moon"},
	} {
		h := bureau(t)
		rewrite(t, h.file, debits, strings.Replace(debits, change[0], change[1], 1))
		c, err := Load(h.file)
		if err == nil {
			_, err = Prepare(c, slog.New(slog.DiscardHandler))
		}
		if err == nil || !strings.Contains(err.Error(), "batches[0]") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", change[1], err)
		}
	}
}
