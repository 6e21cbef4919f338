package secure

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"qianzhi/gateway/pay"
)

// layouts are the forms in which field 62 hands out keys, with their length.
var layouts = []struct {
	name, algorithm string
	keys            []WorkKey
	size            int
}{
	{"24: single-length PIK and MAK", "cup-ecb", []WorkKey{{Key: "pik", Bytes: 8}, {Key: "mak", Bytes: 8}}, 24},
	{"40: double-length PIK, single-length MAK in the room of a double one", "cup-ecb", []WorkKey{{Key: "pik"}, {Key: "mak", Bytes: 8, Room: 16}}, 40},
	{"40: double-length PIK and MAK", "x9.19", nil, 40},
	{"56: keys in rooms of 24 bytes", "x9.9", []WorkKey{{Key: "pik", Room: 24}, {Key: "mak", Bytes: 8, Room: 24}}, 56},
	{"60: and a track key", "cup-ecb", []WorkKey{{Key: "pik"}, {Key: "mak", Bytes: 8, Room: 16}, {Key: "tdk"}}, 60},
	{"84: three triple-length keys", "x9.9", []WorkKey{{Key: "pik", Bytes: 24}, {Key: "mak", Bytes: 24}, {Key: "tdk", Bytes: 24}}, 84},
	{"48: check values of one DES block", "x9.19", []WorkKey{{Key: "pik", Check: 8}, {Key: "mak", Check: 8}}, 48},
	{"SM4, 40", "sm4-cup", nil, 40},
	{"SM4, 60", "sm4-cmac", []WorkKey{{Key: "pik"}, {Key: "mak"}, {Key: "tdk"}}, 60},
	{"SM4, 96: whole check values, MAC key first", "sm4-cbc", []WorkKey{{Key: "mak", Check: 16}, {Key: "pik", Check: 16}, {Key: "tdk", Check: 16}}, 96},
	{"HMAC, MAC key only", "hmac-sm3", []WorkKey{{Key: "mak"}}, 20},
}

func signOn() (*pay.Request, *pay.Reply) {
	rep := pay.Answer(pay.Approved, pay.CodeOK)
	return &pay.Request{Op: pay.SignOn, More: []pay.Field{{ID: pay.FTerminal, Val: "60120001"}}}, &rep
}

func layoutMAC(t testing.TB, algorithm string, keys []WorkKey) *MAC {
	t.Helper()
	ring, _ := both(t)
	m, err := NewMAC(MACOptions{Field: "64", Algorithm: algorithm, Terminal: []string{"41"}, Type: "MTI", Master: "master", Keys: keys},
		posLayout(), ring, NewSessions(2))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestKeyLayouts hands keys out and takes them in every layout: both ends get
// the same MAC, PIN and track keys, and one changed bit anywhere is refused and
// changes nothing.
func TestKeyLayouts(t *testing.T) {
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			center, terminal := layoutMAC(t, l.algorithm, l.keys), layoutMAC(t, l.algorithm, l.keys)
			req, rep := signOn()
			if err := center.Issue(req, rep); err != nil {
				t.Fatal(err)
			}
			good := rep.More[0].Val
			if len(good) != l.size {
				t.Fatalf("%d bytes, want %d", len(good), l.size)
			}
			if err := terminal.Accept(req, rep); err != nil {
				t.Fatal(err)
			}
			name := center.terminalOf(req)
			a, _ := center.sessions.get(name)
			b, _ := terminal.sessions.get(name)
			if a.now([]byte("x")) != b.now([]byte("x")) || a.pik != b.pik || a.tdk != b.tdk {
				t.Error("the ends hold different keys")
			}
			if got := a.tdk.Bytes != ""; got != (len(l.keys) == 3) {
				t.Errorf("track key: %v", got)
			}
			for i := range len(good) {
				rep.More[0].Val = good[:i] + string([]byte{good[i] ^ 0x80}) + good[i+1:]
				if err := terminal.Accept(req, rep); err == nil {
					t.Errorf("byte %d changed: accepted", i)
				}
				rep.More[0].Val = good[:i]
				if err := terminal.Accept(req, rep); err == nil {
					t.Errorf("cut at %d: accepted", i)
				}
			}
			if after, _ := terminal.sessions.get(name); after.pik != b.pik || after.before != nil {
				t.Error("a refused delivery changed the session")
			}
		})
	}
}

