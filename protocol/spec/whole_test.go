package spec

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/gm"
	"qianzhi/protocol/secure"
)

// links loads every link that ships and those of the tests that are complete.
func links(t *testing.T) []*Link {
	t.Helper()
	names, err := fs.Glob(conf.Files, "links/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out []*Link
	for _, name := range names {
		l, err := Load(name, conf.Files.ReadFile)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	names, err = filepath.Glob("../../testdata/links/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if l, err := Load(name, os.ReadFile); err == nil {
			out = append(out, l)
		} else if !strings.Contains(name, "iso8583") { // tables for codec tests, no links
			t.Error(err)
		}
	}
	return out
}

// ends assembles both ends of a link with fresh keys.
func ends(t *testing.T, l *Link) (asking, answering *protocol.Dialect) {
	t.Helper()
	keys := secure.Keys{Ring: secure.Ring{}, Roles: map[string]string{}}
	for _, role := range []string{l.Auth.Sender, l.Auth.Answerer, l.Envelope.Sender, l.Envelope.Answerer} {
		if _, ok := keys.Ring[role]; ok || role == "" {
			continue
		}
		key, err := gm.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		keys.Ring[role], keys.Roles[role] = secure.Key{Private: key, Public: key.Public()}, role
	}
	for _, role := range shared(l) {
		keys.Ring[role], keys.Roles[role] = secure.Key{SM4: []byte("0123456789ABCDEF")}, role
	}
	var d [2]*protocol.Dialect
	for i := range d {
		var err error
		if d[i], err = l.Assemble(Parts{Keys: keys, Sessions: secure.NewSessions(4), Now: ExampleTime}); err != nil {
			t.Fatal(err)
		}
	}
	return d[0], d[1]
}

// shared returns the roles of secrets that both ends have.
func shared(l *Link) (roles []string) {
	if l.Auth.MAC != nil {
		roles = append(roles, l.Auth.MAC.Master)
	}
	if l.Auth.Signature != nil && l.Auth.Signature.Secret != "" {
		roles = append(roles, l.Auth.Signature.Secret)
	}
	if l.Auth.Hidden != nil {
		roles = append(roles, l.Auth.Hidden.Cipher.Key)
	}
	if l.Envelope.Seal != nil {
		roles = append(roles, l.Envelope.Seal.Key)
	}
	if l.Envelope.Cipher != nil && l.Envelope.Cipher.Key != "" {
		roles = append(roles, l.Envelope.Cipher.Key)
	}
	return roles
}

// TestEveryMessageBothWays sends an example of every message of every link
// from one end to the other and back, through framing, envelope, proof, codec
// and mapping, and compares the business messages.
func TestEveryMessageBothWays(t *testing.T) {
	for _, l := range links(t) {
		t.Run(l.ID, func(t *testing.T) {
			asking, answering := ends(t, l)
			bare, err := l.Assemble(Parts{})
			if err != nil {
				t.Fatal(err)
			}
			for i := range bare.Map.Messages {
				x, err := NewExample(bare, i)
				if err != nil {
					t.Error(err)
					continue
				}
				w := whole{t: t, name: bare.Map.Messages[i].Name, msg: i, asking: asking, answering: answering, now: ExampleTime()}
				w.exchange(x)
			}
		})
	}
}

type whole struct {
	t                 *testing.T
	name              string
	msg               int
	asking, answering *protocol.Dialect
	now               time.Time
}

func (w *whole) exchange(x *Example) {
	rec := new(protocol.Record)
	f, _, err := Only(w.asking, w.msg).AppendRequest(&x.Request, rec, w.now)
	if err != nil {
		w.t.Errorf("%s: AppendRequest: %v", w.name, err)
		return
	}
	f = w.framed(&w.asking.Request, &w.answering.Request, f)
	asked, err := w.answering.ReadRequest(&f, rec, w.now)
	if err != nil {
		w.t.Errorf("%s: ReadRequest: %v", w.name, err)
		return
	}
	if asked.Message != w.msg {
		w.t.Errorf("%s: read as %s", w.name, w.answering.Map.Messages[asked.Message].Name)
		return
	}
	w.sameRequest(&x.Request, asked.Request)
	approved := x.Reply
	if issuer, ok := w.answering.Request.Auth.(protocol.Issuer); ok && x.Request.Op == pay.SignOn {
		if err := issuer.Issue(asked.Request, &approved); err != nil {
			w.t.Fatal(err)
		}
	}
	declined, unknown := pay.Answer(pay.Declined, pay.CodeNotAccepted), pay.Answer(pay.Unknown, pay.CodeUnknown)
	for _, rep := range []*pay.Reply{&approved, &declined, &unknown} {
		w.reply(asked, rep)
	}
}

func (w *whole) reply(asked *protocol.Asked, want *pay.Reply) {
	rec := new(protocol.Record)
	f, err := w.answering.AppendReply(asked, want, rec)
	if err != nil {
		w.t.Errorf("%s: %s: AppendReply: %v", w.name, want.Verdict, err)
		return
	}
	f = w.framed(&w.answering.Reply, &w.asking.Reply, f)
	if err := w.asking.OpenReply(&f, rec); err != nil {
		w.t.Errorf("%s: %s: OpenReply: %v", w.name, want.Verdict, err)
		return
	}
	got, err := w.asking.Map.Reply(w.msg, &f, rec, w.now)
	if err != nil {
		w.t.Errorf("%s: %s: Reply: %v", w.name, want.Verdict, err)
		return
	}
	if a, ok := w.asking.Request.Auth.(interface {
		Accept(*pay.Request, *pay.Reply) error
	}); ok && asked.Request.Op == pay.SignOn && got.Verdict == pay.Approved {
		if err := a.Accept(asked.Request, &got); err != nil {
			w.t.Errorf("%s: Accept: %v", w.name, err)
		}
	}
	w.sameReply(want, &got)
}

// framed writes the frame to a stream and cuts it out again.
func (w *whole) framed(from, to *protocol.Side, f protocol.Frame) protocol.Frame {
	stream, err := from.Framer.Append(nil, f)
	if err != nil {
		w.t.Errorf("%s: framing: %v", w.name, err)
		return f
	}
	in, n, err := to.Framer.Next(stream)
	if err != nil || n != len(stream) {
		w.t.Errorf("%s: %d of %d bytes cut: %v", w.name, n, len(stream), err)
		return f
	}
	for _, h := range f.Head { // HTTP carries them beside the body
		if in.Get(h.Head) == "" {
			in.Set(h.Head, h.Val)
		}
	}
	return in
}

func (w *whole) sameRequest(want, got *pay.Request) {
	if got.Op != want.Op || got.Account != want.Account || got.Amount != want.Amount || got.Ref.Serial != want.Ref.Serial || got.Day != want.Day {
		w.t.Errorf("%s: got %+v\nwant %+v", w.name, got, want)
	}
	if (got.Original == nil) != (want.Original == nil) || got.Original != nil && got.Original.Serial != want.Original.Serial {
		w.t.Errorf("%s: original: got %+v, want %+v", w.name, got.Original, want.Original)
	}
	w.sameBills(w.answering.Map.Messages[w.msg].Request.Bills, want.Bills, got.Bills)
	for _, f := range want.More {
		inKey := f.ID == pay.FOriginalDate || f.ID == pay.FOriginalBatch // they are a part of the original's key
		if val := pay.Find(got.More, f.ID); val != f.Val && !inKey {
			w.t.Errorf("%s: %s: got %q, want %q", w.name, f.ID, val, f.Val)
		}
	}
}

func (w *whole) sameReply(want, got *pay.Reply) {
	if got.Verdict != want.Verdict {
		w.t.Errorf("%s: got %s/%s, want %s/%s", w.name, got.Verdict, got.Code, want.Verdict, want.Code)
	}
	if want.Verdict != pay.Approved {
		return
	}
	if got.Amount != want.Amount && want.Amount != 0 || got.Serial != want.Serial {
		w.t.Errorf("%s: got %+v\nwant %+v", w.name, got, want)
	}
	w.sameBills(w.asking.Map.Messages[w.msg].Reply.Bills, want.Bills, got.Bills)
	for _, f := range want.More {
		if val := pay.Find(got.More, f.ID); val != f.Val && !slices.Contains([]pay.FieldID{pay.FBiller, pay.FAccount, pay.FSerial, pay.FSenderDate,
			pay.FOriginalSerial}, f.ID) {
			w.t.Errorf("%s: %s: got %q, want %q", w.name, f.ID, val, f.Val)
		}
	}
}

// sameBills compares what of the bills the link maps.
func (w *whole) sameBills(l *protocol.Loop, want, got []pay.Bill) {
	if l == nil {
		return
	}
	mapped := map[pay.FieldID]bool{}
	for _, mv := range l.Moves {
		mapped[mv.Field] = true
	}
	seen := slices.Clone(want)
	for i := range seen {
		b := &seen[i]
		if !mapped[pay.FBillMonth] {
			b.Month = ""
		}
		if !mapped[pay.FBillCard] {
			b.Card = ""
		}
		for id, a := range map[pay.FieldID]*pay.Amount{pay.FBillAmount: &b.Amount, pay.FBillPrincipal: &b.Principal, pay.FBillPenalty: &b.Penalty} {
			if !mapped[id] {
				*a = 0
			}
		}
	}
	if !reflect.DeepEqual(seen, got) {
		w.t.Errorf("%s: bills: got %+v, want %+v", w.name, got, seen)
	}
}
