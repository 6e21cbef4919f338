package keyfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"qianzhi/protocol/gm"
)

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestKinds(t *testing.T) {
	k, err := gm.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	priv, err := gm.MarshalPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := gm.MarshalPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text      string
		private, public bool
		sm4             int
		mode            os.FileMode
		wrong, hidden   string
	}{
		{name: "private", text: string(priv), mode: 0o600, private: true, public: true},
		{name: "public", text: string(pub), mode: 0o644, public: true},
		{name: "sm4", text: strings.Repeat("0a", 16) + "\n", mode: 0o400, sm4: 16},
		{name: "open private", text: string(priv), mode: 0o640, wrong: "readable by others (mode 640)"},
		{name: "open sm4", text: strings.Repeat("0a", 16), mode: 0o604, wrong: "readable by others (mode 604)"},
		{name: "not hex", text: strings.Repeat("zz", 16), mode: 0o600, wrong: "32 hex digits", hidden: "zz"},
		{name: "password", text: "correct horse battery", mode: 0o600, wrong: "32 hex digits", hidden: "horse"},
		{name: "empty", mode: 0o600, wrong: "32 hex digits"},
		{name: "other PEM", text: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----", mode: 0o600, wrong: "not a certificate"},
		{name: "open text", text: "text:secret", mode: 0o644, wrong: "readable by others", hidden: "secret"},
		{name: "no text", text: "text:", mode: 0o600, wrong: "32 hex digits"},
	} {
		key, err := Read(write(t, c.text, c.mode))
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) || c.hidden != "" && strings.Contains(err.Error(), c.hidden) {
				t.Errorf("%s: got %v, want it to say %q and not %q", c.name, err, c.wrong, c.hidden)
			}
			continue
		}
		if err != nil || (key.Private != nil) != c.private || (key.Public != nil) != c.public || len(key.SM4) != c.sm4 {
			t.Errorf("%s: got %+v, %v", c.name, key, err)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "absent")); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
}
