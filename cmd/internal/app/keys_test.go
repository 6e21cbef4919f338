package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qianzhi/cmd/internal/keyfile"
	"qianzhi/conf"
)

// TestKeysFromRing reads keys from files and from a sealed ring whose components
// come from the environment.
func TestKeysFromRing(t *testing.T) {
	dir := t.TempDir()
	one, two := "00112233445566778899AABBCCDDEEFF", "0123456789ABCDEFFEDCBA9876543210"
	kek, err := keyfile.NewKEK(one, two)
	if err != nil {
		t.Fatal(err)
	}
	ring := keyfile.NewRing(filepath.Join(dir, "keys.ring"), kek)
	for _, kind := range []string{"sm2", "sm4"} {
		e, err := keyfile.Generate("the-"+kind, kind, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := ring.Save(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "app"), []byte("text:5f1d"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := func(keys string) *Config {
		t.Helper()
		f, err := conf.Parse(filepath.Join(dir, "qianzhi.yaml"), []byte("keys:\n"+keys))
		if err != nil {
			t.Fatal(err)
		}
		c := &Config{file: f}
		if err := f.Section("keys", &c.Keys); err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Setenv(keyfile.EnvOne, one)
	t.Setenv(keyfile.EnvTwo, two)
	good := config("  - {name: gateway, ring: keys.ring, entry: the-sm2}\n  - {name: the-sm4, ring: keys.ring}\n  - {name: app, text: app}\n")
	keys, err := good.ring()
	if err != nil || keys["gateway"].Private == nil || len(keys["the-sm4"].SM4) != 16 || string(keys["app"].Text) != "5f1d" {
		t.Errorf("got %v, %v", keys, err)
	}
	if some, err := good.KeysNamed("app"); err != nil || len(some) != 1 {
		t.Errorf("got %v, %v", some, err)
	}
	if _, err := good.KeysNamed("absent"); err == nil {
		t.Error("a key that is not there")
	}
	for keys, want := range map[string]string{
		"  - {name: a, ring: keys.ring}":               `qianzhi.yaml:2: keys[0]: ` + filepath.Join(dir, "keys.ring") + `: 没有密钥 "a"`,
		"  - {name: a, ring: keys.ring, sm4: x}":       "exactly one",
		"  - {name: a, entry: x, sm4: x}":              "exactly one",
		"  - {name: a, sm4: app}":                      "another kind",
		"  - {name: a, ring: absent.ring, entry: the}": "no such file",
	} {
		if _, err := config(keys).ring(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", keys, err, want)
		}
	}
	t.Setenv(keyfile.EnvTwo, one[:31]+"0")
	if _, err := good.ring(); err == nil || !strings.Contains(err.Error(), "密钥分量不对") {
		t.Errorf("wrong components: %v", err)
	}
}
