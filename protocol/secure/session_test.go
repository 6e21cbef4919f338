package secure

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"qianzhi/protocol"
	"qianzhi/protocol/gm"
)

// sessionEnds builds both ends of the direction from bank to gateway, with a
// clock.
func sessionEnds(t testing.TB, tickets int) (out, in *Session, clock *time.Time) {
	t.Helper()
	sender, receiver := both(t)
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	o := SessionOptions{Life: time.Hour, UserID: gm.DefaultID, Tickets: tickets}
	out, err := NewSession(o, sender, "bank", "gateway", func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	if in, err = NewSession(o, receiver, "bank", "gateway", func() time.Time { return now }); err != nil {
		t.Fatal(err)
	}
	return out, in, &now
}

func seal(t testing.TB, s *Session, body string) []byte {
	t.Helper()
	b, err := s.Seal(nil, &protocol.Frame{Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSessionRoundTrip(t *testing.T) {
	out, in, _ := sessionEnds(t, 4)
	rapid.Check(t, func(r *rapid.T) {
		body := rapid.SliceOf(rapid.Byte()).Draw(r, "body")
		sealed, err := out.Seal([]byte("a"), &protocol.Frame{Body: body})
		if err != nil {
			r.Fatal(err)
		}
		sealed = sealed[1:]
		got, err := in.Open([]byte("b"), &protocol.Frame{Body: sealed})
		if err != nil || string(got) != "b"+string(body) {
			r.Fatalf("got %x, %v", got, err)
		}
		at := rapid.IntRange(0, len(sealed)-1).Draw(r, "at")
		bad := bytes.Clone(sealed)
		bad[at] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
		if _, err := in.Open(nil, &protocol.Frame{Body: bad}); class(err) != "auth" {
			r.Fatalf("byte %d changed: %v", at, err)
		}
		if _, err := in.Open(nil, &protocol.Frame{Body: sealed[:at]}); class(err) != "auth" {
			r.Fatalf("cut at %d: %v", at, err)
		}
	})
	if len(in.in) != 1 {
		t.Errorf("%d tickets remembered, want 1: forged ones are not kept", len(in.in))
	}
}

// TestSessionLife: keys are drawn anew in time, the receiver takes the old ones
// for messages on their way and not for ever, and neither end minds a restart.
func TestSessionLife(t *testing.T) {
	out, in, now := sessionEnds(t, 2)
	first := seal(t, out, "one")
	again := seal(t, out, "two")
	size := 2 + int(binary.BigEndian.Uint16(first))
	if !bytes.Equal(first[:size], again[:size]) {
		t.Error("every message has a ticket of its own")
	}
	*now = now.Add(time.Hour)
	next := seal(t, out, "three")
	if bytes.Equal(first[:size], next[:size]) {
		t.Error("the ticket outlived its life")
	}
	open := func(sealed []byte) string {
		_, err := in.Open(nil, &protocol.Frame{Body: sealed})
		return class(err)
	}
	for _, s := range [][]byte{next, first, again} {
		if got := open(s); got != "accepted" {
			t.Errorf("got %s", got)
		}
	}
	*now = now.Add(7 * time.Minute)
	if got := open(again); got != "auth" {
		t.Errorf("an old ticket, 67 minutes: %s", got)
	}
	if got := open(next); got != "accepted" {
		t.Errorf("got %s", got)
	}
	*now = now.Add(-30 * time.Minute)
	if got := open(next); got != "auth" {
		t.Errorf("a ticket from the future: %s", got)
	}
	*now = now.Add(30 * time.Minute)
	for range 3 { // restarts of the sender, more than the receiver remembers
		out.out = nil
		if got := open(seal(t, out, "x")); got != "accepted" {
			t.Errorf("after a restart: %s", got)
		}
	}
	if len(in.in) != 2 || len(in.inOrder) != 2 {
		t.Errorf("%d tickets remembered, want 2", len(in.in))
	}
	if got := open(next); got != "accepted" {
		t.Errorf("a forgotten ticket is computed anew: %s", got)
	}
}

// TestSessionDirections: a message is of one direction, one sender and one
// receiver.
func TestSessionDirections(t *testing.T) {
	out, _, now := sessionEnds(t, 2)
	sender, receiver := both(t) // other keys
	o := SessionOptions{Life: time.Hour, UserID: gm.DefaultID, Tickets: 2}
	clock := func() time.Time { return *now }
	sealed := seal(t, out, "pay")
	stranger, err := NewSession(o, receiver, "bank", "gateway", clock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Open(nil, &protocol.Frame{Body: sealed}); class(err) != "auth" {
		t.Errorf("opened with another's keys: %v", err)
	}
	ring := Ring{"bank": sender.Ring["bank"], "gateway": receiver.Ring["gateway"]}
	whole := Keys{Ring: ring, Roles: sender.Roles}
	there, err := NewSession(o, whole, "bank", "gateway", clock)
	if err != nil {
		t.Fatal(err)
	}
	back, err := NewSession(o, whole, "gateway", "bank", clock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := back.Open(nil, &protocol.Frame{Body: seal(t, there, "pay")}); class(err) != "auth" {
		t.Errorf("a request opened as a reply: %v", err)
	}
	if _, err := stranger.Seal(nil, &protocol.Frame{}); err == nil {
		t.Error("sealed without a private key")
	}
}

// TestSessionIsConcurrent seals and opens on many goroutines while keys change.
func TestSessionIsConcurrent(t *testing.T) {
	sender, receiver := both(t)
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	o := SessionOptions{Life: time.Minute, UserID: gm.DefaultID, Tickets: 4}
	out, err := NewSession(o, sender, "bank", "gateway", clock)
	if err != nil {
		t.Fatal(err)
	}
	in, err := NewSession(o, receiver, "bank", "gateway", clock)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				if i%50 == 49 { // new keys for everybody
					out.mu.Lock()
					out.out = nil
					out.mu.Unlock()
				}
				sealed, err := out.Seal(nil, &protocol.Frame{Body: []byte("pay")})
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := in.Open(nil, &protocol.Frame{Body: sealed}); err != nil || string(got) != "pay" {
					t.Errorf("got %q, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
}
