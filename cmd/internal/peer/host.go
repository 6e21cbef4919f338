package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// Handler decides what a host says to a request.
type Handler interface {
	Do(ctx context.Context, req *pay.Request) pay.Reply
}

// Host is the answering end of a link: it listens, answers, and does what its
// script says to answers.
type Host struct {
	Dialect *protocol.Dialect
	Handler Handler
	Script  *Script
	Now     func() time.Time
	Pause   func(ctx context.Context, d time.Duration) error // of slow and late answers
	Note    func(line string)                                // takes one line for each message
	Replies *Line                                            // of the connections that answers leave on; nil: that of the request
	Once    bool                                             // a connection carries one message and is closed after the answer
	Endless bool                                             // with Once: a message ends where its sender shuts down its side

	mu     sync.Mutex
	before *protocol.Frame // the answer before
}

// Wait is a Host's Pause on the real clock: it waits, unless ctx ends first.
func Wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// most requests of one connection that are answered at once.
const maxAnswering = 64

// packet is what is written to a connection in one go.
type packet struct {
	pieces [][]byte
	hold   bool // waits for the next packet
	last   bool // the connection closes behind it
}

// Serve answers connections until ctx ends.
func (h *Host) Serve(ctx context.Context, ln net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	for {
		nc, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		wg.Go(func() { h.serve(ctx, nc) })
	}
}

// serve reads one connection; each request is answered on a goroutine of its
// own, all answers are written by one. A sender that stops sending still gets
// its answers.
func (h *Host) serve(ctx context.Context, nc net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	back := nc
	if h.Replies != nil {
		var err error
		if back, err = h.Replies.open(ctx); err != nil {
			h.Note(fmt.Sprintf("应答连接: %v", err))
			nc.Close()
			return
		}
		also := context.AfterFunc(ctx, func() { back.Close() })
		defer also()
	}
	out := make(chan packet, maxAnswering)
	var answering, writing sync.WaitGroup
	writing.Go(func() {
		defer cancel() // nobody takes answers any more
		write(back, out)
	})
	slots := make(chan struct{}, maxAnswering)
	err := h.read(nc, func(f protocol.Frame) {
		slots <- struct{}{}
		answering.Go(func() {
			defer func() { <-slots }()
			h.answer(ctx, f, out)
		})
	})
	if err != nil {
		h.Note(fmt.Sprintf("%s 断开: %v", nc.RemoteAddr(), err))
		cancel()
	}
	answering.Wait()
	close(out)
	writing.Wait()
}

// read cuts the stream into requests until it ends. The end of the stream is
// no error: answers may still be on their way.
func (h *Host) read(nc net.Conn, take func(protocol.Frame)) error {
	var buf []byte
	if h.Endless {
		var err error
		if buf, err = io.ReadAll(io.LimitReader(nc, maxSingle)); err != nil {
			return err
		}
	}
	chunk := make([]byte, 4096)
	for {
		f, n, err := h.Dialect.Request.Framer.Next(buf)
		if err != nil {
			return err
		}
		if n > 0 {
			if h.Once && len(f.Body) > 0 {
				take(f)
				return nil
			}
			if len(f.Body) > 0 {
				f.Body = slices.Clone(f.Body)
				take(f)
			}
			buf = append(buf[:0], buf[n:]...)
			continue
		}
		n, err = nc.Read(chunk)
		if n == 0 && err != nil {
			return nil
		}
		buf = append(buf, chunk[:n]...)
	}
}

// write sends what is answered until there is no more, or the connection ends.
func write(nc net.Conn, out <-chan packet) {
	defer nc.Close()
	var held []byte
	for p := range out {
		if p.hold {
			held = slices.Concat(append([][]byte{held}, p.pieces...)...)
			continue
		}
		p.pieces[0], held = slices.Concat(held, p.pieces[0]), nil
		for _, b := range p.pieces {
			if _, err := nc.Write(b); err != nil {
				return
			}
		}
		if p.last {
			return
		}
	}
	if len(held) > 0 {
		_, _ = nc.Write(held) // the connection ends here either way
	}
}

