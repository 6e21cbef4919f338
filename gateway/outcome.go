package gateway

import (
	"context"
	"errors"

	"qianzhi/gateway/pay"
)

// The words of a 结果通知 for what became of a charge; a link file maps the
// sender's to them. Any other word is no outcome.
const (
	outcomeApproved = "approved"
	outcomeDeclined = "declined"
)

// outcome takes what a host tells by itself of a charge that it was asked for: an
// answer that comes late and over another link, which says by its signature whose
// it is. It is on record before it is acknowledged, and changes what any late
// answer would. The host is told "no" only about what is not ours; whatever else
// is not taken it may tell again.
func (e *Engine) outcome(ctx context.Context, req *pay.Request) pay.Reply {
	rep := e.heardOf(ctx, req)
	if err := e.note(ctx, pay.EvQuery, req, rep.Code, true); err != nil {
		return pay.Answer(pay.Unknown, pay.CodeBusy)
	}
	return rep
}

func (e *Engine) heardOf(ctx context.Context, req *pay.Request) pay.Reply {
	host := e.o.Tells[req.Via.Link]
	switch {
	case host == "":
		return pay.Answer(pay.Declined, pay.CodeNotAllowed)
	case req.Original == nil:
		return pay.Answer(pay.Declined, pay.CodeFormat)
	}
	answer := pay.Reply{Amount: req.Amount, Serial: pay.Find(req.More, pay.FReference)}
	switch pay.Find(req.More, pay.FOutcome) {
	case outcomeApproved:
		answer.Verdict, answer.Code = pay.Approved, pay.CodeOK
	case outcomeDeclined:
		answer.Verdict, answer.Code = pay.Declined, pay.CodeRefused
	default:
		return pay.Answer(pay.Approved, pay.CodeOK) // nothing is decided, and that is known now
	}
	err := e.late(context.WithoutCancel(ctx), req.Original.Serial, lateAnswer{host: host, rep: answer})
	switch {
	case errors.Is(err, errNotOurs):
		return pay.Answer(pay.Declined, pay.CodeOriginal)
	case err != nil:
		return pay.Answer(pay.Unknown, pay.CodeBusy)
	}
	return pay.Answer(pay.Approved, pay.CodeOK)
}
