package files

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"qianzhi/protocol/gm"
)

func fetcher(t *testing.T, p place) *Fetcher {
	t.Helper()
	return &Fetcher{Open: p.o.Open, Keep: &Archive{Dir: t.TempDir(), Now: time.Now}, Now: time.Now, Pause: noPause}
}

func want(name string) *Want {
	return &Want{Name: name, Max: 1 << 20, Every: time.Minute, Stable: time.Second}
}

// TestOutcomes has every server give every outcome.
func TestOutcomes(t *testing.T) {
	places(t, func(t *testing.T, p place) {
		f := fetcher(t, p)
		whole := []byte("户号|金额\nA|1\nB|2\nTRL|3\n")
		for name, b := range map[string][]byte{"whole": whole, "empty": {}, "long": make([]byte, 2<<20), "short": []byte("A|1\nTRL|9\n"), "cut": []byte("A|1\nB|"), "marked": whole, "marked.ok": {}} {
			write(t, filepath.Join(p.dir, name), b, 0o644)
		}
		trailer := regexp.MustCompile(`^TRL\|(\d+)$`)
		for _, c := range []struct {
			name, marker string
			trailer      *regexp.Regexp
			want         Outcome
			why          string
		}{
			{"whole", "", nil, Whole, ""}, {"whole", "", trailer, Whole, ""}, {"marked", "marked.ok", trailer, Whole, ""},
			{"absent", "", nil, Missing, "没有 absent"}, {"empty", "", trailer, Empty, "0 字节"}, {"long", "", nil, Bad, "超过上限"},
			{"short", "", trailer, Bad, "记 9 行, 实有 1 行"}, {"cut", "", trailer, Bad, "文件尾"}, {"whole", "whole.ok", nil, Bad, "没有完成标志"},
		} {
			w := want(c.name)
			w.Marker, w.Trailer = c.marker, c.trailer
			got := f.Fetch(t.Context(), w)
			if got.Outcome != c.want || !strings.Contains(got.Why, c.why) || got.Looks != 1 {
				t.Errorf("%s: got %s %q after %d looks, want %s", c.name, got.Outcome.Chinese(), got.Why, got.Looks, c.want.Chinese())
			}
			if c.want == Whole {
				b, err := os.ReadFile(got.Path)
				if err != nil || !bytes.Equal(b, whole) || got.SM3 != gm.SumSM3(whole) || got.Lines != 4 || got.Last != "TRL|3" {
					t.Errorf("%s: the copy is %+v, %v", c.name, got.Copy, err)
				}
			}
		}
	})
}

// TestDelivery has every server take a file once, refuse another one under its
// name, and give it back as it was.
func TestDelivery(t *testing.T) {
	places(t, func(t *testing.T, p place) {
		d := &Deliverer{Open: p.o.Open, Now: time.Now, Pause: noPause}
		data := bytes.Repeat([]byte("批扣结果\r\n"), 30_000)
		parcel := &Parcel{Name: "KK20261120.txt", Data: data, Marker: "KK20261120.ok", Every: time.Minute}
		for range 2 {
			if tries, err := d.Deliver(t.Context(), parcel); err != nil || tries != 1 {
				t.Fatalf("%d tries: %v", tries, err)
			}
		}
		b, err := os.ReadFile(filepath.Join(p.dir, parcel.Name))
		if err != nil || !bytes.Equal(b, data) {
			t.Errorf("%d bytes arrived of %d: %v", len(b), len(data), err)
		}
		names, err := os.ReadDir(p.dir)
		if err != nil || len(names) != 2 {
			t.Errorf("there are %v, %v", names, err)
		}
		other := &Parcel{Name: parcel.Name, Data: []byte("other"), Every: time.Minute, Until: time.Now().Add(time.Hour)}
		if tries, err := d.Deliver(t.Context(), other); !errors.Is(err, ErrOther) || tries != 1 {
			t.Errorf("another file under the name: %d tries, %v", tries, err)
		}
		if b, _ := os.ReadFile(filepath.Join(p.dir, parcel.Name)); !bytes.Equal(b, data) {
			t.Error("the first file is gone")
		}
		// what a try that broke off has left is replaced
		write(t, filepath.Join(p.dir, "X.part"), []byte("half of something"), 0o666)
		if _, err := d.Deliver(t.Context(), &Parcel{Name: "X", Data: []byte("x"), Every: time.Minute}); err != nil {
			t.Error(err)
		}
	})
}

