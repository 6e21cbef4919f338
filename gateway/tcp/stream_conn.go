package tcp

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"qianzhi/protocol"
	"qianzhi/protocol/transport"
)

// stream is one connection that requests arrive on. Its reader admits frames
// one by one and waits where there is no place, which in turn makes the peer
// wait.
type stream struct {
	s     *Stream
	nc    net.Conn
	peer  string
	out   *outlet
	again chan struct{} // a place may be free
	pulse transport.Pulse
	work  sync.WaitGroup
}

var (
	errMore = errors.New("more than one message on a one-shot connection")
	errHalf = errors.New("the stream ended inside a message")
	errSide = errors.New("a message on a response connection")
)

// lingering is how long a one-shot connection waits for the peer to close after
// its reply, so that the reply is not torn away by a reset.
const lingering = time.Second

func (k *stream) wake() {
	select {
	case k.again <- struct{}{}:
	default:
	}
}

// serve answers what arrives until the peer closes, bytes make no sense or ctx
// ends; then it waits for the frames under way and their replies. When life
// ends it closes at once.
func (s *Stream) serve(ctx, life context.Context, nc net.Conn) error {
	defer nc.Close()
	life, end := context.WithCancelCause(life)
	defer end(nil)
	defer context.AfterFunc(life, func() { nc.Close() })()
	out, release := s.outlet(nc)
	defer release()
	k := &stream{s: s, nc: nc, peer: nc.RemoteAddr().String(), out: out, again: make(chan struct{}, 1)}
	var writer sync.WaitGroup
	finish := func() {}
	if !s.separate() {
		w := out.attach(nc, end)
		writer.Go(func() { out.write(life, w) })
		finish = func() { out.finish(w); writer.Wait(); out.detach(w) }
	}
	err := k.read(ctx, life)
	k.work.Wait()
	finish()
	cause := context.Cause(life)
	if cause == nil && s.o.OneShot {
		k.linger()
	}
	return s.ended(k.peer, errors.Join(err, cause))
}

// linger tells the peer that nothing more comes and waits for it to close.
func (k *stream) linger() {
	half, ok := k.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || k.nc.SetReadDeadline(time.Now().Add(lingering)) != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(k.nc, int64(k.s.o.MaxFrame))) // whatever it is, the connection ends
}

// read cuts and admits frames. A read under way ends with ctx.
func (k *stream) read(ctx, life context.Context) error {
	if k.s.o.OneShot {
		if err := k.nc.SetReadDeadline(time.Now().Add(k.s.o.Within)); err != nil {
			return err
		}
	}
	defer context.AfterFunc(ctx, func() { _ = k.nc.SetReadDeadline(time.Unix(1, 0)) })() // fails only on a closed connection
	var buf []byte
	var since time.Time // the frame that is arriving began
	chunk := make([]byte, 16<<10)
	for {
		n, err := k.nc.Read(chunk)
		buf = append(buf, chunk[:n]...)
		ended := errors.Is(err, io.EOF)
		var used int
		var done bool
		var wrong error
		if k.s.o.Whole && !ended {
			wrong = k.fits(buf)
		} else {
			used, done, wrong = k.cut(ctx, life, buf)
		}
		if used > 0 {
			buf = append(buf[:0], buf[used:]...)
		}
		switch {
		case wrong != nil:
		case done && k.s.o.OneShot && len(buf) > 0:
			wrong = errMore
		case done:
			return nil
		case ended && len(buf) > 0:
			wrong = errHalf
		case errors.Is(err, os.ErrDeadlineExceeded) && len(buf) > 0 && ctx.Err() == nil:
			wrong = errLate
		case err != nil:
			return err
		}
		if wrong != nil {
			k.s.o.Handler.Garbage(context.Background(), k.peer, head(buf), wrong)
			return wrong
		}
		if since, err = k.patience(ctx, since, len(buf) > 0, used > 0); err != nil {
			return err
		}
	}
}

// patience sets how long the next read may take: while part of a frame is there
// the rest has to come in time, without one the peer may be silent. It returns
// when the present frame began.
func (k *stream) patience(ctx context.Context, since time.Time, part, taken bool) (time.Time, error) {
	if k.s.o.OneShot || k.s.o.Slow == 0 {
		return since, nil
	}
	was := since
	switch {
	case !part:
		since = time.Time{}
	case taken || since.IsZero():
		since = time.Now()
	}
	if since.Equal(was) {
		return since, nil
	}
	var until time.Time
	if part {
		until = since.Add(k.s.o.Slow)
	}
	err := k.nc.SetReadDeadline(until)
	if err == nil && ctx.Err() != nil { // the daemon stops: what ends the read must not be undone
		err = k.nc.SetReadDeadline(time.Unix(1, 0))
	}
	return since, err
}

// fits reports a message without an end that is too long already.
func (k *stream) fits(buf []byte) error {
	if len(buf) <= k.s.o.MaxFrame {
		return nil
	}
	_, _, err := k.s.o.Request.Next(buf)
	return err
}

