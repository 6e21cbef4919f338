package night

import (
	"testing"
)

// TestDrill must find all that is planted and nothing else.
func TestDrill(t *testing.T) {
	score, err := NewDrill(t.TempDir(), t.Logf).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := (Score{Rows: 53, AmountCases: 11}); score != want {
		t.Errorf("got %+v, want %+v", score, want)
	}
}
