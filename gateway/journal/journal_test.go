package journal

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

// TestDurableNumbers holds the numbers that stand in stored rows. Lists in
// package pay may grow at their end; a line that changes here makes old logs
// unreadable.
func TestDurableNumbers(t *testing.T) {
	const golden = "testdata/numbers.txt"
	var b strings.Builder
	for _, id := range pay.Fields() {
		fmt.Fprintf(&b, "field %d %s\n", id, id)
	}
	for c := pay.Code(0); c == 0 || c.String() != pay.CodeUnknown.String(); c++ {
		fmt.Fprintf(&b, "code %d %s\n", c, c)
	}
	for s := pay.Recv; s.String() != "?"; s++ {
		fmt.Fprintf(&b, "state %d %s\n", s, s)
	}
	for o := pay.OpNone; o.String() != "op?"; o++ {
		fmt.Fprintf(&b, "op %d %s\n", o, o)
	}
	for k := pay.KindOther; k.String() != "kind?"; k++ {
		fmt.Fprintf(&b, "kind %d %s\n", k, k)
	}
	fmt.Fprintf(&b, "events %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d %d\n", pay.EvReceived, pay.EvMarker, pay.EvResult, pay.EvState, pay.EvWanted,
		pay.EvAttempt, pay.EvCarried, pay.EvReverse, pay.EvQuery, pay.EvSession, pay.EvRejected, pay.EvAdmin, pay.EvCut, pay.EvFreeze, pay.EvFirst, evKey)
	fmt.Fprintf(&b, "legs %d %d %d, %d %d %d %d %d %d\n", pay.LegPost, pay.LegCharge, pay.LegCard,
		pay.LegIdle, pay.LegSent, pay.LegDone, pay.LegRefused, pay.LegUnknown, pay.LegUndone)
	fmt.Fprintf(&b, "funds %d %d\n", pay.Taken, pay.Untaken)
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, line := range strings.Split(b.String(), "\n") {
		have[line] = true
	}
	for _, line := range strings.Split(string(want), "\n") {
		if !have[line] {
			t.Errorf("stored rows rely on %q", line)
		}
	}
	if len(have) > len(strings.Split(string(want), "\n")) {
		t.Errorf("new numbers: write them down in %s:\n%s", golden, b.String())
	}
}

func texts() *rapid.Generator[string] { return rapid.StringN(0, 12, 40) }

func refs() *rapid.Generator[pay.Ref] {
	return rapid.Custom(func(t *rapid.T) pay.Ref {
		return pay.Ref{Institution: texts().Draw(t, "i"), Kind: pay.Kind(rapid.Byte().Draw(t, "k")), Scope: texts().Draw(t, "s"), Serial: texts().Draw(t, "n")}
	})
}

func times() *rapid.Generator[time.Time] {
	return rapid.OneOf(rapid.Just(time.Time{}), rapid.Map(rapid.Int64(), func(n int64) time.Time { return time.Unix(0, n).UTC() }))
}

func requests() *rapid.Generator[*pay.Request] {
	return rapid.Custom(func(t *rapid.T) *pay.Request {
		r := &pay.Request{Ref: refs().Draw(t, "ref"), Day: pay.Day(rapid.Uint32().Draw(t, "day")), Op: pay.Op(rapid.Byte().Draw(t, "op")),
			Biller: texts().Draw(t, "b"), Account: texts().Draw(t, "a"), Amount: pay.Amount(rapid.Int64().Draw(t, "amount"))}
		for range rapid.IntRange(0, 3).Draw(t, "bills") {
			r.Bills = append(r.Bills, pay.Bill{ID: texts().Draw(t, "id"), Month: texts().Draw(t, "m"), Amount: pay.Amount(rapid.Int64().Draw(t, "x")), Penalty: -1})
		}
		for range rapid.IntRange(0, 3).Draw(t, "more") {
			r.More = append(r.More, pay.Field{ID: rapid.SampledFrom([]pay.FieldID{pay.FName, pay.FPAN, pay.FWriteResult}).Draw(t, "f"), Val: texts().Draw(t, "v")})
		}
		if rapid.Bool().Draw(t, "orig") {
			ref := refs().Draw(t, "original")
			r.Original = &ref
		}
		if rapid.Bool().Draw(t, "via") {
			r.Via = &pay.Via{Link: texts().Draw(t, "l"), Peer: texts().Draw(t, "p"), At: times().Draw(t, "at"), Funds: pay.Taken,
				Raw: []byte(texts().Draw(t, "raw")), Digest: [32]byte{31: 1}, Replayed: rapid.Bool().Draw(t, "r"), Refuse: pay.CodeLimit}
		}
		return r
	})
}

