package statement

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/reconcile"
)

const day = pay.Day(20261120)

func shipped(t testing.TB, name string) *Spec {
	t.Helper()
	b, err := conf.Files.ReadFile("statements/" + name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(name, b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestShippedRoundTrip writes any lines with each shipped specification and
// reads the same lines back.
func TestShippedRoundTrip(t *testing.T) {
	for name, p := range map[string]reconcile.Party{"bank-lines.yaml": reconcile.Bank, "mis-lines.yaml": reconcile.MIS} {
		s := shipped(t, name)
		rapid.Check(t, func(t *rapid.T) {
			var rows []Row
			for range rapid.IntRange(0, 20).Draw(t, "rows") {
				digits := rapid.StringMatching(`[0-9]{6,12}`)
				effect := rapid.SampledFrom([]string{"effective", "undone"}).Draw(t, "effect")
				rows = append(rows, Row{Effect: effectFor(effect, p), Amount: pay.Amount(rapid.Int64Range(1, 1e9).Draw(t, "fen")), Values: map[string]string{
					"channel": "pos", "terminal": digits.Draw(t, "terminal"), "batch": "000001", "sender_date": "20261120", "serial": digits.Draw(t, "serial"),
					"account": digits.Draw(t, "account"), "name": rapid.SampledFrom([]string{"", "王㛃", "李堃"}).Draw(t, "name"),
					"reference": digits.Draw(t, "reference"), "host_serial": digits.Draw(t, "host")}})
			}
			b, err := s.Write(day, rows)
			if err != nil {
				t.Fatal(err)
			}
			lines, err := s.Read(b, day, p)
			if err != nil {
				t.Fatalf("%v in\n%s", err, b)
			}
			if len(lines) != len(rows) {
				t.Fatalf("%d lines, want %d", len(lines), len(rows))
			}
			for i, l := range lines {
				if l.Account != rows[i].Values["account"] || l.Amount != rows[i].Amount || l.Effect != rows[i].Effect || l.Row != i+2 {
					t.Fatalf("line %d: got %+v, want %+v", i, l, rows[i])
				}
			}
		})
	}
}

func TestKeyMatchesTheJournals(t *testing.T) {
	s := shipped(t, "bank-lines.yaml")
	b, err := s.Write(day, []Row{{Effect: reconcile.Charged, Amount: 1, Values: map[string]string{
		"channel": "pos", "terminal": "60120001", "batch": "000001", "serial": "000123", "account": "0512000001"}}})
	if err != nil {
		t.Fatal(err)
	}
	lines, err := s.Read(b, day, reconcile.Bank)
	if err != nil || lines[0].Key != "pos/60120001/000001//000123" {
		t.Errorf("got %+v, %v", lines, err)
	}
}

// TestRefusals changes one thing in a good file; the file is refused with the
// line, byte and field of what does not fit.
func TestRefusals(t *testing.T) {
	s := shipped(t, "mis-lines.yaml")
	good := "20261120|1|100\n20261120|S1|H1|pos|0512000001|100|P\n20261120|S2|H2|pos|0512000002|70|V\n"
	if _, err := s.Read([]byte(good), day, reconcile.MIS); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, old, new, path string
		offset               int
	}{
		{"count", "|1|100\n", "|2|100\n", "第1行 count", 0},
		{"sum", "|1|100\n", "|1|101\n", "第1行 sum", 0},
		{"other day", "20261120|1", "20261119|1", "第1行 day", 0},
		{"header columns", "|1|100\n", "|1\n", "第1行 header", 0},
		{"amount", "|100|P", "|1x0|P", "第2行 amount", 45},
		{"status", "|70|V", "|70|?", "第3行 status", 84},
		{"customer", "|0512000002|", "||", "第3行 account", 70},
		{"columns", "|70|V", "|70|V|", "第3行 ", 51},
		{"not GB18030", "pos|0512000001", "\xff\xffs|0512000001", "第2行 ", 30},
		{"after Chinese", "|pos|0512000001|100", "|杨㛃|0512000001|1x0", "第2行 amount", 48},
		{"long line", "H1", strings.Repeat("H", 600), "第2行 ", 15},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		_, err := s.Read([]byte(bad), day, reconcile.MIS)
		var e *protocol.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: accepted (%v)", c.name, err)
			continue
		}
		if e.Path != c.path || e.Offset != c.offset {
			t.Errorf("%s: got %q at %d, want %q at %d", c.name, e.Path, e.Offset, c.path, c.offset)
		}
	}
	for name, file := range map[string]string{"empty": "", "cut short": good[:len(good)-30], "doubled line": good + good[15:]} {
		if _, err := s.Read([]byte(file), day, reconcile.MIS); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestWriteRefusesTheDelimiter(t *testing.T) {
	s := shipped(t, "bank-lines.yaml")
	for _, v := range []string{"a|b", "a\nb"} {
		if _, err := s.Write(day, []Row{{Effect: reconcile.Charged, Amount: 1, Values: map[string]string{"account": v}}}); err == nil {
			t.Errorf("%q written", v)
		}
	}
}

func TestSpecIsChecked(t *testing.T) {
	good := `
id: x
name: "X_{day}.txt"
encoding: gbk
delimiter: "|"
header: [count]
fields: [account, amount, status]
amount: yuan
status: [{wire: "0", effect: effective}]
max_line: 100
`
	if _, err := Parse("x.yaml", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][3]string{
		{"{day}", "day", "x.yaml: name"}, {"gbk", "latin1", "encoding"}, {`"|"`, `"|||||||||"`, "delimiter"}, {"header: [count]", "header: []", "header"},
		{"status]", "status, nonsense]", "nonsense"}, {"yuan", "dollar", "amount"}, {"effect: effective", "effect: great", "status"},
		{"max_line: 100", "max_line: 0", "max_line"}, {"max_line", "maxline", "x.yaml:10: maxline: unknown key"}, {"[account, ", "[", "account"},
	} {
		_, err := Parse("x.yaml", []byte(strings.Replace(good, c[0], c[1], 1)))
		if err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s: got %v, want it to name %q", c[1], err, c[2])
		}
	}
}