// TestPublishedKeys opens keys whose clear value or check value is published.
func TestPublishedKeys(t *testing.T) {
	for _, c := range []struct {
		name   string
		des    bool
		master string
		key    WorkKey
		wire   string
	}{
		{"SM4 PIN key with a check value of 8 bytes", false, "1234567890ABCDEFABCDEF0987654321", WorkKey{Key: "pik", Check: 8}, "3D66234C49E4296FF9C78D8BACBD6A76 861E83E31FAEBF10"},
	} {
		block, err := blockOf(c.des, unhex(t, c.master))
		if err != nil {
			t.Fatal(err)
		}
		c.key.defaults()
		chest := keyChest{layout: keyLayout{c.key}, des: c.des, master: block}
		s, err := chest.accept(unhex(t, c.wire))
		if err != nil || len(s.pik.Bytes) != 16 {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// 3DES master key, DES MAC key: the clear key is in the source.
	block, err := blockOf(true, unhex(t, "70F2A84CCBC2AE8625CBB0F2C22AB923"))
	if err != nil {
		t.Fatal(err)
	}
	clear := make([]byte, 8)
	each(block, block.Decrypt, clear, unhex(t, "96D605EA176B7E9E"))
	if got := fmt.Sprintf("%X", clear); got != "C24A8FB57AA20123" {
		t.Errorf("got %s", got)
	}
	mak, err := blockOf(true, unhex(t, "DAB36167E6DFB5EF"))
	if got := fmt.Sprintf("%X", checkValue(mak, 4)); err != nil || got != "B8F616DC" {
		t.Errorf("check value: got %s, %v", got, err)
	}
}

func TestKeyLayoutsAreChecked(t *testing.T) {
	for want, keys := range map[string][]WorkKey{
		"mak is missing": {{Key: "pik"}}, "stands twice": {{Key: "mak"}, {Key: "mak"}}, "want pik, mak or tdk": {{Key: "mak"}, {Key: "zmk"}},
		"bytes: want 16": {{Key: "mak", Bytes: 8}}, "room: want 16": {{Key: "mak", Room: 8}}, "check: want 2": {{Key: "mak", Check: 17}},
	} {
		if _, err := newKeyLayout(keys, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", keys, err, want)
		}
	}
}

// TestAcceptTakesAnything feeds a terminal bytes that nobody issued.
func TestAcceptTakesAnything(t *testing.T) {
	m := layoutMAC(t, "cup-ecb", layouts[1].keys)
	rapid.Check(t, func(t *rapid.T) {
		req, rep := signOn()
		rep.More = []pay.Field{{ID: pay.FWorkKeys, Val: string(rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "keys"))}}
		if err := m.Accept(req, rep); err == nil {
			t.Fatal("accepted")
		}
	})
}

// TestKeysAreNotPrinted formats what holds keys in every way.
func TestKeysAreNotPrinted(t *testing.T) {
	w := WrappedKey{Master: "m", Bytes: "0123456789ABCDEF"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		if got := fmt.Sprintf(verb, w); strings.Contains(strings.ToUpper(got), "0123") || strings.Contains(got, "3031") {
			t.Errorf("%s: %s", verb, got)
		}
		if got := fmt.Sprintf(verb, struct{ K WrappedKey }{w}); strings.Contains(strings.ToUpper(got), "0123") || strings.Contains(got, "3031") {
			t.Errorf("%s in a struct: %s", verb, got)
		}
	}
}
