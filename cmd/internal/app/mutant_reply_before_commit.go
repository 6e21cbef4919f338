//go:build mutant_reply_before_commit

package app

import (
	"context"
	"time"

	"qianzhi/gateway"
	"qianzhi/gateway/pay"
)

// mutate plants a fault: an event is called durable before it is, as with a
// journal that does not wait for the disk.
func mutate(j gateway.Journal) gateway.Journal {
	h := hasty{j, make(chan func(), 1<<16)}
	go func() {
		for late := range h.later {
			late()
		}
	}()
	return h
}

type hasty struct {
	gateway.Journal
	later chan func()
}

// behind is how late an event is written, as with a cache that is flushed now
// and then.
const behind = 20 * time.Millisecond

func (h hasty) Append(ctx context.Context, id pay.ID, after uint32, ev ...pay.Event) error {
	due := time.NewTimer(behind)
	h.later <- func() {
		<-due.C
		_ = h.Journal.Append(context.WithoutCancel(ctx), id, after, ev...)
	}
	return nil
}
