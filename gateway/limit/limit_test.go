package limit

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestBucket holds a bucket against the law it stands for: in any stretch of
// time at most the burst and the flow of that time pass.
func TestBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1e9, 0)
		r := Rate{Events: rapid.IntRange(1, 20).Draw(t, "events"), Per: time.Second, Burst: rapid.IntRange(0, 30).Draw(t, "burst")}
		b := NewBucket(r, func() time.Time { return now })
		burst := r.Burst
		if burst == 0 {
			burst = r.Events
		}
		var taken []time.Time
		for range rapid.IntRange(1, 80).Draw(t, "tries") {
			now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "ms")) * time.Millisecond)
			if b.Take() {
				taken = append(taken, now)
			} else if len(taken) < burst {
				t.Fatalf("refused after %d of a burst of %d", len(taken), burst)
			}
		}
		for i := range taken {
			for k := i; k < len(taken); k++ {
				most := float64(burst) + taken[k].Sub(taken[i]).Seconds()*float64(r.Events) + 1e-6
				if n := k - i + 1; float64(n) > most {
					t.Fatalf("%d in %s, at most %.2f", n, taken[k].Sub(taken[i]), most)
				}
			}
		}
	})
}

func TestBucketFillsAgain(t *testing.T) {
	now := time.Unix(1e9, 0)
	b := NewBucket(Rate{Events: 10, Per: time.Second, Burst: 2}, func() time.Time { return now })
	got := []bool{b.Take(), b.Take(), b.Take()}
	if !got[0] || !got[1] || got[2] {
		t.Errorf("want a burst of two, got %v", got)
	}
	now = now.Add(100 * time.Millisecond)
	if !b.Take() || b.Take() {
		t.Error("want one token after a tenth of a second")
	}
	now = now.Add(-time.Hour) // the clock is put back
	if b.Take() {
		t.Error("a clock that steps back gives tokens")
	}
}

func TestNoLimit(t *testing.T) {
	if NewBucket(Rate{}, nil) != nil || NewBuckets(Rate{}, nil) != nil || NewWindows[string, int](Rate{}, nil) != nil {
		t.Error("want nil")
	}
	var b *Bucket
	var s *Buckets
	var w *Windows[string, int]
	if !b.Take() || !s.Take("x") || !w.Take("x", 1) {
		t.Error("nil refuses")
	}
}

func TestBucketsAreBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	s := NewBuckets(Rate{Events: 1, Per: time.Hour}, func() time.Time { return now })
	if !s.Take("a") || s.Take("a") || !s.Take("b") {
		t.Error("keys share a bucket")
	}
	for i := range 3 * maxBuckets {
		s.Take(strings.Repeat("k", 1+i%7) + string(rune(0x4e00+i)))
	}
	if len(s.by) > maxBuckets+1 {
		t.Errorf("%d buckets", len(s.by))
	}
}

// TestWindows holds a window against counting by hand.
func TestWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1e9, 0)
		r := Rate{Events: rapid.IntRange(1, 5).Draw(t, "events"), Per: time.Minute}
		w := NewWindows[string, int](r, func() time.Time { return now })
		type took struct {
			key   string
			event int
			at    time.Time
		}
		var all []took
		for range rapid.IntRange(1, 60).Draw(t, "tries") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "s")) * time.Second)
			key, event := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"), rapid.IntRange(0, 9).Draw(t, "event")
			inside, repeat := 0, false
			for _, x := range all {
				if x.key == key && now.Sub(x.at) < r.Per {
					inside++
					repeat = repeat || x.event == event
				}
			}
			got := w.Take(key, event)
			if want := repeat || inside < r.Events; got != want {
				t.Fatalf("%s %d: got %v with %d inside, repeat %v", key, event, got, inside, repeat)
			}
			if got && !repeat {
				all = append(all, took{key, event, now})
			}
		}
	})
}

func TestWindowsAreBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	w := NewWindows[int, int](Rate{Events: 5, Per: time.Hour}, func() time.Time { return now })
	w.keys = 100
	for i := range 1000 {
		w.Take(i, i)
		if len(w.young) > 100 || len(w.old) > 100 {
			t.Fatalf("%d and %d keys", len(w.young), len(w.old))
		}
	}
}

