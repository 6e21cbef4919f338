package keyfile

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLargeRing opens a ring longer than any key file may be, and refuses a key
// file that is too long instead of reading its beginning.
func TestLargeRing(t *testing.T) {
	kek, err := NewKEK(strings.Repeat("1", 32), strings.Repeat("2", 32))
	if err != nil {
		t.Fatal(err)
	}
	r := NewRing(filepath.Join(t.TempDir(), "ring"), kek)
	const n = 1000
	for i := range n {
		if err := r.Add(Entry{Name: fmt.Sprint("k", i), Kind: "text", Text: strings.Repeat("x", 200), Made: time.Unix(0, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Save(); err != nil {
		t.Fatal(err)
	}
	if again, err := OpenRing(r.path, kek); err != nil || len(again.Entries) != n {
		t.Errorf("%v", err)
	}
	r.Entries[0].Text = strings.Repeat("x", maxRing)
	if err := r.Save(); err == nil {
		t.Error("a ring was written that cannot be read")
	}
	if _, err := OpenRing(r.path, kek); err != nil {
		t.Errorf("the ring that was there is gone: %v", err)
	}
	long := write(t, "text:"+strings.Repeat("x", maxSize), 0o600)
	if _, err := Read(long); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v", err)
	}
}
