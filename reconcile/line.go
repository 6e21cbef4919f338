// Package reconcile decides every night whether the gateway, the bank and the
// marketing MIS tell the same story of an accounting day, to the fen. What the
// decision is for each combination stands in a matrix that is data.
package reconcile

import "qianzhi/gateway/pay"

// Party is one of the three sides that tell of a payment.
type Party uint8

// The parties.
const (
	Journal Party = iota
	MIS
	Bank
	parties
)

// String returns the term of the reports.
func (p Party) String() string { return [...]string{"本机流水", "营销MIS", "银行"}[p] }

// Effect is what one party's books say, in the letters of the matrix.
type Effect byte

// The effects of the journal's side, then of the others. Posted and Charged
// are the MIS's and the bank's word for the same thing.
const (
	Absent   Effect = 'A' // no line; for the journal None
	None     Effect = 'N' // 无流水
	Success  Effect = 'S' // 成功
	Failed   Effect = 'F' // 失败
	Open     Effect = 'U' // 未决
	Pending  Effect = 'P' // 待冲正
	Reversed Effect = 'R' // 已冲正
	Posted   Effect = 'P' // 已销账, in the MIS's column
	Charged  Effect = 'C' // 已扣款
	Undone   Effect = 'V' // 已返销, 已冲退
)

// OfState returns the journal's effect of a payment in state s at the freeze.
func OfState(s pay.State) Effect {
	switch s {
	case pay.Succ, pay.Reco, pay.Adjd:
		return Success
	case pay.Fail:
		return Failed
	case pay.Revp:
		return Pending
	case pay.Revd:
		return Reversed
	}
	return Open
}

// Line is one payment as one party tells it.
type Line struct {
	Key     string // the bank's key; equal on both sides of journal and bank
	Serial  string // ours; equal on both sides of journal and MIS
	Host    string // the party's own serial
	Account string
	Amount  pay.Amount
	Day     pay.Day
	Effect  Effect
	Link    string
	Time    string // HH:MM:SS where the party tells it
	Row     int    // in the party's file, from 1; in the journal's day, the payment's row
}

// net returns the money that the line leaves in its party's books.
func (l *Line) net(p Party) pay.Amount {
	if l == nil {
		return 0
	}
	effective := map[Party]Effect{Journal: Success, MIS: Posted, Bank: Charged}[p]
	if l.Effect == effective {
		return l.Amount
	}
	return 0
}

// SourceState says whether a party's lines can be believed.
type SourceState uint8

// The states of a source.
const (
	Expected SourceState = iota // 应到未到
	Accepted                    // 采用
	Rejected                    // 拒收
)

// String returns the term of the reports.
func (s SourceState) String() string { return [...]string{"未到", "采用", "拒收"}[s] }

// Input is one party's file of one day.
type Input struct {
	Party  Party
	Name   string
	State  SourceState
	Why    string // of a rejection: line, byte and field
	Lines  []Line
	Raw    []byte // a byte copy is kept with the report
	Signed bool
}
