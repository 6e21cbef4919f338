package inspect

import (
	"strings"

	"qianzhi/gateway/pay"
)

// Business is the wire-free message that a link's mapping makes of the fields.
type Business struct {
	Op          string            `json:"op"`
	Verdict     string            `json:"verdict,omitempty"` // replies
	Code        string            `json:"code,omitempty"`    // replies
	Institution string            `json:"institution,omitempty"`
	Scope       []string          `json:"scope,omitempty"`
	Serial      string            `json:"serial,omitempty"`
	Day         string            `json:"day,omitempty"`
	Biller      string            `json:"biller,omitempty"`
	Account     string            `json:"account,omitempty"`
	Fen         pay.Amount        `json:"fen"`
	Original    string            `json:"original_serial,omitempty"`
	Bills       []Bill            `json:"bills,omitempty"`
	More        map[string]string `json:"more,omitempty"`
}

// Bill is one receivable, amounts in fen.
type Bill struct {
	ID        string     `json:"id"`
	Month     string     `json:"month,omitempty"`
	Fen       pay.Amount `json:"fen"`
	Principal pay.Amount `json:"principal,omitempty"`
	Penalty   pay.Amount `json:"penalty,omitempty"`
}

// OfRequest shows a request, masked unless told otherwise.
func OfRequest(r *pay.Request, unmask bool) *Business {
	b := &Business{Op: r.Op.String(), Institution: r.Ref.Institution, Serial: r.Ref.Serial, Biller: r.Biller,
		Account: shown(pay.Account, r.Account, unmask), Fen: r.Amount, Bills: bills(r.Bills), More: more(r.More, unmask)}
	for _, part := range strings.Split(r.Ref.Scope, "\x1f") {
		if part != "" {
			b.Scope = append(b.Scope, part)
		}
	}
	if r.Day != 0 {
		b.Day = r.Day.String()
	}
	if r.Original != nil {
		b.Original = r.Original.Serial
	}
	return b
}

// OfReply shows the reply to a request of an operation, masked unless told
// otherwise.
func OfReply(op pay.Op, r *pay.Reply, unmask bool) *Business {
	return &Business{Op: op.String(), Verdict: r.Verdict.String(), Code: r.Code.String(), Serial: r.Serial, Fen: r.Amount,
		Bills: bills(r.Bills), More: more(r.More, unmask)}
}

func bills(list []pay.Bill) []Bill {
	out := make([]Bill, 0, len(list))
	for _, b := range list {
		out = append(out, Bill{b.ID, b.Month, b.Amount, b.Principal, b.Penalty})
	}
	return out
}

func more(list []pay.Field, unmask bool) map[string]string {
	out := map[string]string{}
	for _, f := range list {
		out[f.ID.String()] = shown(f.ID.Info().Mask, f.Val, unmask)
	}
	return out
}

func shown(m pay.Mask, s string, unmask bool) string {
	if unmask {
		return s
	}
	return m.Masked(s)
}