// cut hands over the whole frames of buf and returns how many bytes they took;
// done says that no more may be handed over.
func (k *stream) cut(ctx, life context.Context, buf []byte) (used int, done bool, err error) {
	for used < len(buf) {
		f, n, err := k.s.o.Request.Next(buf[used:])
		if err != nil || n == 0 {
			return used, false, err
		}
		if f.Body == nil {
			if err := k.s.pulsed(k.nc, &k.pulse, f); err != nil {
				return used, false, err
			}
		} else {
			if !k.start(ctx, life, f) {
				return len(buf), true, nil
			}
			done = k.s.o.OneShot
		}
		if used += n; done {
			break
		}
	}
	return used, done, nil
}

// pulsed answers a keep-alive where the link says so. It writes beside the
// connection's writer, if there is one: a single write is never split.
func (s *Stream) pulsed(nc net.Conn, p *transport.Pulse, f protocol.Frame) error {
	if !s.o.KeepAlive || !p.Due(s.o.Now()) {
		return nil
	}
	b, err := s.o.Reply.Append(nil, protocol.Frame{Head: f.Head})
	if err != nil {
		return err
	}
	if err := nc.SetWriteDeadline(time.Now().Add(s.o.Stall)); err != nil {
		return err
	}
	_, err = nc.Write(b)
	return err
}

// start waits for a place and has the frame answered; on an ordered link it
// waits for the reply too. It reports false when the daemon stops or the
// connection is gone.
func (k *stream) start(ctx, life context.Context, f protocol.Frame) bool {
	p := k.admit(ctx, life)
	if p == noPlace {
		return false
	}
	in := protocol.Inbound{Peer: k.peer, At: k.s.o.Now(),
		Frame: protocol.Frame{Head: slices.Clone(f.Head), Body: slices.Clone(f.Body)}}
	if k.s.o.Ordered || k.s.o.OneShot {
		k.answer(p, in)
		return true
	}
	k.work.Go(func() { k.answer(p, in) })
	return true
}

func (k *stream) admit(ctx, life context.Context) place {
	for {
		p := k.s.gate.admit(k)
		if p != noPlace {
			return p
		}
		select {
		case <-k.again:
			continue
		case <-ctx.Done():
		case <-life.Done():
		}
		if other := k.s.gate.giveUp(k); other != nil {
			other.wake()
		}
		return noPlace
	}
}

func (k *stream) answer(p place, in protocol.Inbound) {
	answer := k.s.o.Handler.Answer
	if p == refusePlace {
		answer = k.s.o.Handler.Refuse
	}
	f, err := answer(context.Background(), in)
	if err == nil && f.Body != nil {
		if err := k.out.put(f); err != nil {
			k.s.o.Log.Error("reply not framed", "event", "QZ341", "peer", k.peer, "err", err)
		}
	}
	if other := k.s.gate.leave(p); other != nil {
		other.wake()
	}
}

// respond gives the peer's replies to a response connection until it is lost
// or life ends. Only keep-alives may arrive on it.
func (s *Stream) respond(life context.Context, nc net.Conn) error {
	defer nc.Close()
	life, end := context.WithCancelCause(life)
	defer end(nil)
	defer context.AfterFunc(life, func() { nc.Close() })()
	out, release := s.outlet(nc)
	defer release()
	s.responding.Add(1)
	defer s.responding.Add(-1)
	w := out.attach(nc, end)
	defer out.detach(w)
	var writer sync.WaitGroup
	writer.Go(func() { out.write(life, w) })
	defer writer.Wait()
	err := s.attend(nc)
	cause := context.Cause(life)
	end(err)
	return s.ended(nc.RemoteAddr().String(), errors.Join(cause, err))
}

// attend reads a response connection to learn of its end.
func (s *Stream) attend(nc net.Conn) error {
	var buf []byte
	var pulse transport.Pulse
	chunk := make([]byte, 512)
	for {
		n, err := nc.Read(chunk)
		buf = append(buf, chunk[:n]...)
		for len(buf) > 0 {
			f, used, wrong := s.o.Request.Next(buf)
			if wrong == nil && f.Body != nil {
				wrong = errSide
			}
			if wrong != nil {
				s.o.Handler.Garbage(context.Background(), nc.RemoteAddr().String(), head(buf), wrong)
				return wrong
			}
			if used == 0 {
				break
			}
			if err := s.pulsed(nc, &pulse, f); err != nil {
				return err
			}
			buf = append(buf[:0], buf[used:]...)
		}
		if err != nil {
			return err
		}
	}
}

// ended logs why a connection ended and returns it.
func (s *Stream) ended(peer string, err error) error {
	if errors.Is(err, errSlow) {
		s.o.Log.Warn("peer does not read its replies", "event", "QZ231", "peer", peer)
	} else {
		s.o.Log.Debug("connection ended", "peer", peer, "err", err)
	}
	return err
}
