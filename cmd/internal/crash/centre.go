package crash

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"qianzhi/adapters/posp"
	"qianzhi/cmd/internal/app"
	"qianzhi/cmd/internal/keyfile"
	"qianzhi/cmd/internal/peer"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
)

// centre is the card centre: it outlives every kill, and counts what each
// charge has come to.
type centre struct {
	mu      sync.Mutex
	effects map[string]int // by batch and trace number
	net     pay.Amount     // what is left of all charges
	doubled []string
}

func (c *centre) add(b peer.Booking) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := b.Scope[:6] + b.Serial
	switch b.What {
	case "paid":
		c.effects[k]++
		c.net += b.Amount
	case "reversed":
		c.effects[k]--
		c.net -= b.Amount
	case "refunded":
		c.net -= b.Amount
	case "again":
		c.doubled = append(c.doubled, k)
	}
}

// of returns how often the charge of the payment with our serial counts.
func (c *centre) of(serial string) int {
	batch, trace, err := posp.Numbers(serial)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.doubled = append(c.doubled, err.Error())
	}
	return c.effects[batch+trace]
}

// open serves the card centre of a configuration until ctx ends.
func (c *centre) open(ctx context.Context, dir string, conf *app.Config) error {
	for _, h := range conf.Hosts {
		if h.ID != "posp" {
			continue
		}
		link, err := spec.Load(conf.Path(h.File), os.ReadFile)
		if err != nil {
			return err
		}
		key, err := keyfile.Read(filepath.Join(dir, "keys", "posp-master.sm4"))
		if err != nil {
			return err
		}
		d, err := link.Assemble(spec.Parts{Keys: secure.Keys{Ring: secure.Ring{"m": key}, Roles: map[string]string{"master": "m"}},
			Sessions: secure.NewSessions(100), Now: time.Now})
		if err != nil {
			return err
		}
		ln, err := net.Listen("tcp", h.Dial)
		if err != nil {
			return err
		}
		nothing, err := peer.ParseScript(nil)
		if err != nil {
			return err
		}
		host := &peer.Host{Dialect: d, Handler: peer.NewLedger(0, peer.Promises{Once: true, Booked: c.add}), Script: nothing, Now: time.Now,
			Pause: peer.Wait, Note: func(string) {}}
		go host.Serve(ctx, ln) // ends with ctx
		return nil
	}
	return fmt.Errorf("no host posp in the configuration")
}
