package secure

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"qianzhi/protocol"
	"qianzhi/protocol/gm"
	"qianzhi/protocol/markup"
)

func jsonCodec(t testing.TB, extra string, fields ...string) protocol.Codec {
	t.Helper()
	s := &markup.Spec{Format: "json", Extra: extra}
	for _, name := range fields {
		s.Fields = append(s.Fields, markup.Field{Name: name})
	}
	c, err := markup.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestBankMessage verifies two whole messages with the signatures that a bank
// publishes for them: an agreed text is signed in the place of the signature.
func TestBankMessage(t *testing.T) {
	pub, err := gm.ParsePublicKey([]byte("046374F8947B208B3F28A2DFAEC78510F858BC1BAD37F038B95903975C9636BEB859653FB145727D02D65CD68F202ABC2FF93EECEA477B1DC81F4F650621B89E9D"))
	if err != nil {
		t.Fatal(err)
	}
	codec := jsonCodec(t, "ignore", "request.head.funcode", "signature.sigdat")
	keys := Keys{Ring: Ring{"bank": {Public: pub}}, Roles: map[string]string{"bank": "bank"}}
	for _, c := range []struct{ id, sig, want string }{
		{"N003261207000000", "CDAYcxm3jM+65XKtFNii0tKrTmEbfNdR/Q/BtuQFzm5+luEf2nAhkjYTS2ygPjodpuAkarsNqjIhCZ6+xD4WKA==", "accepted"},
		{"N003261207000000", "WHqK4u0GmYMZaquvV+ZIxVkRGCW6UOlLlX/OPgJ89rDj81fPRcN9K8+4SuvwlpXK7iVvxf7LGL8auE7ofnzEig==", "accepted"},
		{"1234567812345678", "WHqK4u0GmYMZaquvV+ZIxVkRGCW6UOlLlX/OPgJ89rDj81fPRcN9K8+4SuvwlpXK7iVvxf7LGL8auE7ofnzEig==", "auth"},
		{"N003351137000000", "CDAYcxm3jM+65XKtFNii0tKrTmEbfNdR/Q/BtuQFzm5+luEf2nAhkjYTS2ygPjodpuAkarsNqjIhCZ6+xD4WKA==", "auth"},
	} {
		auth, err := NewSignature(SignatureOptions{Signed: []string{"body"}, Field: "signature.sigdat", Blank: "__signature_sigdat__", Format: "raw", Encoding: "base64", UserID: c.id},
			codec.Layout(), keys, "bank", time.Now)
		if err != nil {
			t.Fatal(err)
		}
		f := protocol.Frame{Body: []byte(`{"request":{"body":{"TEST":"中文","TEST2":"!@#$%^&*()","TEST3":12345,"TEST4":[{"arrItem1":"qaz","arrItem2":123,"arrItem3":true,"arrItem4":"中文"}],"buscod":"N02030"},"head":{"funcode":"DCLISMOD","userid":"N003261207"}},"signature":{"sigdat":"` + c.sig + `"}}`)}
		rec := new(protocol.Record)
		if err := codec.Index(f, rec); err != nil {
			t.Fatal(err)
		}
		if got := class(auth.Verify(f, rec)); got != c.want {
			t.Errorf("user id %s: %s, want %s", c.id, got, c.want)
		}
	}
}

// signedText is what an Auth with the options signs of the fields.
func signedText(t testing.TB, o SignatureOptions, codec protocol.Codec, vals map[string]string) string {
	t.Helper()
	keys, _ := both(t)
	keys.Ring["text"], keys.Roles["text"] = Key{Text: []byte("5f1d")}, "text"
	auth, err := NewSignature(o, codec.Layout(), keys, "bank", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	rec := new(protocol.Record)
	rec.Reset(codec.Layout())
	for name, v := range vals {
		id, _ := codec.Layout().Lookup(name)
		rec.PutString(id, -1, v)
	}
	body, err := codec.Append(nil, rec)
	if err != nil {
		t.Fatal(err)
	}
	return string(auth.message(&protocol.Frame{Body: body, Head: []protocol.HeadValue{{Head: protocol.HeadPath, Val: "/pay"}}}, rec))
}

func TestWhatIsSigned(t *testing.T) {
	codec := jsonCodec(t, "", "b", "a", "C", "sign", "z")
	vals := map[string]string{"b": "2", "a": "张三", "C": "", "sign": "S", "z": "9"}
	base := SignatureOptions{Format: "raw", Encoding: "hex", UserID: "1", Field: "sign"}
	for _, c := range []struct {
		change func(o *SignatureOptions)
		want   string
	}{
		{func(o *SignatureOptions) { o.Signed = []string{"pairs"} }, "a=张三&b=2&z=9"},
		{func(o *SignatureOptions) { o.Signed, o.Pairs.Skip = []string{"pairs"}, []string{"z"} }, "a=张三&b=2"},
		{func(o *SignatureOptions) { o.Signed, o.Pairs.KeyName, o.Secret = []string{"pairs"}, "key", "text" }, "a=张三&b=2&z=9&key=5f1d"},
		{func(o *SignatureOptions) { o.Signed = []string{"body"} }, `{"b":"2","a":"张三","C":"","sign":"","z":"9"}`},
		{func(o *SignatureOptions) { o.Signed, o.Blank = []string{"body"}, "000" }, `{"b":"2","a":"张三","C":"","sign":"000","z":"9"}`},
		{func(o *SignatureOptions) { o.Signed = []string{"before"} }, `{"b":"2","a":"张三","C":"","sign":"`},
		{func(o *SignatureOptions) { o.Signed, o.Join = []string{"path", "field:b", "field:z"}, "amp" }, "/pay&2&9"},
		{func(o *SignatureOptions) { o.Signed, o.Join = []string{"field:z", "field:b"}, "none" }, "92"},
		{func(o *SignatureOptions) { o.Signed = []string{"path", "field:b"} }, "/pay\n2"},
	} {
		o := base
		c.change(&o)
		if got := signedText(t, o, codec, vals); got != c.want {
			t.Errorf("%v: signed %q, want %q", o.Signed, got, c.want)
		}
	}
}

// TestAmbiguousIsRefused: a signature of joined pairs, or of what stands before
// it, must not do for other fields.
func TestAmbiguousIsRefused(t *testing.T) {
	keys, _ := both(t)
	codec := jsonCodec(t, "", "a", "b", "sign", "z")
	for _, c := range []struct {
		signed string
		vals   []string // a, b, z
		good   bool
	}{
		{"pairs", []string{"1", "2", ""}, true}, {"pairs", []string{"x & y", "2", ""}, true}, {"pairs", []string{"1&b=2", "", ""}, false},
		{"before", []string{"1", "2", ""}, true}, {"before", []string{"1", "2", "3"}, false},
	} {
		auth, err := NewSignature(SignatureOptions{Signed: []string{c.signed}, Field: "sign", Format: "raw", Encoding: "hex", UserID: "1"}, codec.Layout(), keys, "bank", time.Now)
		if err != nil {
			t.Fatal(err)
		}
		rec := new(protocol.Record)
		rec.Reset(codec.Layout())
		for i, id := range []uint16{0, 1, 3} {
			if c.vals[i] != "" {
				rec.PutString(id, -1, c.vals[i])
			}
		}
		auth.Reserve(rec)
		body, err := codec.Append(nil, rec)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := auth.Sign(nil, &protocol.Frame{Body: body}, rec); (err == nil) != c.good {
			t.Errorf("%s of %q: %v", c.signed, c.vals, err)
		}
	}
}

func TestSignaturePlacesAreChecked(t *testing.T) {
	good := SignatureOptions{Signed: []string{"pairs"}, Field: "sign", Format: "raw", Encoding: "hex", UserID: "1", Timestamp: "ts", Nonce: "n", Window: time.Minute, Nonces: 9}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(o *SignatureOptions){
		"timestamp must be signed": func(o *SignatureOptions) { o.Pairs.Skip = []string{"ts"} },
		"nonce must be signed":     func(o *SignatureOptions) { o.Nonce = "" },
		"before needs field":       func(o *SignatureOptions) { o.Signed, o.Field = []string{"before"}, "" },
		"window and nonces":        func(o *SignatureOptions) { o.Window = 0 },
		"secret":                   func(o *SignatureOptions) { o.Pairs.KeyName = "key" },
		"only for sm2":             func(o *SignatureOptions) { o.Algorithm, o.Secret = "hmac-sm3", "x" },
		"join":                     func(o *SignatureOptions) { o.Join = "comma" },
		"clock":                    func(o *SignatureOptions) { o.Clock = "sundial" },
		"must contain":             func(o *SignatureOptions) { o.Signed = []string{"path"} },
	} {
		o := good
		change(&o)
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// modes are all ways to encrypt.
func modes() (out []CipherOptions) {
	for _, enc := range []string{"", "base64", "hex", "hex-upper"} {
		for _, to := range []CipherOptions{{Key: "session"}, {Wrap: "asn1"}, {Wrap: "c1c3c2"}, {Wrap: "c1c2c3"}, {Wrap: "bare-c1c3c2"}, {Wrap: "bare-c1c2c3"}} {
			to.Encoding = enc
			for _, o := range []CipherOptions{{Mode: "ecb"}, {Mode: "ecb", Padding: "zero"}, {Mode: "cbc"}, {Mode: "cbc", Padding: "zero", IV: "zero"},
				{Mode: "cbc", IV: "fixed", IVText: "N003261207000000"}, {Mode: "gcm"}, {Mode: "gcm", AAD: "request"}} {
				o.Key, o.Wrap, o.Encoding = to.Key, to.Wrap, to.Encoding
				out = append(out, o)
			}
		}
	}
	return out
}

// TestCiphersRoundTrip: what one end seals the other opens, in every mode; a
// changed envelope or GCM body never opens, nothing panics, and what opens at
// all with ECB and CBC is another body.
func TestCiphersRoundTrip(t *testing.T) {
	sender, receiver := both(t)
	all := modes()
	seals, opens := make([]*Cipher, len(all)), make([]*Cipher, len(all))
	for i, o := range all {
		var err error
		if seals[i], err = NewCipher(o, sender, "gateway"); err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		if opens[i], err = NewCipher(o, receiver, "gateway"); err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(all)-1).Draw(t, "mode")
		body := rapid.SliceOfN(rapid.ByteRange(1, 255), 0, 80).Draw(t, "body")
		sealed, err := seals[i].Seal([]byte("head"), &protocol.Frame{Body: body})
		if err != nil {
			t.Fatalf("%+v: %v", all[i], err)
		}
		sealed = sealed[4:]
		got, err := opens[i].Open([]byte("x"), &protocol.Frame{Body: sealed})
		if err != nil || string(got) != "x"+string(body) {
			t.Fatalf("%+v: got %x, %v", all[i], got, err)
		}
		if len(sealed) == 0 {
			return
		}
		at := rapid.IntRange(0, len(sealed)-1).Draw(t, "at")
		bad := bytes.Clone(sealed)
		bad[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		got, err = opens[i].Open(nil, &protocol.Frame{Body: bad})
		if err == nil && (all[i].Mode == "gcm" || bytes.Equal(got, body) && all[i].Padding == "") {
			t.Fatalf("%+v: opened with byte %d changed", all[i], at)
		}
		if got, err = opens[i].Open(nil, &protocol.Frame{Body: sealed[:at]}); err == nil && bytes.Equal(got, body) && len(body) > 0 && all[i].Padding == "" {
			t.Fatalf("%+v: opened when cut at %d", all[i], at)
		}
	})
}

// TestOpenSSLCiphers lets the tool decrypt what we seal and the other way round.
func TestOpenSSLCiphers(t *testing.T) {
	sender, receiver := both(t)
	key := hex.EncodeToString(bytes.Repeat([]byte{7}, 16))
	body := []byte("<msg>缴费 301.50</msg>")
	for _, c := range []struct {
		o    CipherOptions
		args []string
	}{
		{CipherOptions{Mode: "ecb", Key: "session"}, []string{"enc", "-sm4-ecb", "-K", key}},
		{CipherOptions{Mode: "cbc", Key: "session", IV: "zero"}, []string{"enc", "-sm4-cbc", "-K", key, "-iv", strings.Repeat("00", 16)}},
		{CipherOptions{Mode: "cbc", Key: "session", IV: "fixed", IVText: "N003261207000000", Encoding: "base64"},
			[]string{"enc", "-sm4-cbc", "-a", "-A", "-K", key, "-iv", hex.EncodeToString([]byte("N003261207000000"))}},
	} {
		out, err := NewCipher(c.o, sender, "gateway")
		if err != nil {
			t.Fatal(err)
		}
		in, err := NewCipher(c.o, receiver, "gateway")
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := out.Seal(nil, &protocol.Frame{Body: body})
		if err != nil {
			t.Fatal(err)
		}
		if theirs := openssl(t, body, c.args...); !bytes.Equal(theirs, sealed) {
			t.Errorf("%+v: sealed %x, the tool %x", c.o, sealed, theirs)
		}
		if got := openssl(t, sealed, append(c.args, "-d")...); !bytes.Equal(got, body) {
			t.Errorf("%+v: the tool opened %q", c.o, got)
		}
		if got, err := in.Open(nil, &protocol.Frame{Body: sealed}); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%+v: opened %q, %v", c.o, got, err)
		}
	}
}

func TestCipherOptionsAreChecked(t *testing.T) {
	keys, _ := both(t)
	for want, o := range map[string]CipherOptions{
		"mode": {Key: "session"}, "either key or wrap": {Mode: "gcm"}, "wrap: want": {Mode: "gcm", Wrap: "pgp"}, "none with gcm": {Mode: "gcm", Key: "session", Padding: "zero"},
		"only for cbc": {Mode: "gcm", Key: "session", IV: "zero"}, "iv: want": {Mode: "cbc", Key: "session", IV: "one"}, "iv_text: want": {Mode: "cbc", Key: "session", IV: "fixed", IVText: "short"},
		"iv_text: for": {Mode: "cbc", Key: "session", IVText: "N003261207000000"}, "aad": {Mode: "cbc", Key: "session", AAD: "x"}, "encoding": {Mode: "ecb", Key: "session", Encoding: "base32"},
		"not in the key list": {Mode: "ecb", Key: "master2"}, "SM4 key": {Mode: "ecb", Key: "bank"},
	} {
		keys.Roles["master2"] = "absent"
		if _, err := NewCipher(o, keys, "gateway"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", o, err, want)
		}
	}
}

func TestZeroPaddingRefusesWhatItLoses(t *testing.T) {
	keys, _ := both(t)
	c, err := NewCipher(CipherOptions{Mode: "ecb", Padding: "zero", Key: "session"}, keys, "gateway")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Seal(nil, &protocol.Frame{Body: []byte("x\x00")}); err == nil {
		t.Error("sealed a body whose end would be lost")
	}
}

// FuzzCipherOpen opens anything: no panic, and what opens with GCM was sealed.
func FuzzCipherOpen(f *testing.F) {
	sender, receiver := both(f)
	var opens []*Cipher
	for _, o := range modes() {
		c, err := NewCipher(o, receiver, "gateway")
		if err != nil {
			f.Fatal(err)
		}
		s, err := NewCipher(o, sender, "gateway")
		if err != nil {
			f.Fatal(err)
		}
		sealed, err := s.Seal(nil, &protocol.Frame{Body: []byte("pay")})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(len(opens), sealed)
		opens = append(opens, c)
	}
	f.Fuzz(func(t *testing.T, i int, sealed []byte) {
		c := opens[(i%len(opens)+len(opens))%len(opens)]
		plain, err := c.Open(nil, &protocol.Frame{Body: sealed})
		if err == nil && c.box.o.Mode == "gcm" && string(plain) != "pay" {
			t.Errorf("opened %q", plain)
		}
		if err != nil && class(err) != "auth" {
			t.Errorf("%v", err)
		}
	})
}

// TestSameTextOtherFields moves what was signed into other fields, which leaves
// the signed text as it was: the receiver refuses it.
func TestSameTextOtherFields(t *testing.T) {
	keys, _ := both(t)
	codec := jsonCodec(t, "", "a", "b", "sign", "z")
	for _, c := range []struct{ signed, from, to string }{
		{"pairs", `"a":"1","b":"2"`, `"a":"1&b=2"`},
		{"before", `"}`, `","z":"3"}`},
	} {
		auth, err := NewSignature(SignatureOptions{Signed: []string{c.signed}, Field: "sign", Format: "raw", Encoding: "hex", UserID: "1"}, codec.Layout(), keys, "bank", time.Now)
		if err != nil {
			t.Fatal(err)
		}
		rec := new(protocol.Record)
		rec.Reset(codec.Layout())
		rec.PutString(0, -1, "1")
		rec.PutString(1, -1, "2")
		auth.Reserve(rec)
		body, err := codec.Append(nil, rec)
		if err != nil {
			t.Fatal(err)
		}
		if body, err = auth.Sign(nil, &protocol.Frame{Body: body}, rec); err != nil {
			t.Fatal(err)
		}
		for text, want := range map[string]string{string(body): "accepted", strings.Replace(string(body), c.from, c.to, 1): "auth"} {
			f := protocol.Frame{Body: []byte(text)}
			if err := codec.Index(f, rec); err != nil {
				t.Fatal(err)
			}
			if got := class(auth.Verify(f, rec)); got != want {
				t.Errorf("%s: %s: %s, want %s", c.signed, text, got, want)
			}
		}
	}
}

// TestMACIsLast: a code covers the body up to its field, so nothing may stand
// behind it.
func TestMACIsLast(t *testing.T) {
	m := layoutMAC(t, "sm4-cmac", nil)
	req, rep := signOn()
	if err := m.Issue(req, rep); err != nil {
		t.Fatal(err)
	}
	l := posLayout()
	f, rec := message(l, "0200", "60120001", "", "MMMMMMMM")
	body, err := m.Sign(nil, &f, rec)
	if err != nil {
		t.Fatal(err)
	}
	f.Body = body
	if got := class(m.Verify(f, rec)); got != "accepted" {
		t.Fatal(got)
	}
	i := rec.PutString(2, -1, "301051249000001")
	rec.Span(i, len(f.Body), 15)
	f.Body = append(f.Body, "301051249000001"...)
	if got := class(m.Verify(f, rec)); got != "auth" {
		t.Errorf("a field behind the MAC: %s", got)
	}
}
