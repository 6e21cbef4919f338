package keyfile

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"qianzhi/protocol/secure"
)

const (
	one = "00112233445566778899AABBCCDDEEFF"
	two = "0123456789ABCDEFFEDCBA9876543210"
)

var today = time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)

func kek(t testing.TB, a, b string) KEK {
	t.Helper()
	k, err := NewKEK(a, b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// filled is a ring on disk with a key of every kind.
func filled(t *testing.T) (*Ring, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ring")
	r := NewRing(path, kek(t, one, two))
	for _, kind := range []string{"sm2", "sm4"} {
		e, err := Generate("my-"+kind, kind, today)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	e, err := Import("app", write(t, "text:5f1d9c", 0o600), today)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Add(e); err != nil {
		t.Fatal(err)
	}
	if err := r.Save(); err != nil {
		t.Fatal(err)
	}
	return r, path
}

func TestRing(t *testing.T) {
	r, path := filled(t)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Entries {
		if e := &r.Entries[i]; bytes.Contains(text, []byte(e.Text)) || bytes.Contains(text, []byte(e.Name)) {
			t.Errorf("%s can be read in the file", e.Name)
		}
	}
	again, err := OpenRing(path, kek(t, two, one))
	if err != nil {
		t.Fatal(err)
	}
	for name, has := range map[string]func(secure.Key) bool{
		"my-sm2": func(k secure.Key) bool { return k.Private != nil && k.Public != nil },
		"my-sm4": func(k secure.Key) bool { return len(k.SM4) == 16 },
		"app":    func(k secure.Key) bool { return string(k.Text) == "5f1d9c" },
	} {
		if k, err := again.Key(name, today); err != nil || !has(k) {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
	if _, err := again.Key("absent", today); err == nil {
		t.Error("a key that is not there")
	}
	if _, err := OpenRing(path, kek(t, one, one[:31]+"0")); err == nil || !strings.Contains(err.Error(), "校验值") {
		t.Errorf("wrong components: %v", err)
	}
	for i := range text {
		bad := bytes.Clone(text)
		bad[i] ^= 1
		if os.WriteFile(path, bad, 0o600) != nil {
			t.Fatal("write")
		}
		if r, err := OpenRing(path, kek(t, one, two)); err == nil && !reflect.DeepEqual(r.Entries, again.Entries) {
			t.Errorf("byte %d changed: opened with other keys", i)
		}
	}
	if os.WriteFile(path, text, 0o600) != nil || os.Chmod(path, 0o640) != nil {
		t.Fatal("write")
	}
	if _, err := OpenRing(path, kek(t, one, two)); err == nil || !strings.Contains(err.Error(), "readable by others") {
		t.Errorf("mode 640: %v", err)
	}
}

func TestRingReseal(t *testing.T) {
	r, path := filled(t)
	next := kek(t, two, strings.Repeat("5a", 16))
	r.Reseal(next)
	if err := r.Save(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRing(path, kek(t, one, two)); err == nil {
		t.Error("the old components still open it")
	}
	if _, err := OpenRing(path, next); err != nil {
		t.Error(err)
	}
}

// TestRenew: a renewed SM2 key is believed until its day, a shared secret is not.
func TestRenew(t *testing.T) {
	r, _ := filled(t)
	old, err := r.Key("my-sm2", today)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"sm2", "sm4"} {
		e, err := Generate("my-"+kind, kind, today)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Renew(e, today.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	k, err := r.Key("my-sm2", today)
	if err != nil || k.Former == nil || !k.Former.Public.Equal(old.Public) || k.Public.Equal(old.Public) {
		t.Errorf("during the overlap: %v, %v", k, err)
	}
	if k, err := r.Key("my-sm2", today.Add(time.Hour)); err != nil || k.Former != nil {
		t.Errorf("after it: %v, %v", k, err)
	}
	if k, err := r.Key("my-sm4", today); err != nil || k.Former != nil {
		t.Errorf("shared secret: %v, %v", k, err)
	}
	if n := r.Prune(today); n != 0 || len(r.Entries) != 4 {
		t.Errorf("%d pruned early", n)
	}
	if f := r.Check(today.Add(2*time.Hour), 0, nil); len(f) != 1 || f[0].Bad {
		t.Errorf("findings %v", f)
	}
	if n := r.Prune(today.Add(time.Hour)); n != 1 || len(r.Entries) != 3 {
		t.Errorf("%d pruned", n)
	}
	e, _ := Generate("my-sm2", "sm4", today)
	if err := r.Renew(e, today); err == nil {
		t.Error("renewed by a key of another kind")
	}
	if err := r.Add(e); err == nil {
		t.Error("added twice")
	}
}

func TestComponents(t *testing.T) {
	nobody := func(string) string { return "" }
	env := func(vals map[string]string) func(string) string { return func(n string) string { return vals[n] } }
	file := write(t, one+"\n", 0o600)
	want := kek(t, one, two).Check()
	for name, c := range map[string]Components{
		"files":             {Files: []string{file, write(t, two, 0o600)}, Env: nobody},
		"environment":       {Env: env(map[string]string{EnvOne: one, EnvTwo: two})},
		"file and variable": {Env: env(map[string]string{EnvOne + "_FILE": file, EnvTwo: two})},
		"people": {Env: nobody, Prompt: func(what string) (string, error) {
			return map[bool]string{true: one, false: two}[strings.Contains(what, "1")], nil
		}},
	} {
		if k, err := c.KEK(); err != nil || k.Check() != want {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
	for name, c := range map[string]Components{
		"nobody": {Env: nobody}, "one file": {Files: []string{file}, Env: nobody}, "open file": {Files: []string{file, write(t, two, 0o644)}, Env: nobody},
		"short": {Env: env(map[string]string{EnvOne: one, EnvTwo: "00"})}, "equal": {Env: env(map[string]string{EnvOne: one, EnvTwo: one})},
	} {
		if _, err := c.KEK(); err == nil || strings.Contains(err.Error(), one[:8]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if got := fmt.Sprintf(verb, kek(t, one, two)); got != "KEK "+want {
			t.Errorf("%s prints %s", verb, got)
		}
	}
	c, err := NewComponent()
	if d, _ := NewComponent(); err != nil || len(c) != 32 || c == d {
		t.Errorf("components %s and %s, %v", c, d, err)
	}
}

func TestWriteIsWholeOrNot(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := Write(name, []byte("a")); err != nil {
		t.Fatal(err)
	}
	p, err := Create(name)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(p, "half")
	p.Abandon()
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(name), "*"))
	hidden, _ := filepath.Glob(filepath.Join(filepath.Dir(name), ".q*"))
	if b, err := os.ReadFile(name); err != nil || string(b) != "a" || len(left) != 1 || len(hidden) != 0 {
		t.Errorf("%q, %v, %v %v", b, err, left, hidden)
	}
}