func TestRatesAreChecked(t *testing.T) {
	for _, r := range []Rate{{Events: -1}, {Events: 1}, {Events: 1, Per: 25 * time.Hour}, {Burst: 1}, {Events: 1, Per: time.Second, Burst: -1}, {Events: MaxEvents + 1, Per: time.Second}} {
		if r.Check() == nil {
			t.Errorf("%+v is accepted", r)
		}
	}
	for _, r := range []Rate{{}, {Events: 5, Per: time.Minute}, {Events: 5, Per: time.Second, Burst: 100}} {
		if err := r.Check(); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func from(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }

func TestDoor(t *testing.T) {
	allow, err := ParseAllow([]string{"10.1.0.0/16", "192.0.2.7", "2001:db8::/32"})
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDoor(DoorOptions{Allow: allow, PerIP: 2, All: 4})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from string
		want Why
	}{{"10.2.0.1:5", NotAllowed}, {"10.1.0.1:5", Admitted}, {"[::ffff:10.1.0.1]:6", Admitted}, {"10.1.0.1:7", TooManyIP}, {"192.0.2.8:5", NotAllowed},
		{"[2001:db8::1]:5", Admitted}, {"[2001:db8::2]:5", Admitted}, {"[2001:db8::3]:5", TooMany}, {"192.0.2.7:5", TooMany}} {
		if got := d.Enter(from(c.from)); got != c.want {
			t.Errorf("%s: %s, want %s", c.from, got, c.want)
		}
	}
	d.Leave(from("10.1.0.1:5"))
	if got := d.Enter(from("[2001:db8::4]:5")); got != TooManyIP {
		t.Errorf("a third address of one /64: %s", got)
	}
	if got := d.Enter(from("192.0.2.7:5")); got != Admitted {
		t.Errorf("after somebody left: %s", got)
	}
	if got, want := d.Refused(), (Refused{NotAllowed: 2, TooMany: 2, TooManyIP: 2}); got != want || got.Sum() != 6 || d.Open() != 4 {
		t.Errorf("refused %+v, open %d", got, d.Open())
	}
	if closed, _ := NewDoor(DoorOptions{Allow: allow, All: 1}); closed.Enter(nil) != NotAllowed {
		t.Error("a peer without address passes the list")
	}
}

// TestDoorCounts lets connections come and go in any order.
func TestDoorCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, err := NewDoor(DoorOptions{PerIP: rapid.IntRange(0, 3).Draw(t, "per ip"), All: rapid.IntRange(1, 5).Draw(t, "all")})
		if err != nil {
			t.Fatal(err)
		}
		var in []net.Addr
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(in) > 0 && rapid.Bool().Draw(t, "leave") {
				i := rapid.IntRange(0, len(in)-1).Draw(t, "who")
				d.Leave(in[i])
				in = append(in[:i], in[i+1:]...)
				continue
			}
			a := from(rapid.SampledFrom([]string{"10.0.0.1:1", "10.0.0.2:1", "[2001:db8::1]:1"}).Draw(t, "from"))
			same := 0
			for _, x := range in {
				if x.String() == a.String() {
					same++
				}
			}
			got := d.Enter(a)
			if room := len(in) < d.o.All && same < d.o.PerIP; room != (got == Admitted) {
				t.Fatalf("%s with %d in, %d of it: %s", a, len(in), same, got)
			}
			if got == Admitted {
				in = append(in, a)
			}
		}
		if d.Open() != len(in) {
			t.Fatalf("%d open, want %d", d.Open(), len(in))
		}
	})
}

func TestAllowListIsChecked(t *testing.T) {
	for _, s := range []string{"", "10.1.0.1/16", "10.1.0.0/33", "localhost", "10.1.0.0-10.1.0.9", "*"} {
		if _, err := ParseAllow([]string{"10.0.0.0/8", s}); err == nil || !strings.Contains(err.Error(), "[1]") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestListenerRefusesAtOnce(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDoor(DoorOptions{All: 1})
	if err != nil {
		t.Fatal(err)
	}
	var refused atomic.Int32
	ln := Listen(inner, d, func(net.Addr, Why) { refused.Add(1) })
	defer ln.Close()
	got := make(chan net.Conn, 4)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			got <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	dial()
	first := <-got
	second := dial()
	if _, err := second.Read(make([]byte, 1)); err == nil || refused.Load() != 1 {
		t.Errorf("second connection: %v, refused %d", err, refused.Load())
	}
	first.Close()
	first.Close()
	third := dial()
	c := <-got
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if b, err := io.ReadAll(third); err != nil || string(b) != "x" || d.Open() != 0 {
		t.Errorf("%q %v, %d open", b, err, d.Open())
	}
}

func FuzzAllow(f *testing.F) {
	f.Add("10.0.0.0/8", "10.0.0.1:1")
	f.Add("::/0", "[::1]:1")
	f.Fuzz(func(t *testing.T, list, addr string) {
		allow, err := ParseAllow([]string{list})
		ap, err2 := netip.ParseAddrPort(addr)
		if err != nil || err2 != nil {
			return
		}
		d, err := NewDoor(DoorOptions{Allow: allow, All: 1})
		if err != nil {
			t.Fatal(err)
		}
		want := allow[0].Contains(ap.Addr().Unmap().WithZone(""))
		if got := d.Enter(net.TCPAddrFromAddrPort(ap)) == Admitted; got != want {
			t.Fatalf("%s in %s: %v", addr, list, got)
		}
	})
}
