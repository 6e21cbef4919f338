package crash

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"qianzhi/cmd/internal/app"
	"qianzhi/cmd/internal/peer"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/spec"
)

// meter is the card-meter system: it outlives every kill, and counts what each
// sale has come to.
type meter struct {
	mu      sync.Mutex
	effects map[string]int // by our serial
	doubled []string
}

func (m *meter) add(b peer.Booking) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch b.What {
	case "sold":
		m.effects[b.Serial]++
	case "reversed":
		m.effects[b.Serial]--
	case "again":
		m.doubled = append(m.doubled, b.Serial)
	}
}

// of returns how often the sale under our serial counts.
func (m *meter) of(serial string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.effects[serial]
}

// count returns how many sales count.
func (m *meter) count() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.effects {
		n += e
	}
	return n
}

// open serves the card-meter system of a configuration until ctx ends.
func (m *meter) open(ctx context.Context, conf *app.Config) error {
	for _, h := range conf.Hosts {
		if h.ID != "meter" {
			continue
		}
		link, err := spec.Load(conf.Path(h.File), os.ReadFile)
		if err != nil {
			return err
		}
		d, err := link.Assemble(spec.Parts{Now: time.Now})
		if err != nil {
			return err
		}
		ln, err := net.Listen("tcp", h.Dial)
		if err != nil {
			return err
		}
		host := &peer.Host{Dialect: d, Handler: peer.NewMeters(peer.Promises{Dedupe: true, Status: true, Booked: m.add}), Script: new(peer.Script), Now: time.Now,
			Pause: peer.Wait, Note: func(string) {}}
		go host.Serve(ctx, ln)
		return nil
	}
	return fmt.Errorf("no host meter in the demo's configuration")
}

// write makes the task of writing a meter card: the data is asked for, the first
// writing fails, and it is asked for once more.
func (p *player) write(k string, sale *pay.Request) task {
	steps := []struct {
		op     pay.Op
		result string
	}{{pay.CardWrite, ""}, {pay.CardConfirm, "failed"}, {pay.CardWrite, ""}, {pay.CardConfirm, "ok"}}
	return func(ctx context.Context, tries int) bool {
		for len(steps) > 0 {
			req := p.request(steps[0].op)
			req.Account, req.Original = sale.Account, &pay.Ref{Serial: sale.Ref.Serial}
			req.More = append(req.More, pay.Field{ID: pay.FOriginalDate, Val: sale.Day.String()}, pay.Field{ID: pay.FWriteResult, Val: steps[0].result})
			rep, ok := p.final(ctx, req, tries)
			if !ok {
				return false
			}
			if rep.Verdict != pay.Approved {
				p.bank.tale.contradict("%s: %s was answered %s/%s", k, req.Op, rep.Verdict, rep.Code)
			}
			steps = steps[1:]
		}
		return true
	}
}
