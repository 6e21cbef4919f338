package pay

import "time"

// Ref is an idempotency key. Institution is shared by all links of one bank,
// so the same serial over another link of that bank is the same message. Scope
// holds whatever makes the serial unique (terminal, merchant, batch, sender's
// date); the gateway's own accounting day is never part of it.
type Ref struct {
	Institution   string
	Kind          Kind
	Scope, Serial string
}

// IsZero reports whether the key names nothing.
func (r Ref) IsZero() bool { return r == Ref{} }

// Append appends the canonical bytes of the key: four parts, each ended by a
// zero byte, so that no two keys share an encoding.
func (r Ref) Append(dst []byte) []byte {
	dst = append(dst, r.Institution...)
	dst = append(dst, 0, byte(r.Kind), 0)
	dst = append(dst, r.Scope...)
	dst = append(dst, 0)
	dst = append(dst, r.Serial...)
	return append(dst, 0)
}

// Bill is one receivable of a customer.
type Bill struct {
	ID        string // 应收标识, unique at the utility
	Month     string // 电费年月, YYYYMM
	Amount    Amount // what is owed: principal plus penalty
	Principal Amount
	Penalty   Amount
	Card      string // of a payment in a 批上送: the card it was charged to; never journaled here
}

// Funds says whether the sender has already taken the customer's money.
type Funds uint8

// Funds of a link. Untaken is a promise of the link file, never a default.
const (
	FundsUnset Funds = iota
	Taken            // 已扣款: never refuse finally what is authentic
	Untaken          // 未扣款: a refusal hurts nobody
)

// Via tells how a request entered the gateway.
type Via struct {
	Link     string
	Peer     string    // remote address
	At       time.Time // when the last byte was read
	Funds    Funds
	Raw      []byte   // opened body with secrets overwritten; owned by the request
	Digest   [32]byte // SM3 of the bytes as received
	Replayed bool     // authentic, but its nonce was seen before
	Refuse   Code     // why the channel would refuse it, CodeUnknown when it would not
}

// Request is one business message on its way in. Its strings are slices of
// one backing string; nobody modifies a request after it was built.
type Request struct {
	Ref      Ref
	Day      Day // the sender's own business date, 0 when it sends none
	Op       Op
	Biller   string
	Account  string
	Amount   Amount
	Bills    []Bill
	Original *Ref
	More     []Field
	Via      *Via // nil inside the adapters
}

// Same reports whether two requests under one key ask for the same thing.
// Times, PINs and MACs do not count.
func (r *Request) Same(o *Request) bool {
	if r.Op != o.Op || r.Biller != o.Biller || r.Account != o.Account || r.Amount != o.Amount {
		return false
	}
	if r.Original == nil || o.Original == nil {
		return r.Original == o.Original
	}
	return *r.Original == *o.Original
}

// Reply is the answer to a Request. Its zero value is Unknown.
type Reply struct {
	Verdict Verdict
	Code    Code
	Amount  Amount
	Serial  string // the answering side's own serial
	Bills   []Bill
	More    []Field
}

// Answer builds a reply without content.
func Answer(v Verdict, c Code) Reply { return Reply{Verdict: v, Code: c} }
