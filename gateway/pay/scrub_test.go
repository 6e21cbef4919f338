package pay

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestScrub(t *testing.T) {
	for in, want := range map[string]string{
		"":                                            "",
		"no digits, 8 or 16 bytes":                    "no digits, 8 or 16 bytes",
		"first=20261125010000000014":                  "first=20261125010000000014",
		"card 6225000000000014 refused":               "card 622500******0014 refused",
		"got bytes 6225000000000014D2912":             "got bytes 622500******0014D***",
		"6225000000000014=29125200000000000000":       "622500******0014=***",
		"peer=127.0.0.1:47436 bytes=71":               "peer=127.0.0.1:47436 bytes=71",
		"id 11010519491231002X, tel 13800138000":      "id **************002X, tel *******8000",
		"id 440524188001010014":                       "id **************0014",
		"account 0512007623":                          "account 0512007623",
		"head 30303030343939393930303030303030303030": "head 303030********************************3030",
	} {
		got := Scrub(in)
		if in[:min(4, len(in))] == "head" { // the middle is long; what counts is that it is hidden
			if strings.Contains(got, "343939") || !strings.HasPrefix(got, "head 303030*") {
				t.Errorf("%q: %q", in, got)
			}
			continue
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestScrubHidesEveryCard puts card numbers anywhere into a text.
func TestScrubHidesEveryCard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pan := rapid.StringMatching(`[1-9][0-9]{12,18}`).Draw(t, "digits")
		before, after := rapid.StringMatching(`[^0-9]{0,9}`).Draw(t, "before"), rapid.StringMatching(`[^0-9xX]{0,9}`).Draw(t, "after")
		got := Scrub(before + pan + after)
		if strings.Contains(got, pan) {
			t.Fatalf("%q is shown in %q", pan, got)
		}
		if again := Scrub(got); strings.Contains(again, pan) || len(again) > len(got) {
			t.Fatalf("%q became %q", got, again)
		}
	})
}

func FuzzScrub(f *testing.F) {
	f.Add("6225000000000014=2912")
	f.Add("11010519491231002X")
	f.Fuzz(func(t *testing.T, s string) {
		for i, run := range strings.FieldsFunc(Scrub(s), func(r rune) bool { return r < '0' || r > '9' }) {
			if n := len(run); n >= 13 && !(n == 20 && dated(run)) {
				t.Fatalf("run %d is shown: %q", i, run)
			}
		}
	})
}