// TestSecretsAreNotContent wants nothing of class never written, whatever the
// request carries through memory.
func TestSecretsAreNotContent(t *testing.T) {
	r := &pay.Request{More: []pay.Field{{ID: pay.FPIN, Val: "PINPINPIN"}, {ID: pay.FTrack2, Val: "TRACKTWO"}, {ID: pay.FPAN, Val: "6225000000000014"},
		{ID: pay.FExpiry, Val: "EXPIRES"}, {ID: pay.FChip, Val: "CHIPCHIP"}}}
	b := string(appendRequest(nil, r))
	for _, secret := range []string{"PINPINPIN", "TRACKTWO", "EXPIRES", "CHIPCHIP"} {
		if strings.Contains(b, secret) {
			t.Errorf("%s is written", secret)
		}
	}
	d := decoder{s: b, loc: time.UTC}
	if got := d.request(); d.done() != nil || len(got.More) != 1 || got.More[0].ID != pay.FPAN {
		t.Errorf("read back: %+v", got.More)
	}
}

// TestContentRoundTrip wants what was written read back, and nothing else: a
// content cut short, or with a byte more, is refused.
func TestContentRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := pay.Entry{Req: requests().Draw(t, "req"), State: pay.State(rapid.Byte().Draw(t, "state")), At: times().Draw(t, "at"),
			Changed: times().Draw(t, "changed"), Marked: times().Draw(t, "marked"), Due: times().Draw(t, "due"), Code: pay.CodeLimit,
			Attempt: rapid.Uint16().Draw(t, "attempt"), Wanted: rapid.Bool().Draw(t, "wanted"), Note: texts().Draw(t, "note"),
			Original: pay.ID{Day: pay.Day(rapid.Uint32().Draw(t, "oday")), Row: rapid.Uint64().Draw(t, "orow")}}
		for range rapid.IntRange(0, 3).Draw(t, "legs") {
			e.Legs = append(e.Legs, pay.Leg{Kind: pay.LegCard, State: pay.LegUndone, Code: pay.CodeOK, Host: texts().Draw(t, "host")})
		}
		b := appendEntry(nil, &e)
		d := decoder{s: string(b), loc: time.UTC}
		got, err := d.entry()
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Fatalf("got %+v %v, want %+v", got, err, e)
		}
		cut := decoder{s: string(b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")]), loc: time.UTC}
		if _, err := cut.entry(); err == nil {
			t.Fatal("read from less")
		}
		long := decoder{s: string(b) + "x", loc: time.UTC}
		if _, err := long.entry(); err == nil {
			t.Fatal("read from more")
		}
	})
}

func TestNoteRoundTrip(t *testing.T) {
	n := pay.Note{Link: "l", Peer: "p", Op: pay.Query, Code: pay.CodeAuth, Count: 3, Length: 9, Digest: [32]byte{1}, Head: []byte("0123456789abcdefXX"), Text: "t",
		Req: &pay.Request{Account: "1"}}
	d := decoder{s: string(appendNote(nil, &n)), loc: time.UTC}
	got, err := d.note()
	n.Head = n.Head[:maxHead]
	if err != nil || !reflect.DeepEqual(got, n) {
		t.Fatalf("got %+v %v", got, err)
	}
}

func FuzzContent(f *testing.F) {
	e := pay.Entry{Req: &pay.Request{Account: "1", Via: &pay.Via{}}, Legs: []pay.Leg{{}}}
	f.Add(appendEntry(nil, &e))
	f.Add(appendEvent(nil, &pay.Event{Host: "h"}))
	f.Add(appendNote(nil, &pay.Note{Text: "t"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, read := range []func(*decoder) error{
			func(d *decoder) error { _, err := d.entry(); return err },
			func(d *decoder) error { _, err := d.event(); return err },
			func(d *decoder) error { _, err := d.note(); return err },
		} {
			d := decoder{s: string(b), loc: time.UTC}
			if err := read(&d); err == nil && d.s != "" {
				t.Fatalf("%d bytes left over", len(d.s))
			}
		}
	})
}

// TestTable holds the table against a plain map.
func TestTable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var tab table
		model := map[slot]bool{}
		tokens := rapid.SampledFrom([]uint64{0, 1, 256, 512, 1 << 63, 1<<63 + 256, ^uint64(0), ^uint64(255)})
		row := uint64(0)
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				row++
				s := slot{tokens.Draw(rt, "token"), row}
				tab.put(s.token, s.row)
				model[s] = true
			},
			"move": func(rt *rapid.T) {
				s := slot{tokens.Draw(rt, "token"), rapid.Uint64Range(1, row+1).Draw(rt, "row")}
				row++
				if tab.move(s.token, s.row, row) != model[s] {
					rt.Fatalf("move %v", s)
				}
				if model[s] {
					delete(model, s)
					model[slot{s.token, row}] = true
				}
			},
			"drop": func(rt *rapid.T) {
				s := slot{tokens.Draw(rt, "token"), rapid.Uint64Range(1, row+1).Draw(rt, "row")}
				tab.drop(s.token, s.row)
				delete(model, s)
			},
			"": func(rt *rapid.T) { compareTable(rt, &tab, model) },
		})
	})
}

func compareTable(t *rapid.T, tab *table, model map[slot]bool) {
	if tab.len() != len(model) {
		t.Fatalf("%d entries, want %d", tab.len(), len(model))
	}
	by := map[uint64][]uint64{}
	for s := range model {
		by[s.token] = append(by[s.token], s.row)
	}
	for token, want := range by {
		got := tab.rows(nil, token)
		sort.Slice(want, func(i, j int) bool { return want[i] < want[j] })
		sort.Slice(got, func(i, j int) bool { return got[i] < got[j] })
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("token %x: %v, want %v", token, got, want)
		}
	}
}

