package spec

import (
	"bytes"
	"encoding/asn1"
	"math/big"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// mutantsWanted is how many hostile messages TestMutants sends, over all links.
// SM2 makes one cost some 70 µs, several times that with the race detector.
const mutantsWanted = 120_000 / raceFactor

// combination is a link whose messages are proved or sealed, with a name for
// how.
type combination struct {
	name string
	link *Link
}

// combinations are all links that prove or seal, the terminals' link with every
// MAC, and the grid of signatures and envelopes.
func combinations(t *testing.T) (out []combination) {
	for _, l := range links(t) {
		if l.Auth.Signature != nil || l.Auth.MAC != nil || l.Envelope.Seal != nil || l.Envelope.Session != nil || l.Envelope.Cipher != nil {
			out = append(out, combination{l.ID, l})
		}
		if l.ID != "pos-cup" {
			continue
		}
		for _, algorithm := range []string{"x9.9", "x9.19", "xor-x9.19", "sm4-cbc", "sm4-cmac", "hmac-sm3"} {
			own, mac := *l, *l.Auth.MAC
			mac.Algorithm = algorithm
			own.Auth.MAC = &mac
			out = append(out, combination{l.ID + " " + algorithm, &own})
		}
	}
	for i, c := range gridOf(t) {
		if i%raceFactor == 0 {
			out = append(out, combination{c.name, c.link})
		}
	}
	return out
}

// sample is an authentic request.
type sample struct {
	frame protocol.Frame
	means pay.Request
}

// samples writes every request of the link that carries a proof, and returns
// the replies as well.
func hostileSamples(t *testing.T, l *Link, asking, answering *protocol.Dialect) (requests []sample, replies []protocol.Frame) {
	bare, err := l.Assemble(Parts{})
	if err != nil {
		t.Fatal(err)
	}
	for _, signOn := range []bool{true, false} { // keys first
		for i := range bare.Map.Messages {
			x, err := NewExample(bare, i)
			if err != nil {
				t.Fatal(err)
			}
			if (x.Request.Op == pay.SignOn) != signOn {
				continue
			}
			w := whole{t: t, name: bare.Map.Messages[i].Name, msg: i, asking: asking, answering: answering, now: ExampleTime()}
			w.exchange(x)
			rec := new(protocol.Record)
			f, _, err := Only(asking, i).AppendRequest(&x.Request, rec, w.now)
			if err != nil {
				t.Fatal(err)
			}
			asked, err := answering.ReadRequest(clone(f), rec, w.now)
			if err != nil {
				t.Fatal(err)
			}
			if exempt(l, rec) {
				continue
			}
			reply, err := answering.AppendReply(asked, &x.Reply, new(protocol.Record))
			if err != nil {
				t.Fatal(err)
			}
			requests, replies = append(requests, sample{f, *asked.Request}), append(replies, reply)
		}
	}
	return requests, replies
}

// exempt reports whether the link lets messages of this type go without proof.
func exempt(l *Link, rec *protocol.Record) bool {
	if l.Auth.MAC == nil {
		return false
	}
	id, _ := rec.Layout().Lookup(l.Auth.MAC.Type)
	v, _ := rec.Get(id)
	return slices.Contains(l.Auth.MAC.Without, string(v))
}

func clone(f protocol.Frame) *protocol.Frame {
	return &protocol.Frame{Head: slices.Clone(f.Head), Body: bytes.Clone(f.Body)}
}

// TestMutants sends forged, truncated, replayed, re-ordered and spliced
// messages at every combination of proof and envelope. None may be taken for
// another message than the one it was made from, and none may panic. Two
// writings of one and the same message are no forgery.
func TestMutants(t *testing.T) {
	all := combinations(t)
	total, other := 0, 0
	for i, c := range all {
		asking, answering := ends(t, c.link)
		requests, replies := hostileSamples(t, c.link, asking, answering)
		if len(requests) == 0 {
			t.Errorf("%s: no message carries a proof", c.name)
			continue
		}
		m := mutator{rng: rand.New(rand.NewPCG(20261125, uint64(i))), requests: requests, replies: replies}
		forged := 0
		for range mutantsWanted / len(all) {
			f, from, how := m.next()
			rec := new(protocol.Record)
			asked, err := answering.ReadRequest(clone(f), rec, ExampleTime())
			total++
			if err != nil || exempt(c.link, rec) {
				continue
			}
			same := func(s sample) bool { return reflect.DeepEqual(s.means, *asked.Request) }
			if from >= 0 && same(requests[from]) || slices.ContainsFunc(requests, same) {
				other++
				continue
			}
			if forged++; forged < 4 {
				t.Errorf("%s: %s: taken for %+v\n%q", c.name, how, asked.Request, f.Body)
			}
		}
	}
	t.Logf("%d hostile messages at %d combinations; %d were another writing of an authentic one", total, len(all), other)
	if total < mutantsWanted-len(all) || other > total/10 {
		t.Errorf("%d messages, %d of them authentic: the test tests little", total, other)
	}
}

// TestRepliesAreProvedToo sends mutants of replies, and requests in the place of
// replies, to the asking end.
func TestRepliesAreProvedToo(t *testing.T) {
	for i, c := range combinations(t) {
		asking, answering := ends(t, c.link)
		requests, replies := hostileSamples(t, c.link, asking, answering)
		var made []sample
		for _, r := range replies {
			made = append(made, sample{frame: r})
		}
		back := make([]protocol.Frame, len(requests))
		for j := range requests {
			back[j] = requests[j].frame
		}
		m := mutator{rng: rand.New(rand.NewPCG(7, uint64(i))), requests: made, replies: back}
		authentic := map[string]bool{}
		for _, r := range replies {
			rec := new(protocol.Record)
			if err := asking.OpenReply(clone(r), rec); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			authentic[string(values(rec))] = true
		}
		for range mutantsWanted / 4000 {
			f, _, how := m.next()
			rec := new(protocol.Record)
			if err := asking.OpenReply(clone(f), rec); err != nil || exempt(c.link, rec) || authentic[string(values(rec))] {
				continue
			}
			if answers(asking, &f, rec) { // a request under the same MAC key answers nothing
				t.Errorf("%s: %s: a reply was taken\n%q", c.name, how, f.Body)
			}
		}
	}
}

// answers reports whether any message takes the record for its reply.
func answers(asking *protocol.Dialect, f *protocol.Frame, rec *protocol.Record) bool {
	for msg := range asking.Map.Messages {
		if _, err := asking.Map.Reply(msg, f, rec, ExampleTime()); err == nil {
			return true
		}
	}
	return false
}

// values are the fields of a record without their places on the wire.
func values(rec *protocol.Record) (out []byte) {
	for i, n := range rec.Nodes() {
		out = append(append(append(out, byte(n.ID), byte(n.Parent)), rec.Value(i)...), 0)
	}
	return out
}

// TestReplaysAreTold sends authentic messages twice where they carry a nonce.
func TestReplaysAreTold(t *testing.T) {
	told := 0
	for _, c := range combinations(t) {
		o := c.link.Envelope.Outer
		if s := c.link.Auth.Signature; (s == nil || s.Window == 0) && (o == nil || o.Signature == nil || o.Signature.Window == 0) {
			continue
		}
		asking, answering := ends(t, c.link)
		requests, _ := hostileSamples(t, c.link, asking, answering)
		for _, r := range requests {
			asked, err := answering.ReadRequest(clone(r.frame), new(protocol.Record), ExampleTime())
			if err == nil && !asked.Replay {
				t.Errorf("%s: taken twice", c.name)
			}
			told++
		}
	}
	if told < 10 {
		t.Errorf("only %d messages carry a nonce", told)
	}
}

// mutator makes hostile messages out of authentic ones.
type mutator struct {
	rng      *rand.Rand
	requests []sample
	replies  []protocol.Frame
}

// next returns a message, the sample it was made from (-1 for none) and how.
func (m *mutator) next() (f protocol.Frame, from int, how string) {
	from = m.rng.IntN(len(m.requests))
	f = *clone(m.requests[from].frame)
	other := clone(m.requests[m.rng.IntN(len(m.requests))].frame)
	body := f.Body
	at := m.rng.IntN(len(body))
	switch m.rng.IntN(12) {
	case 0, 1, 2:
		body[at] ^= 1 << m.rng.IntN(8)
		how = "one bit"
	case 3:
		body[at] = byte(m.rng.Uint32())
		body[m.rng.IntN(len(body))] = byte(m.rng.Uint32())
		how = "two bytes"
	case 4:
		f.Body = body[:at]
		how = "truncated"
	case 5:
		f.Body = append(body, other.Body[:m.rng.IntN(len(other.Body))]...)
		how = "extended"
	case 6:
		cut := m.rng.IntN(len(other.Body))
		f.Body = slices.Concat(body[:at], other.Body[cut:])
		how = "spliced"
	case 7:
		to := at + m.rng.IntN(len(body)-at)
		mid := at + m.rng.IntN(to-at+1)
		f.Body = slices.Concat(body[:at], body[mid:to], body[at:mid], body[to:])
		how = "re-ordered"
	case 8:
		f = m.head(f, *other)
		how = "proof of another message"
	case 9:
		f = *clone(m.replies[m.rng.IntN(len(m.replies))])
		from = -1
		how = "reply as request"
	case 10:
		swapDigits(m.rng, body)
		how = "digits exchanged"
	default:
		f.Body, how = m.points(body), "point off the curve, or r and s out of range"
	}
	return f, from, how
}

// head gives a message the head values of another, or bad ones.
func (m *mutator) head(f, other protocol.Frame) protocol.Frame {
	if len(f.Head) == 0 {
		f.Body = slices.Concat(f.Body[:len(f.Body)/2], other.Body[len(other.Body)/2:])
		return f
	}
	h := &f.Head[m.rng.IntN(len(f.Head))]
	if v := []byte(other.Get(h.Head)); m.rng.IntN(2) == 0 && len(v) > 0 {
		v[m.rng.IntN(len(v))] ^= 1 << m.rng.IntN(8)
		h.Val = string(v)
	} else {
		f.Head = slices.Clone(other.Head)
		f.Body[m.rng.IntN(len(f.Body))] ^= 1
	}
	return f
}

// swapDigits exchanges two different digits of amounts and accounts, which
// keeps the message well-formed.
func swapDigits(rng *rand.Rand, body []byte) {
	at := rng.IntN(len(body))
	for i := range body {
		j := (at + i) % len(body)
		if body[j] >= '0' && body[j] <= '8' {
			body[j]++
			return
		}
	}
	body[at]++
}

// points puts hostile numbers over 32 to 96 bytes of the body: zero, the order
// of the curve, coordinates of no point, and DER of them.
func (m *mutator) points(body []byte) []byte {
	n, _ := new(big.Int).SetString("FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123", 16)
	vals := []*big.Int{new(big.Int), big.NewInt(1), n, new(big.Int).Sub(n, big.NewInt(1)), new(big.Int).Lsh(big.NewInt(1), 255)}
	x, y := vals[m.rng.IntN(len(vals))], vals[m.rng.IntN(len(vals))]
	var bad []byte
	if m.rng.IntN(2) == 0 {
		bad = append(x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32))...)
	} else {
		bad, _ = asn1.Marshal(struct {
			X, Y *big.Int
			H, T []byte
		}{x, y, make([]byte, 32), make([]byte, 16)})
	}
	at := m.rng.IntN(len(body))
	if end := len(body) - len(bad); m.rng.IntN(2) == 0 && end >= 0 {
		at = []int{0, end, min(8, end), min(10, end)}[m.rng.IntN(4)] // where tickets, envelopes and signatures begin
	}
	return slices.Concat(body[:at], bad, body[min(len(body), at+len(bad)):])
}