func (h *Host) answer(ctx context.Context, f protocol.Frame, out chan<- packet) {
	replies, t := h.reply(ctx, f)
	if len(replies) == 0 {
		return
	}
	p := packet{hold: t.Fault == Joined}
	for _, rep := range replies {
		b, err := h.Dialect.Reply.Framer.Append(nil, rep)
		if err != nil {
			h.Note(fmt.Sprintf("应答写不出: %v", err))
			return
		}
		pieces, last := t.Fault.wire(b)
		p.pieces, p.last = append(p.pieces, pieces...), last
	}
	select {
	case out <- p:
	case <-ctx.Done():
	}
}

// reply acts on a request and returns its answer, or what its fault makes of it,
// with what the script does to bodies done, and what else it says. There is none
// when none leaves.
func (h *Host) reply(ctx context.Context, f protocol.Frame) (out []protocol.Frame, t Trouble) {
	asked, err := h.Dialect.ReadRequest(&f, new(protocol.Record), h.Now())
	if asked == nil {
		h.Note(fmt.Sprintf("不能识别的报文: %v", err))
		return nil, t
	}
	rep := pay.Answer(pay.Declined, refusal(err))
	if err == nil {
		t = h.Script.Next(asked.Request)
		if t.Fault == Slow && h.Pause(ctx, t.For) != nil {
			return nil, t
		}
		rep = h.do(ctx, asked.Request, t)
	}
	defer func() { h.Note(line(asked, &rep, t, err)) }()
	if t.Fault == Silence || t.Fault == Late && h.Pause(ctx, t.For) != nil {
		return nil, t
	}
	for _, told := range t.Fault.tells(rep) {
		one, err := h.Dialect.AppendReply(asked, &told, new(protocol.Record))
		if err != nil {
			h.Note(fmt.Sprintf("应答写不出: %v", err))
			return nil, t
		}
		if t.Fault == BadSeal && one.Get(protocol.HeadSignature) != "" { // the signature of other bytes
			one.Set(protocol.HeadNonce, "forged-"+one.Get(protocol.HeadNonce))
		} else {
			t.Fault.body(one.Body)
		}
		out = append(out, one)
	}
	if stale := h.remember(out[0]); t.Fault == Stale && stale != nil {
		out = []protocol.Frame{*stale}
	}
	return out, t
}

// remember keeps an answer and returns the one before, nil when there is none.
func (h *Host) remember(f protocol.Frame) *protocol.Frame {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.before
	f.Body = slices.Clone(f.Body)
	h.before = &f
	return before
}

func refusal(err error) pay.Code {
	var e *protocol.Error
	switch {
	case errors.Is(err, protocol.ErrSignOn):
		return pay.CodeSignOn
	case errors.As(err, &e) && e.Class == protocol.ClassAuth:
		return pay.CodeAuth
	}
	return pay.CodeFormat
}

func (h *Host) do(ctx context.Context, req *pay.Request, t Trouble) pay.Reply {
	if t.Fault == Decline {
		return pay.Answer(pay.Declined, pay.CodeRefused)
	}
	rep := h.Handler.Do(ctx, req)
	if issuer, ok := h.Dialect.Request.Auth.(protocol.Issuer); ok && req.Op == pay.SignOn && rep.Verdict == pay.Approved {
		if err := issuer.Issue(req, &rep); err != nil {
			return pay.Answer(pay.Declined, pay.CodeRefused)
		}
	}
	return rep
}

// line tells in one line what was asked, answered and done to the answer.
func line(asked *protocol.Asked, rep *pay.Reply, t Trouble, err error) string {
	if err != nil {
		return fmt.Sprintf("拒绝 %s: %v", rep.Code, err)
	}
	req := asked.Request
	s := fmt.Sprintf("%s 流水 %s 户号 %s 金额 %s: %s/%s", req.Op, req.Ref.Serial, pay.Account.Masked(req.Account), req.Amount.Yuan(), rep.Verdict, rep.Code)
	if t.Fault != Sound {
		s += " 故障 " + t.Fault.String()
	}
	if t.For > 0 {
		s += "=" + t.For.String()
	}
	return s
}
