package statement

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

const voidSpec = `id: voids
title: t
name: "B{day}.txt"
encoding: gb18030
delimiter: "|"
header: [day, {name: _n, total: {of: count, effect: any}}, {name: _sale, total: {of: sum}}, {name: _void, total: {of: sum, effect: void}}]
fields: [terminal, batch, serial, account, amount, direction, status, original_batch, original_serial]
amount: fen
direction: [{wire: S, effect: in}, {wire: V, effect: void}]
status: [{wire: "00", effect: effective}, {wire: "01", effect: none}]
key: [terminal, batch, serial]
original: [terminal, original_batch, original_serial]
max_line: 200
empty: zero
`

func parsed(t testing.TB, text string) *Spec {
	t.Helper()
	s, err := Parse("t.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestVoids: a void stands for what it takes back, wherever in the file the two
// are; one that failed takes nothing back.
func TestVoids(t *testing.T) {
	s := parsed(t, voidSpec)
	rapid.Check(t, func(t *rapid.T) {
		var rows []string
		want := map[string]reconcile.Effect{}
		var sale, void pay.Amount
		for i := range rapid.IntRange(0, 12).Draw(t, "payments") {
			key, fen := fmt.Sprintf("T1/000001/%06d", i), pay.Amount(i+1)
			own := fmt.Sprintf("T1|000001|%06d|051200%04d|%d|S|00||", i, i, fen)
			back := func(status string) string {
				return fmt.Sprintf("T1|000001|9%05d|051200%04d|%d|V|%s|000001|%06d", i, i, fen, status, i)
			}
			switch rapid.SampledFrom([]string{"plain", "void", "failed", "alone"}).Draw(t, "fate") {
			case "plain":
				rows, want[key], sale = append(rows, own), reconcile.Charged, sale+fen
			case "void":
				rows, want[key], sale, void = append(rows, own, back("00")), reconcile.Undone, sale+fen, void+fen
			case "failed":
				rows, want[key], sale = append(rows, own, back("01")), reconcile.Charged, sale+fen
			case "alone":
				rows, want[key], void = append(rows, back("00")), reconcile.Undone, void+fen
			}
		}
		rows = rapid.Permutation(rows).Draw(t, "rows")
		text := fmt.Sprintf("20261120|%d|%d|%d\n%s", len(rows), sale, void, strings.Join(append(rows, ""), "\n"))
		table, err := s.Table(strings.NewReader(text), int64(len(text)), day, reconcile.Bank)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]reconcile.Effect{}
		for range 2 { // the second scan sees what the first did
			var places []int64
			scan := &reconcile.Scan{Hash: reconcile.NewHasher(), Workers: 1, Row: func(_ int, p *reconcile.Print) { places = append(places, p.At) }}
			scan.Compare(reconcile.Bank, reconcile.Rule{On: reconcile.HasKey})
			if err := table.Scan(scan); err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			got = map[string]reconcile.Effect{}
			for _, at := range places {
				l, err := table.Line(at)
				if err != nil || got[l.Key] != 0 || l.Out {
					t.Fatalf("%+v, %v in\n%s", l, err, text)
				}
				got[l.Key] = l.Effect
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("got %v, want %v in\n%s", got, want, text)
			}
		}
	})
}

// TestVoidsByReference names originals by our serial.
func TestVoidsByReference(t *testing.T) {
	s := parsed(t, strings.NewReplacer("terminal, batch, serial, account", "reference, account", "original_batch, original_serial]", "_of]",
		"key: [terminal, batch, serial]\n", "", "original: [terminal, original_batch, original_serial]", "original: [_of]").Replace(voidSpec))
	lines, err := s.Read([]byte("20261120|3|300|100\nR1|A|100|S|00|\nR3|A|100|V|00|R1\nR2|A|200|S|00|\n"), day, reconcile.MIS)
	if err != nil || len(lines) != 3 || lines[0].Effect != reconcile.Absent || lines[1].Serial != "R1" || lines[1].Effect != reconcile.Undone || lines[2].Effect != reconcile.Posted {
		t.Errorf("%+v, %v", lines, err)
	}
}

// TestVoidsThatDoNotFit refuses the file and says where.
func TestVoidsThatDoNotFit(t *testing.T) {
	s := parsed(t, voidSpec)
	for _, c := range [][3]string{
		{"T1|1|1|A|100|S|00||\nT1|1|2|A|99|V|00|1|1\n", "100|99", "第2行 amount"},
		{"T1|1|1|A|100|S|00||\nT1|1|2|A|100|V|00|1|1\n", "100|99", "第1行 _void"},
	} {
		_, err := s.Read([]byte("20261120|2|"+c[1]+"\n"+c[0]), day, reconcile.Bank)
		if err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%q: %v, want %s", c[0], err, c[2])
		}
	}
	if _, err := s.Write(day, nil); err == nil {
		t.Error("written")
	}
	for _, c := range [][2]string{
		{"original: [terminal, original_batch, original_serial]\n", ""}, {"original: [terminal, original_batch, original_serial]", "original: [terminal, original_serial]"},
		{"original: [terminal,", "original: [merchant,"}, {"effect: void}]\nstatus", "effect: out}]\nstatus"},
	} {
		if _, err := Parse("t.yaml", []byte(strings.Replace(voidSpec, c[0], c[1], 1))); err == nil || !strings.Contains(err.Error(), "original") {
			t.Errorf("%s: %v", c[1], err)
		}
	}
}