// A server that is another one than agreed is not talked to.
func TestServersAreWhoTheySay(t *testing.T) {
	_, line := keyPair(t)
	cert, _ := certificate(t)
	t.Run("sftp", func(t *testing.T) {
		p := openssh(t)
		p.o.HostKey = line
		if _, err := p.o.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "host key") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("ftps", func(t *testing.T) {
		p := vsftpd(t, ftps)
		p.o.CA = cert
		if _, err := p.o.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("got %v", err)
		}
	})
}

// script is a Store whose answers are made up; it stands for the moments that
// a real server cannot be brought into at will.
type script struct {
	Store
	lists [][]Info // one for each look
	data  string
	get   error
}

func (s *script) List() ([]Info, error) {
	l := s.lists[0]
	if len(s.lists) > 1 {
		s.lists = s.lists[1:]
	}
	return l, nil
}

func (s *script) Get(string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(s.data)), s.get
}
func (s *script) Close() error { return nil }

func TestFileThatGrows(t *testing.T) {
	at := time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)
	size := func(n int64) []Info { return []Info{{"f", n, at}} }
	for _, c := range []struct {
		lists [][]Info
		data  string
		why   string
	}{
		{[][]Info{size(1), size(2)}, "", "仍在写入"},
		{[][]Info{size(1), {{"f", 1, at.Add(time.Second)}}}, "", "仍在写入"},
		{[][]Info{size(2), size(2), size(3)}, "ab", "读取时被改动"},
		{[][]Info{size(2), size(2), size(2)}, "abc", "读取时被改动"},
		{[][]Info{size(2), size(2), {}}, "ab", "读取时被改动"},
		{[][]Info{size(2)}, strings.Repeat("x", 11), "超过上限"},
	} {
		f := fetcher(t, place{})
		f.Open = func(context.Context) (Store, error) { return &script{lists: c.lists, data: c.data}, nil }
		w := want("f")
		w.Max = 10
		if got := f.Fetch(t.Context(), w); got.Outcome != Bad || !strings.Contains(got.Why, c.why) {
			t.Errorf("%v: got %s %q", c.lists, got.Outcome.Chinese(), got.Why)
		}
	}
}