func TestTableFile(t *testing.T) {
	dir := t.TempDir()
	k := newTokens([]byte("0123456789abcdef"))
	tab := new(table)
	for i := range uint64(5000) {
		tab.put(k.of('x', []byte{byte(i), byte(i >> 8)}), i+1)
	}
	tab.put(k.of('x', []byte{1, 0}), 9999)
	if err := writeTable(dir, k, logTable{20261124, tab}); err != nil {
		t.Fatal(err)
	}
	name := tableFile(dir, 20261124)
	got := readTable(dir, k, 20261124)
	if got == nil || got.len() != tab.len() {
		t.Fatal("not read back")
	}
	tab.each(func(s slot) {
		want := tab.rows(nil, s.token)
		found, err := searchTable(name, s.token)
		if err != nil || len(found) != len(want) || len(got.rows(nil, s.token)) != len(want) {
			t.Fatalf("token %x: %v %v, want %v", s.token, found, err, want)
		}
	})
	if found, err := searchTable(name, 12345); err != nil || len(found) != 0 {
		t.Fatalf("found %v %v", found, err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[100] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if readTable(dir, k, 20261124) != nil || readTable(dir, newTokens(make([]byte, 16)), 20261124) != nil {
		t.Fatal("a changed table was believed")
	}
}

// TestCheckpointFile wants torn and forged lines left out.
func TestCheckpointFile(t *testing.T) {
	dir := t.TempDir()
	key, err := gm.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	const day = 20261124
	name := signatures(dir, day)
	for row := uint64(1); row <= 3; row++ {
		c := checkpoint{row: row, sum: [32]byte{byte(row)}}
		if c.sig, err = key.Sign([]byte(gm.DefaultID), statement(1, day, c.row, c.sum)); err != nil {
			t.Fatal(err)
		}
		if err := appendCheckpoint(name, &c); err != nil {
			t.Fatal(err)
		}
		if row == 2 { // a process died in the middle of a line
			f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = fmt.Fprintf(f, "\n7 %s", hex.EncodeToString(c.sum[:20]))
			}
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
	}
	forged := checkpoint{row: 9, sum: [32]byte{9}, sig: []byte{1, 2, 3}}
	if err := appendCheckpoint(name, &forged); err != nil {
		t.Fatal(err)
	}
	if c := lastCheckpoint(dir, 1, day, key.Public()); c.row != 3 || c.sum != [32]byte{3} {
		t.Fatalf("got %+v", c)
	}
	if c := lastCheckpoint(dir, 2, day, key.Public()); c.row != 0 {
		t.Fatalf("another node's: %+v", c)
	}
	if c := lastCheckpoint(filepath.Join(dir, "none"), 1, day, key.Public()); c.row != 0 {
		t.Fatalf("got %+v", c)
	}
}

// TestSealBinds wants a sealed body open under its own name alone.
func TestSealBinds(t *testing.T) {
	k, err := newKeyring(1, make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	s, key, err := k.newKey(20261124, 2)
	if err != nil {
		t.Fatal(err)
	}
	row := Row{Seq: 3, Day: 20261124, Pay: 3, N: 1, Kind: pay.EvReceived, Body: []byte("secret")}
	if err := s.seal(&row); err != nil {
		t.Fatal(err)
	}
	if got, err := k.open(t.Context(), 20261124, nil, &row); err != nil || string(got) != "secret" {
		t.Fatalf("got %q %v", got, err)
	}
	for name, change := range map[string]func(*Row){"day": func(r *Row) { r.Day++ }, "payment": func(r *Row) { r.Pay++ },
		"kind": func(r *Row) { r.Kind++ }, "event": func(r *Row) { r.N++ }} {
		other := row
		change(&other)
		if _, err := k.open(t.Context(), 20261124, nil, &other); err == nil {
			t.Errorf("opened as another %s", name)
		}
	}
	other, err := newKeyring(1, []byte("another 16 bytes"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.unwrap(20261124, &key); err == nil {
		t.Error("unwrapped under another key")
	}
	if _, err := k.unwrap(20261125, &key); err == nil {
		t.Error("unwrapped in another log")
	}
}

func TestOptions(t *testing.T) {
	key, err := gm.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	good := Options{Dir: "d", Node: 1, DupDays: 2, MaxPending: 1, KEK: make([]byte, 16), IndexKey: make([]byte, 16), Signer: key, Now: time.Now}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for i, spoil := range []func(*Options){func(o *Options) { o.Dir = "" }, func(o *Options) { o.DupDays = 1 }, func(o *Options) { o.MaxPending = 0 },
		func(o *Options) { o.KEK = nil }, func(o *Options) { o.IndexKey = nil }, func(o *Options) { o.Signer = nil }, func(o *Options) { o.Now = nil }} {
		o := good
		spoil(&o)
		if o.Check() == nil {
			t.Errorf("case %d passes", i)
		}
	}
}
