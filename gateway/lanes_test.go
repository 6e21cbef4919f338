package gateway_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"qianzhi/gateway"
	"qianzhi/gateway/pay"
)

// TestHungHostKeepsNoOtherWaiting has more payments in doubt at a host that
// hangs than there are tries at once; a doubt at another host is settled as soon
// as if there were none of them.
func TestHungHostKeepsNoOtherWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, true)
		w.stop()
		well := &wire{ledger: w.ledger, calls: map[pay.Op]int{}}
		other := *w.host
		other.ID, other.Adapter, other.Timeout = "other", well, time.Second
		w.beside = gateway.Routes{{ID: "other", Prefix: "0512", Links: []string{"other"}, Steps: []gateway.Step{{Kind: pay.LegPost, Host: &other}}, InFlight: 4}}
		w.start()
		defer w.close()
		w.wire.set(func(x *wire) { x.deaf = true })
		var wg sync.WaitGroup
		for round := range 2 {
			for i := range 4 {
				wg.Go(func() { w.do(w.sale(fmt.Sprintf("A%d%d", round, i), round*4+i, pay.Taken)) })
			}
			wg.Wait()
		}
		time.Sleep(5 * time.Second) // the tries at the hung host are under way
		well.set(func(x *wire) { x.loseReplies = 1 })
		sale := w.sale("B1", 9, pay.Taken)
		sale.Via.Link = "other"
		w.do(sale)
		w.state(sale, pay.Unkn)
		time.Sleep(1100 * time.Millisecond) // the first gap
		synctest.Wait()
		w.state(sale, pay.Succ)
	})
}