// Looks go on until the file is there or the time is up; the last one tells.
func TestLooksUntilCutOff(t *testing.T) {
	clock := time.Date(2026, 11, 21, 1, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	o := Options{Kind: "local", Dir: dir}
	looks := 0
	f := fetcher(t, place{o: o})
	f.Now = func() time.Time { return clock }
	f.Pause = func(_ context.Context, d time.Duration) error {
		clock = clock.Add(d)
		if looks++; looks == 3 {
			write(t, filepath.Join(dir, "late"), []byte("x"), 0o644)
		}
		return nil
	}
	w := &Want{Name: "late", Max: 10, Every: 10 * time.Minute, Until: clock.Add(time.Hour)}
	if got := f.Fetch(t.Context(), w); got.Outcome != Whole || got.Looks != 4 {
		t.Errorf("got %s after %d looks", got.Outcome.Chinese(), got.Looks)
	}
	w.Name, looks, w.Until = "never", 10, clock.Add(time.Hour)
	if got := f.Fetch(t.Context(), w); got.Outcome != Missing || got.Looks != 7 {
		t.Errorf("got %s after %d looks, want 无文件 after 7", got.Outcome.Chinese(), got.Looks)
	}
	f.Open = func(context.Context) (Store, error) { return nil, errors.New("refused") }
	w.Until = clock
	if got := f.Fetch(t.Context(), w); got.Outcome != Unseen || got.Path != "" {
		t.Errorf("nobody could look, but got %s", got.Outcome.Chinese())
	}
}

// Copies are never changed; the same bytes are kept once, others beside them.
func TestCopiesAreImmutable(t *testing.T) {
	a := &Archive{Dir: t.TempDir(), Now: time.Now}
	first, err := a.Add("f", strings.NewReader("one"))
	if err != nil || first.Again {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := a.Add("f", strings.NewReader("one"))
	if err != nil || !again.Again || again.Path != first.Path {
		t.Errorf("%+v, %v", again, err)
	}
	other, err := a.Add("f", strings.NewReader("two"))
	if err != nil || other.Again || other.Path == first.Path || !strings.HasSuffix(other.Path, "f."+hex.EncodeToString(other.SM3[:8])) {
		t.Errorf("%+v, %v", other, err)
	}
	info, err := os.Stat(first.Path)
	if err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := a.Add("f", io.MultiReader(strings.NewReader("half"), broken{})); err == nil {
		t.Error("kept half a file")
	}
	if _, err := a.Add("../f", strings.NewReader("x")); err == nil {
		t.Error("kept a file outside")
	}
	kept, err := os.ReadDir(filepath.Dir(first.Path))
	if err != nil || len(kept) != 2 {
		t.Errorf("there are %v, %v", kept, err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("cut") }

// A delivery that breaks off is tried again, and one that arrived damaged is
// not given its name.
func TestDeliveryIsTriedAgain(t *testing.T) {
	clock := time.Now()
	dir := t.TempDir()
	tries := 0
	d := &Deliverer{Now: func() time.Time { return clock }, Pause: func(_ context.Context, p time.Duration) error { clock = clock.Add(p); return nil },
		Open: func(ctx context.Context) (Store, error) {
			if tries++; tries == 1 {
				return nil, errors.New("refused")
			}
			s, err := (&Options{Kind: "local", Dir: dir}).Open(ctx)
			if tries == 2 {
				s = damaging{s}
			}
			return s, err
		}}
	n, err := d.Deliver(t.Context(), &Parcel{Name: "f", Data: []byte("data"), Every: time.Minute, Until: clock.Add(time.Hour)})
	if err != nil || n != 3 {
		t.Errorf("%d tries, %v", n, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "f")); string(b) != "data" {
		t.Errorf("%q, %v", b, err)
	}
	tries = 1
	n, err = d.Deliver(t.Context(), &Parcel{Name: "g", Data: []byte("data"), Every: time.Minute, Until: clock})
	if !errors.Is(err, errDamaged) || n != 1 {
		t.Errorf("%d tries, %v", n, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "g")); err == nil {
		t.Error("a damaged file has its name")
	}
}

// damaging loses the last byte of what is put.
type damaging struct{ Store }

func (d damaging) Put(name string, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return d.Store.Put(name, bytes.NewReader(b[:max(0, len(b)-1)]))
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{Kind: "sftp", Addr: "h:22", Dir: "/x", User: "u", HostKey: "k", Timeout: time.Second}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Options){
		"kind": func(o *Options) { o.Kind = "smb" }, "dir": func(o *Options) { o.Dir = "" }, "addr: user": func(o *Options) { o.User = "" },
		"host_key": func(o *Options) { o.HostKey = "" }, "addr: a local": func(o *Options) { o.Kind = "local" }, "name": func(o *Options) { o.Kind, o.HostKey = "ftps", "" },
	} {
		o := good
		change(&o)
		if err := o.Check(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for _, w := range []Want{{Name: "a/b", Max: 1, Every: 1}, {Name: "..", Max: 1, Every: 1}, {Name: "a", Every: 1}, {Name: "a", Max: 1}, {Name: "a", Max: 1, Every: 1, Marker: "x/y"}} {
		if w.Check() == nil {
			t.Errorf("took %+v", w)
		}
	}
}
