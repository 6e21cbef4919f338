package gateway

import (
	"context"
	"strconv"
	"sync"

	"qianzhi/gateway/pay"
)

// maxUploaded bounds the payments that are remembered of all uploads, maxBatch
// those of one; its number has four digits on the wire.
const (
	maxUploaded = 1 << 18
	maxBatch    = 9999
)

// uploads remembers which payments of a batch were uploaded, so that a message
// that is sent again counts once. It is no proof of anything: a terminal that is
// told of another number, as after a restart, uploads again.
type uploads struct {
	mu    sync.Mutex
	by    map[batch]map[string]struct{} // serials
	order []batch                       // the oldest first
	total int
}

// batch names a terminal's batch.
type batch struct{ institution, scope string }

func batchOf(req *pay.Request) batch { return batch{req.Ref.Institution, req.Ref.Scope} }

// take adds the payments of one message. The oldest uploads are forgotten where
// there is no room.
func (u *uploads) take(b batch, bills []pay.Bill) {
	u.mu.Lock()
	defer u.mu.Unlock()
	of, ok := u.by[b]
	if len(bills) > 0 && !ok {
		of = map[string]struct{}{}
		u.by[b], u.order = of, append(u.order, b)
	}
	for i := range bills {
		if _, ok := of[bills[i].ID]; !ok && len(of) < maxBatch {
			of[bills[i].ID] = struct{}{}
			u.total++
		}
	}
	for u.total > maxUploaded && len(u.order) > 1 {
		u.total -= len(u.by[u.order[0]])
		delete(u.by, u.order[0])
		u.order = u.order[1:]
	}
}

// count is how many payments of a batch were uploaded.
func (u *uploads) count(b batch) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.by[b])
}

// endUpload answers the end of an upload: the number of payments that the
// terminal says must be that of those that arrived.
func (e *Engine) endUpload(ctx context.Context, req *pay.Request) pay.Reply {
	code := pay.CodeOK
	if said := pay.Find(req.More, pay.FUploadCount); said != "" {
		n, err := strconv.Atoi(said)
		got := e.uploads.count(batchOf(req))
		switch {
		case err != nil:
			code = pay.CodeFormat
		case n != got:
			code = pay.CodeAmount
			e.o.Log.Warn("upload not complete", "event", "QZ353", "link", req.Via.Link, "terminal", pay.Find(req.More, pay.FTerminal),
				"batch", pay.Find(req.More, pay.FBatch), "claimed", n, "arrived", got)
		}
	}
	if e.note(ctx, pay.EvQuery, req, code, true) != nil {
		return pay.Answer(pay.Unknown, pay.CodeBusy)
	}
	if code != pay.CodeOK {
		return pay.Answer(pay.Declined, code)
	}
	return pay.Answer(pay.Approved, code)
}
