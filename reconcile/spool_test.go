package reconcile

import (
	"path/filepath"
	"reflect"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"qianzhi/gateway/pay"
)

// TestSpool writes lines as a closed day, and reads the same again: line by
// line, one after another, and as prints on several workers.
func TestSpool(t *testing.T) {
	dir := t.TempDir()
	n, h := 0, NewHasher()
	text := rapid.StringOfN(rapid.SampledFrom([]rune("0123456789ab|\\\n\rp张")), 0, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Line {
			l := Line{Serial: text.Draw(t, "serial"), Key: text.Draw(t, "key"), Account: text.Draw(t, "account"), Terminal: text.Draw(t, "terminal"),
				Link: text.Draw(t, "link"), Out: rapid.Bool().Draw(t, "out"), Day: 20261120, Effect: rapid.SampledFrom([]Effect{Success, Failed, Open, Pending, Reversed}).Draw(t, "effect")}
			l.Amount = pay.Amount(rapid.IntRange(0, int(pay.MaxAmount)).Draw(t, "fen"))
			l.Without = rapid.SampledFrom([]Without{0, 1 << MIS, 1 << Card, 1<<MIS | 1<<Card}).Draw(t, "without")
			return l
		}), 0, 40).Draw(t, "lines")
		for i := range lines {
			lines[i].Row, lines[i].Time = i+1, "10:11:12"
		}
		n++
		s, err := newSpool(filepath.Join(dir, strconv.Itoa(n)), 20261120, func(yield func(*Line) bool) error {
			for i := range lines {
				yield(&lines[i])
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var each []Line
		if err := s.each(func(l *Line) bool { each = append(each, *l); return true }); err != nil {
			t.Fatal(err)
		}
		for i := range each {
			again, err := s.Line(each[i].At)
			if each[i].At = 0; err != nil || i >= len(lines) || each[i] != lines[i] {
				t.Fatalf("line %d: %+v, want %+v, %v", i, each[i], lines[i], err)
			}
			if again.At = 0; again != lines[i] {
				t.Fatalf("line %d again: %+v", i, again)
			}
		}
		memory := &Lines{List: lines, Tell: s.Declares()}
		if a, b := prints(t, h, s), prints(t, h, memory); len(each) != len(lines) || !reflect.DeepEqual(a, b) {
			t.Fatalf("%d of %d lines, or other prints", len(each), len(lines))
		}
	})
}

// prints counts the prints of a table, without their places.
func prints(t *rapid.T, h *Hasher, table Table) map[Print]int {
	var mu sync.Mutex
	out := map[Print]int{}
	s := Scan{Hash: h, Workers: 2, Row: func(_ int, p *Print) {
		q := *p
		q.At = 0
		mu.Lock()
		out[q]++
		mu.Unlock()
	}}
	s.Compare(MIS, Rule{On: HasSerial, Fields: HasAccount | HasDay})
	s.Compare(Bank, Rule{On: HasKey, Fields: HasAccount | HasTerminal | HasLink})
	if err := table.Scan(&s); err != nil {
		t.Fatal(err)
	}
	return out
}
