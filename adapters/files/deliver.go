package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"qianzhi/protocol/gm"
)

// Parcel is a file to be delivered.
type Parcel struct {
	Name   string
	Data   []byte
	Marker string        // an empty file of this name follows it; empty: none does
	Every  time.Duration // between tries
	Until  time.Time     // the last try
}

// ErrOther reports a file of the name that is another one. It is never
// replaced.
var ErrOther = errors.New("服务器上已有同名而内容不同的文件")

// errDamaged reports a file that is not what was sent.
var errDamaged = errors.New("回读与发送的内容不符")

// Deliverer delivers files to one server.
type Deliverer struct {
	Open  func(ctx context.Context) (Store, error)
	Now   func() time.Time
	Pause func(ctx context.Context, d time.Duration) error // between tries; an error ends them
}

// Deliver sends a file under another name, reads it back, gives it its name and
// then its marker. It tries until it succeeds or the time is up and returns how
// often. What is there already with the same bytes is delivered; with other
// bytes it is ErrOther at once.
func (d *Deliverer) Deliver(ctx context.Context, p *Parcel) (tries int, err error) {
	if err := plain(p.Name); err != nil {
		return 0, err
	}
	if p.Every <= 0 {
		return 0, errors.New("every: must be positive")
	}
	for tries = 1; ; tries++ {
		err = d.once(ctx, p)
		if err == nil || errors.Is(err, ErrOther) || d.Now().Add(p.Every).After(p.Until) {
			return tries, err
		}
		if end := d.Pause(ctx, p.Every); end != nil {
			return tries, errors.Join(err, end)
		}
	}
}

func (d *Deliverer) once(ctx context.Context, p *Parcel) error {
	s, err := d.Open(ctx)
	if err != nil {
		return err
	}
	err = p.send(s)
	if end := s.Close(); err == nil && end != nil {
		err = fmt.Errorf("close: %w", end)
	}
	return err
}

func (p *Parcel) send(s Store) error {
	there, err := p.there(s)
	if err != nil {
		return err
	}
	if !there {
		part := p.Name + ".part"
		if err := s.Put(part, bytes.NewReader(p.Data)); err != nil {
			return err
		}
		if err := p.check(s, part); err != nil {
			return err
		}
		if err := s.Rename(part, p.Name); err != nil {
			return err
		}
		if err := p.check(s, p.Name); err != nil {
			return err
		}
	}
	if p.Marker == "" {
		return nil
	}
	return s.Put(p.Marker, bytes.NewReader(nil))
}

// there reports whether the file was delivered before.
func (p *Parcel) there(s Store) (bool, error) {
	list, err := s.List()
	if err != nil {
		return false, err
	}
	if _, err := find(list, p.Name); err != nil {
		return false, nil
	}
	err = p.check(s, p.Name)
	if errors.Is(err, errDamaged) {
		return false, ErrOther
	}
	return err == nil, err
}

// check reads a file back and compares size and SM3.
func (p *Parcel) check(s Store, name string) error {
	r, err := s.Get(name)
	if err != nil {
		return err
	}
	h := gm.NewSM3()
	n, err := io.Copy(h, io.LimitReader(r, int64(len(p.Data))+1))
	if n > int64(len(p.Data)) {
		_ = r.Close() // the rest is not wanted
		return fmt.Errorf("%s: %w: 超过 %d 字节", name, errDamaged, len(p.Data))
	}
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	if want := gm.SumSM3(p.Data); n != int64(len(p.Data)) || !bytes.Equal(h.Sum(nil), want[:]) {
		return fmt.Errorf("%s: %w: 应为 %d 字节, 读到 %d 字节", name, errDamaged, len(p.Data), n)
	}
	return nil
}
