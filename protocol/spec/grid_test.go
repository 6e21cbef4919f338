package spec

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/markup"
	"qianzhi/protocol/secure"
)

// gridCase is a link with one placement of the signature and one of the
// encryption.
type gridCase struct {
	name   string
	link   *Link
	strict bool // a proof covers every byte on the wire
	folded bool // the code does not notice blocks that change places
}

func loadTest(t testing.TB, name string) *Link {
	t.Helper()
	l, err := Load("../../testdata/links/"+name+".yaml", os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// signatures are placements of the signature on a link of name=value pairs that
// has the fields timestamp, nonce and sign.
func signatures() map[string]secure.SignatureOptions {
	const id = "1234567812345678"
	fresh := func(o secure.SignatureOptions) secure.SignatureOptions {
		o.Window, o.Nonces = 5*time.Minute, 1000
		return o
	}
	inBody := func(o secure.SignatureOptions) secure.SignatureOptions {
		o.Field, o.Timestamp, o.Nonce = "sign", "timestamp", "nonce"
		return fresh(o)
	}
	return map[string]secure.SignatureOptions{
		"headers, raw, base64":      fresh(secure.SignatureOptions{Signed: []string{"timestamp", "nonce", "body"}, Format: "raw", Encoding: "base64", UserID: id}),
		"headers, DER, hex":         fresh(secure.SignatureOptions{Signed: []string{"timestamp", "nonce", "body"}, Join: "amp", Format: "der", Encoding: "hex", UserID: id, Clock: "s"}),
		"headers, HMAC":             fresh(secure.SignatureOptions{Algorithm: "hmac-sm3", Secret: "app", Signed: []string{"timestamp", "nonce", "body"}, Encoding: "hex-upper"}),
		"headers, body only":        {Signed: []string{"body"}, Format: "raw", Encoding: "hex", UserID: "N003261207000000"},
		"placeholder, raw":          inBody(secure.SignatureOptions{Signed: []string{"body"}, Blank: "__signature_sigdat__", Format: "raw", Encoding: "base64", UserID: "N003261207000000"}),
		"placeholder, DER, empty":   inBody(secure.SignatureOptions{Signed: []string{"body"}, Format: "der", Encoding: "hex-upper", UserID: id, Clock: "datetime"}),
		"before, HMAC":              inBody(secure.SignatureOptions{Algorithm: "hmac-sm3", Secret: "app", Signed: []string{"before"}, Encoding: "hex"}),
		"before, raw":               inBody(secure.SignatureOptions{Signed: []string{"before"}, Format: "raw", Encoding: "hex", UserID: id}),
		"pairs, raw":                inBody(secure.SignatureOptions{Signed: []string{"pairs"}, Format: "raw", Encoding: "base64", UserID: id}),
		"pairs with key, DER":       inBody(secure.SignatureOptions{Signed: []string{"pairs"}, Pairs: secure.PairsOptions{KeyName: "key"}, Secret: "app", Format: "der", Encoding: "base64", UserID: id}),
		"pairs, digest with key":    inBody(secure.SignatureOptions{Algorithm: "sm3", Secret: "app", Signed: []string{"pairs"}, Encoding: "hex-upper"}),
		"pairs, HMAC, no freshness": {Algorithm: "hmac-sm3", Secret: "app", Signed: []string{"pairs"}, Field: "sign", Encoding: "hex"},
	}
}

// envelopes are ways to encrypt the body.
func envelopes(t testing.TB) map[string]Envelope {
	cipher := func(o secure.CipherOptions) Envelope {
		return Envelope{Sender: "bank", Answerer: "gateway", Cipher: &o}
	}
	out := map[string]Envelope{
		"clear":                       {},
		"ECB, PKCS7":                  cipher(secure.CipherOptions{Mode: "ecb", Key: "session"}),
		"ECB, zeros, hex":             cipher(secure.CipherOptions{Mode: "ecb", Key: "session", Padding: "zero", Encoding: "hex"}),
		"CBC, PKCS7":                  cipher(secure.CipherOptions{Mode: "cbc", Key: "session", Padding: "pkcs7"}),
		"CBC, zeros, zero IV":         cipher(secure.CipherOptions{Mode: "cbc", Key: "session", Padding: "zero", IV: "zero", Encoding: "base64"}),
		"CBC, fixed IV, hex-upper":    cipher(secure.CipherOptions{Mode: "cbc", Key: "session", IV: "fixed", IVText: "0123456789ABCDEF", Encoding: "hex-upper"}),
		"GCM":                         cipher(secure.CipherOptions{Mode: "gcm", Key: "session", AAD: "305"}),
		"envelope ASN.1, GCM":         cipher(secure.CipherOptions{Mode: "gcm", Wrap: "asn1"}),
		"envelope C1C3C2, CBC":        cipher(secure.CipherOptions{Mode: "cbc", Wrap: "c1c3c2", Encoding: "base64"}),
		"envelope C1C2C3, ECB":        cipher(secure.CipherOptions{Mode: "ecb", Wrap: "c1c2c3", Encoding: "hex"}),
		"envelope bare C1C3C2, zeros": cipher(secure.CipherOptions{Mode: "cbc", Wrap: "bare-c1c3c2", Padding: "zero", IV: "zero"}),
		"envelope bare C1C2C3, GCM":   cipher(secure.CipherOptions{Mode: "gcm", Wrap: "bare-c1c2c3", Encoding: "hex-upper"}),
		"sealed":                      {Sender: "bank", Answerer: "gateway", Seal: &secure.SealOptions{Key: "session", UserID: "1234567812345678"}},
		"session":                     {Sender: "bank", Answerer: "gateway", Session: &secure.SessionOptions{Life: time.Hour, UserID: "1234567812345678", Tickets: 4}},
	}
	xml := loadTest(t, "sm-outer").Envelope
	xml.Sender, xml.Answerer = "bank", "gateway"
	out["outer XML"] = xml
	outer, spec := *xml.Outer, *xml.Outer.XML
	spec.Request.Root, spec.Reply.Root = "", ""
	for _, s := range []*markup.Spec{&spec.Request, &spec.Reply} {
		s.Fields = slices.DeleteFunc(slices.Clone(s.Fields), func(f markup.Field) bool { return f.Name == "EncKey" })
	}
	outer.XML, outer.JSON, outer.Key = nil, &spec, ""
	signature := *outer.Signature
	signature.Signed, signature.Blank = []string{"body"}, ""
	outer.Signature = &signature
	json := cipher(secure.CipherOptions{Mode: "ecb", Key: "session", Encoding: "hex"})
	json.Outer = &outer
	out["outer JSON, shared key"] = json
	return out
}

// combinations are all pairs of the two, with field-level encryption now and
// then.
func gridOf(t testing.TB) (out []gridCase) {
	t.Helper()
	add := func(name string, sig *secure.SignatureOptions, e Envelope, hidden bool) {
		l := *loadTest(t, "sm-pairs")
		l.ID = name
		l.KV = clonePair(l.KV)
		if !hidden {
			l.Auth.Hidden = nil
		}
		l.Auth.Signature, l.Envelope = sig, e
		strict := e.Seal != nil || e.Session != nil || e.Cipher != nil && e.Cipher.Mode == "gcm" && e.Outer == nil && e.Cipher.Wrap == ""
		strict = strict || e.Cipher == nil && sig != nil && slices.Contains(sig.Signed, "body")
		out = append(out, gridCase{name: name, link: &l, strict: strict})
	}
	es := envelopes(t)
	n := 0
	for _, s := range sorted(signatures()) {
		for _, e := range sorted(es) {
			sig := signatures()[s]
			add(s+"; "+e, &sig, es[e], n%3 == 0)
			n++
		}
	}
	for _, e := range []string{"sealed", "session", "outer XML"} {
		add("unsigned; "+e, nil, es[e], false)
	}
	return out
}

func clonePair(p *Pair[markup.Spec]) *Pair[markup.Spec] {
	c := *p
	c.Request.Fields, c.Reply.Fields = slices.Clone(c.Request.Fields), slices.Clone(c.Reply.Fields)
	return &c
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// sample returns a payment of the link, the n-th one.
func (c *gridCase) payment(t testing.TB, n int) (msg int, req pay.Request, rep pay.Reply) {
	t.Helper()
	bare, err := c.link.Assemble(Parts{})
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	msg = slices.IndexFunc(bare.Map.Messages, func(m protocol.Message) bool { return m.Op == pay.Pay || m.Op == pay.CardPay })
	x, err := NewExample(bare, msg)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	req, rep = x.Request, x.Reply
	req.Amount += pay.Amount(n) * 100
	return msg, req, rep
}

// TestGrid sends a payment and its answer over every gridCase, and
// sees that nothing that is to be hidden shows on the wire.
func TestGrid(t *testing.T) {
	for _, c := range gridOf(t) {
		t.Run(c.name, func(t *testing.T) {
			asking, answering := ends(t, c.link)
			msg, req, rep := c.payment(t, 0)
			rec := new(protocol.Record)
			f, _, err := Only(asking, msg).AppendRequest(&req, rec, ExampleTime())
			if err != nil {
				t.Fatal(err)
			}
			hidden := c.link.Auth.Hidden != nil || c.link.Envelope.Sender != ""
			if shows := showsIn(f.Body, req.Account); shows == hidden {
				t.Errorf("account on the wire: %v", shows)
			}
			again := *clone(f)
			asked, err := answering.ReadRequest(&f, rec, ExampleTime())
			if err != nil {
				t.Fatal(err)
			}
			if asked.Request.Account != req.Account || asked.Request.Amount != req.Amount || asked.Request.Ref.Serial != req.Ref.Serial {
				t.Errorf("got %+v\nwant %+v", asked.Request, req)
			}
			answer, err := answering.AppendReply(asked, &rep, new(protocol.Record))
			if err != nil {
				t.Fatal(err)
			}
			if err := asking.OpenReply(&answer, rec); err != nil {
				t.Fatal(err)
			}
			got, err := asking.Map.Reply(msg, &answer, rec, ExampleTime())
			if err != nil || got.Verdict != rep.Verdict {
				t.Errorf("reply: got %+v, %v", got, err)
			}
			c.replay(t, answering, again)
		})
	}
}

// replay sends the same bytes twice: with a window they are a replay.
func (c *gridCase) replay(t *testing.T, answering *protocol.Dialect, f protocol.Frame) {
	t.Helper()
	asked, err := answering.ReadRequest(&f, new(protocol.Record), ExampleTime())
	fresh := c.link.Auth.Signature != nil && c.link.Auth.Signature.Window > 0
	outer := c.link.Envelope.Outer != nil
	switch {
	case outer && classOf(err) != protocol.ClassAuth:
		t.Errorf("the outer document again: %v", err)
	case !outer && fresh && (err != nil || !asked.Replay):
		t.Errorf("the same again: %+v, %v", asked, err)
	case !outer && !fresh && (err != nil || asked.Replay):
		t.Errorf("without a window serials tell repeats: %+v, %v", asked, err)
	}
}

// classOf is the class of a located error, "" of any other.
func classOf(err error) protocol.Class {
	var e *protocol.Error
	if errors.As(err, &e) {
		return e.Class
	}
	return ""
}

func showsIn(b []byte, s string) bool { return s != "" && slices.Contains(splitWords(b), s) }

// splitWords cuts a body at what is no letter or digit.
func splitWords(b []byte) (words []string) {
	word := []byte{}
	for _, c := range append(slices.Clone(b), '&') {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			word = append(word, c)
			continue
		}
		words, word = append(words, string(word)), word[:0]
	}
	return words
}

// TestPointsOffTheCurve opens digital envelopes whose first point was moved off
// the curve: whether decryption works must tell nothing about the key, so all
// are refused, and in the words in which any other envelope is.
func TestPointsOffTheCurve(t *testing.T) {
	tried := 0
	for _, c := range gridOf(t) {
		e := c.link.Envelope
		if e.Cipher == nil || e.Outer != nil || e.Cipher.Wrap == "" || e.Cipher.Wrap == "asn1" {
			continue
		}
		asking, answering := ends(t, c.link)
		msg, req, _ := c.payment(t, 0)
		f, _, err := Only(asking, msg).AppendRequest(&req, new(protocol.Record), ExampleTime())
		if err != nil {
			t.Fatal(err)
		}
		encode, decode := textOf(e.Cipher.Encoding)
		front := 1 // the 04
		if strings.HasPrefix(e.Cipher.Wrap, "bare") {
			front = 0
		}
		refusals := map[string]bool{}
		for at := range 65 {
			wire := decode(f.Body)
			if at == 64 { // no point at all: the same refusal
				copy(wire, make([]byte, 65))
			} else {
				wire[at+front] ^= 1 << (at % 8)
			}
			bad := protocol.Frame{Head: slices.Clone(f.Head), Body: encode(wire)}
			_, err := answering.ReadRequest(&bad, new(protocol.Record), ExampleTime())
			if classOf(err) != protocol.ClassAuth {
				t.Errorf("%s: byte %d of the point: %v", c.name, at, err)
				continue
			}
			refusals[err.Error()] = true
			tried++
		}
		if len(refusals) != 1 {
			t.Errorf("%s: refusals differ: %v", c.name, sorted(refusals))
		}
	}
	if tried < 1000 {
		t.Errorf("only %d points", tried)
	}
}

// textOf writes and reads bytes as the encoding of a cipher does.
func textOf(encoding string) (encode, decode func([]byte) []byte) {
	switch encoding {
	case "base64":
		return func(b []byte) []byte { return base64.StdEncoding.AppendEncode(nil, b) },
			func(b []byte) []byte { b, _ = base64.StdEncoding.AppendDecode(nil, b); return b }
	case "hex", "hex-upper":
		return func(b []byte) []byte {
				out := hex.AppendEncode(nil, b)
				if encoding == "hex-upper" {
					out = bytes.ToUpper(out)
				}
				return out
			},
			func(b []byte) []byte { b, _ = hex.AppendDecode(nil, b); return b }
	}
	return slices.Clone[[]byte], slices.Clone[[]byte]
}

// TestGridIsWide guards the grid itself.
func TestGridIsWide(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range gridOf(t) {
		if seen[c.name] || reflect.DeepEqual(c.link.Envelope, Envelope{}) && c.link.Auth.Signature == nil {
			t.Errorf("%s: twice, or proves nothing", c.name)
		}
		seen[c.name] = true
	}
	if len(seen) < 150 {
		t.Errorf("%d combinations", len(seen))
	}
}

// TestProofsThatCannotWork refuses links whose proof the layout cannot hold.
func TestProofsThatCannotWork(t *testing.T) {
	der := secure.SignatureOptions{Signed: []string{"body"}, Field: "64", Format: "der", Encoding: "hex", UserID: "1"}
	for name, c := range map[string]struct {
		link, want string
		change     func(*Link)
	}{
		"DER in a field with a length": {"pos-des", "auth.signature.format", func(l *Link) { l.Auth = Auth{Sender: "a", Answerer: "b", Signature: &der} }},
		"signature and MAC":            {"pos-des", "not both", func(l *Link) { l.Auth.Signature = &der }},
		"two envelopes":                {"sm-outer", "one of seal, session and cipher", func(l *Link) { l.Envelope.Seal = &secure.SealOptions{Key: "k", UserID: "1"} }},
		"outer without cipher":         {"sm-outer", "outer needs cipher", func(l *Link) { l.Envelope.Cipher = nil }},
		"nobody signs":                 {"sm-pairs", "sender and answerer", func(l *Link) { l.Auth.Sender = "" }},
		"nobody seals":                 {"sm-session", "sender and answerer", func(l *Link) { l.Envelope.Answerer = "" }},
		"two outer documents":          {"sm-outer", "exactly one of json, xml, kv", func(l *Link) { l.Envelope.Outer.JSON = l.Envelope.Outer.XML }},
	} {
		l := loadTest(t, c.link)
		c.change(l)
		if err := l.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
