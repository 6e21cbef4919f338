package journal

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestRefusalsOutliveTheProcess writes refusals, opens the table again, and
// lets them grow old.
func TestRefusalsOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	open := func() *refused {
		t.Helper()
		r, err := openRefused(dir, 48*time.Hour, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := open()
	for token := range uint64(refusedSlots) {
		if err := r.add(token + 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.add(1 << 40); err == nil {
		t.Error("a refusal was taken that has no place")
	}
	if err := r.f.Close(); err != nil {
		t.Fatal(err)
	}
	r = open()
	if !r.has(1) || !r.has(refusedSlots) || r.has(refusedSlots+1) {
		t.Error("what was refused is not what is known")
	}
	now = now.Add(49 * time.Hour)
	if r.has(1) {
		t.Error("refused for ever")
	}
	if err := r.add(1 << 40); err != nil || !r.has(1<<40) || r.has(1) {
		t.Errorf("no room was made: %v", err)
	}
	if err := r.f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.add(7); err == nil {
		t.Error("acknowledged what was not written")
	}
	info, err := os.Stat(filepath.Join(dir, refusedFile))
	if err != nil || info.Size() != refusedSlots*refusedSize || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info, err)
	}
}
