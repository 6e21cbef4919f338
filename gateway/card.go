package gateway

import (
	"context"

	"qianzhi/gateway/pay"
)

// card answers what a kiosk asks after a sale for a card meter: the data for
// the card once more (补写卡), or that the card was written or not. No money
// moves, so both may be repeated as often as the kiosk likes; only the writing
// is repeated, never the sale.
func (e *Engine) card(ctx context.Context, req *pay.Request) pay.Reply {
	rep := e.cardReply(ctx, req)
	if err := e.note(ctx, pay.EvQuery, req, rep.Code, true); err != nil {
		return pay.Answer(pay.Unknown, pay.CodeBusy)
	}
	return rep
}

func (e *Engine) cardReply(ctx context.Context, req *pay.Request) pay.Reply {
	if req.Original == nil {
		return pay.Answer(pay.Declined, pay.CodeFormat)
	}
	sale, found, err := e.o.Journal.Find(ctx, *req.Original)
	if err != nil {
		return pay.Answer(pay.Unknown, pay.CodeBusy)
	}
	var h *Host
	k := -1
	if found {
		h, k = e.cardHost(&sale)
	}
	switch {
	case h == nil, req.Account != "" && req.Account != sale.Req.Account:
		return pay.Answer(pay.Declined, pay.CodeOriginal)
	case sale.State.Open() || sale.State == pay.Susp:
		return pay.Answer(pay.Unknown, pay.CodeInProgress)
	case sale.State != pay.Succ && sale.State != pay.Reco || e.childOpen(ctx, &sale):
		return pay.Answer(pay.Declined, pay.CodeOriginal)
	}
	ask := e.about(&sale, k, e.hostRequest(&sale, req.Op))
	ask.Original = &pay.Ref{Kind: pay.KindPay, Serial: sale.ID.Serial(e.o.Node)}
	result := pay.Find(req.More, pay.FWriteResult)
	if req.Op == pay.CardConfirm {
		ask.More = append(ask.More, pay.Field{ID: pay.FWriteResult, Val: result})
	}
	rep := e.put(ctx, h, ask)
	if req.Op == pay.CardConfirm && rep.Verdict == pay.Approved {
		e.written(ctx, &sale, result)
	}
	return rep
}

func (e *Engine) cardHost(p *pay.Entry) (*Host, int) {
	for i, s := range e.o.Routes.steps(p) {
		if s.Kind == pay.LegCard {
			return s.Host, i
		}
	}
	return nil, -1
}

// written notes at the sale what became of the meter card. Where another event
// came first the card system knows it all the same.
func (e *Engine) written(ctx context.Context, sale *pay.Entry, result string) {
	if result == "" || sale.State != pay.Succ {
		return
	}
	ev := pay.Event{Kind: pay.EvState, At: e.o.Now(), State: sale.State, Code: sale.Code, Note: "写卡 " + result}
	if err := e.o.Journal.Append(context.WithoutCancel(ctx), sale.ID, sale.N, ev); err != nil {
		e.o.Log.Warn("card write not noted", "event", "QZ222", "payment", sale.ID.Serial(e.o.Node), "err", err)
	}
}
