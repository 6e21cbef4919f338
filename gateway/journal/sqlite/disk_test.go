package sqlite

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

// smallDisk mounts a file system of a few megabytes, which takes an
// administrator.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m,mode=0700"); err != nil {
		t.Skipf("a file system of its own cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFileSystemFull fills the whole file system: log, checkpoints and all.
func TestFileSystemFull(t *testing.T) {
	dir := smallDisk(t)
	filler := filepath.Join(dir, "filler")
	trouble(t, dir, func(string) {
		f, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		for block := bytes.Repeat([]byte{1}, 4096); err == nil; {
			_, err = f.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}, func(string) {
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	})
}

// TestReadOnlyDisk has the file system turn read-only between two starts, as it
// does when the kernel finds it damaged: the journal refuses to start, says
// why, and starts when the cause is gone, with everything that was there.
func TestReadOnlyDisk(t *testing.T) {
	dir := smallDisk(t)
	o := newOptions(t, dir)
	ids := some(t, dir, o, 20)
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|flags, "size=4m"); err != nil {
			t.Fatal(err)
		}
	}
	remount(syscall.MS_RDONLY)
	if _, err := journal.Open(t.Context(), New(dir), o, today); !errors.Is(err, syscall.EROFS) {
		t.Errorf("got %v", err)
	}
	remount(0)
	j, stop := start(t, dir, o)
	defer stop()
	for _, id := range ids {
		if e, err := j.Get(t.Context(), id); err != nil || e.State != pay.Sent {
			t.Errorf("%v: %v %v", id, e.State, err)
		}
	}
	if _, seen, err := j.Begin(t.Context(), sale("after")); err != nil || seen != pay.SeenNew {
		t.Error(seen, err)
	}
}
