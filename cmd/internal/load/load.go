// Package load plays what bank customers do: it draws a mix of business
// messages from a seed, sends them over real links and holds every reply
// against the one that is right.
package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"qianzhi/adapters/mis"
	"qianzhi/cmd/internal/peer"
	"qianzhi/gateway/pay"
)

// Client is one connection to a link.
type Client interface {
	Do(ctx context.Context, req *pay.Request, fault peer.Fault) (pay.Reply, error)
	Close() error
}

// Class is what became of one message.
type Class string

// The classes. Each message has exactly one.
const (
	Approved Class = "approved"
	Declined Class = "declined"
	Unknown  Class = "unknown"
	Replayed Class = "replayed" // a repeat, answered from what happened the first time
	Refused  Class = "refused"  // other content under a used serial, or a sale that its reversal overtook
	Rejected Class = "rejected" // wrong MAC, forged signature, garbage
)

// Ack is a payment that the gateway approved, as the bank has it.
type Ack struct {
	Link     string     `json:"link"`
	Terminal string     `json:"terminal,omitempty"`
	Batch    string     `json:"batch,omitempty"`
	Date     string     `json:"date,omitempty"`
	Serial   string     `json:"serial"`
	Account  string     `json:"account"`
	Amount   pay.Amount `json:"fen"`
	Day      pay.Day    `json:"day"`
	Time     string     `json:"time"`
	Reversed bool       `json:"reversed"`
}

// Link is one link under load.
type Link struct {
	ID       string
	Open     func(worker int) (Client, error)
	Style    Style
	Signed   bool // messages carry a MAC or signature that can be wrong
	NoSignOn bool // the link knows no sign-on
}

// Style writes what differs between the links into a request.
type Style func(worker int, serial uint64, req *pay.Request)

// Options steer a run.
type Options struct {
	Seed      uint64
	Messages  int // in all, over all links
	Workers   int // connections per link
	Links     []Link
	Customers []mis.Customer // each is used by one worker only
	Timeout   time.Duration  // of one message
	OnAck     func(Ack) error
	OnStep    func(done int) // after each message, from many goroutines
}

// Result counts the messages by class.
type Result struct {
	mu       sync.Mutex
	Messages int
	Classes  map[Class]int
	Acks     []Ack
	Wrong    []string // replies that were not the expected ones, the first ones in full
	Failures int
}

func (r *Result) count(c Class, o *Options) {
	r.mu.Lock()
	r.Messages++
	r.Classes[c]++
	n := r.Messages
	r.mu.Unlock()
	if o.OnStep != nil {
		o.OnStep(n)
	}
}

// maxWrong bounds how many wrong replies are kept in words.
const maxWrong = 20

func (r *Result) wrong(format string, a ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Failures++
	if len(r.Wrong) < maxWrong {
		r.Wrong = append(r.Wrong, fmt.Sprintf(format, a...))
	}
}

func (r *Result) ack(a Ack, o *Options) error {
	r.mu.Lock()
	r.Acks = append(r.Acks, a)
	r.mu.Unlock()
	if o.OnAck != nil {
		return o.OnAck(a)
	}
	return nil
}

// Run sends the messages and returns when all are answered.
func Run(ctx context.Context, o Options) (*Result, error) {
	res := &Result{Classes: map[Class]int{}}
	players := len(o.Links) * o.Workers
	var wg sync.WaitGroup
	errs := make([]error, players)
	for i := range players {
		p := &player{o: &o, res: res, link: &o.Links[i%len(o.Links)], worker: i / len(o.Links),
			r: rand.New(rand.NewPCG(o.Seed, uint64(i)+1)), left: share(o.Messages, players, i),
			customers: o.Customers[len(o.Customers)*i/players : len(o.Customers)*(i+1)/players]}
		wg.Go(func() { errs[i] = p.play(ctx) })
	}
	wg.Wait()
	return res, errors.Join(errs...)
}

func share(total, parts, i int) int { return total*(i+1)/parts - total*i/parts }

// One sends a single payment that must be approved and closes the client.
func One(ctx context.Context, c Client, link string, req *pay.Request, onAck func(Ack) error) (*Result, error) {
	res := &Result{Classes: map[Class]int{}}
	p := &player{o: &Options{Timeout: 40 * time.Second, OnAck: onAck}, res: res, link: &Link{ID: link}, client: c}
	defer c.Close()
	if _, err := p.pay(ctx, req); err != nil {
		return nil, err
	}
	if res.Failures > 0 {
		return nil, errors.New(res.Wrong[0])
	}
	return res, nil
}
