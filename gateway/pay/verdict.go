package pay

import "fmt"

// Verdict is how an answer may be used. The zero value is Unknown: what nobody
// decided is in doubt, never refused.
type Verdict uint8

// The verdicts.
const (
	Unknown Verdict = iota
	Approved
	Declined
)

// String returns the name used in configuration and logs.
func (v Verdict) String() string {
	switch v {
	case Approved:
		return "approved"
	case Declined:
		return "declined"
	}
	return "unknown"
}

// Code says why. It is the gateway's own list; link files map each code to the
// sender's response code and each host's response code to one of these.
type Code uint8

// The codes. CodeUnknown is the zero value and means in doubt.
const (
	CodeUnknown     Code = iota
	CodeOK               // approved
	CodeInProgress       // accepted, not decided yet
	CodeNotFoundYet      // nothing known of that serial, so far
	CodeNoEffect         // reversal of something that has no effect
	CodeReversed         // the original is already reversed
	CodeNoCustomer       // no such customer
	CodeNothingOwed      // no bill is open
	CodeAmount           // amount differs from the bills, or from the original
	CodeDuplicate        // serial used before with other content
	CodeBlocked          // an earlier payment of the same debt is in doubt
	CodeOriginal         // original not found or not reversible
	CodeWindow           // too late to undo here
	CodeTombstone        // reversed before it arrived
	CodeExpired          // sender's date is older than what is kept
	CodeNotAllowed       // operation not allowed on this link
	CodeLimit            // over a limit of the link
	CodeBusy             // refused for load, nothing was done
	CodeFormat           // message not understood
	CodeAuth             // MAC or signature wrong
	CodeSignOn           // sign on first
	CodeReplayed         // authentic message seen before, content unknown here
	CodeNotAccepted      // journal unavailable, nothing was done
	CodeUnreachable      // host not reached, nothing was sent
	CodeParked           // accepted, decided by a person
	CodeRefused          // host refuses, no finer reason
	CodeClosed           // day end, not trading
	CodeReconciling      // the day is being reconciled
	CodeNoRoute          // no utility for this account
	CodeFrequent         // more payments in a time than the customer or the sender may make
	CodeTerminal         // terminal or merchant not registered, or disabled
	CodeInterrupted      // we stopped before the outcome was known
	CodeContrary         // a host said one thing and then the other
	CodeNotCut           // the day that is asked about is not over
	codes
)

// codeTable is indexed by Code: configuration name, text for operators, the
// English text.
var codeTable = [codes][3]string{
	CodeUnknown:     {"unknown", "结果未知,请查询", "outcome unknown, query"},
	CodeOK:          {"ok", "成功", "approved"},
	CodeInProgress:  {"in-progress", "处理中,请勿重复缴费", "in progress, do not pay again"},
	CodeNotFoundYet: {"not-found-yet", "暂无此交易,请稍后再查", "not found yet, query later"},
	CodeNoEffect:    {"no-effect", "原交易未生效,无需冲正", "original has no effect, nothing to reverse"},
	CodeReversed:    {"reversed", "原交易已冲正", "already reversed"},
	CodeNoCustomer:  {"no-customer", "无此用户", "no such customer"},
	CodeNothingOwed: {"nothing-owed", "无欠费", "nothing owed"},
	CodeAmount:      {"amount", "金额不符", "amount differs"},
	CodeDuplicate:   {"duplicate", "流水号重复", "duplicate serial"},
	CodeBlocked:     {"blocked", "同一笔电费有未决缴费", "an earlier payment of this debt is undecided"},
	CodeOriginal:    {"original", "原交易不存在", "original not found"},
	CodeWindow:      {"window", "已过可撤销时间", "too late to undo"},
	CodeTombstone:   {"tombstone", "该流水已先行冲正", "reversed before it arrived"},
	CodeExpired:     {"expired", "交易日期过早", "date too old"},
	CodeNotAllowed:  {"not-allowed", "交易不允许", "operation not allowed"},
	CodeLimit:       {"limit", "超过限额", "over limit"},
	CodeBusy:        {"busy", "系统忙,请稍后", "busy, try later"},
	CodeFormat:      {"format", "报文格式错误", "message not understood"},
	CodeAuth:        {"auth", "MAC或签名校验失败", "MAC or signature wrong"},
	CodeSignOn:      {"sign-on", "请重新签到", "sign on first"},
	CodeReplayed:    {"replayed", "重放报文", "replayed message"},
	CodeNotAccepted: {"not-accepted", "系统故障,未受理", "not accepted"},
	CodeUnreachable: {"unreachable", "受理方不可达,未受理", "host not reachable, nothing sent"},
	CodeParked:      {"parked", "已受理,待核实", "accepted, being checked"},
	CodeRefused:     {"refused", "受理方拒绝", "refused by the host"},
	CodeClosed:      {"closed", "系统日终", "closed for day end"},
	CodeReconciling: {"reconciling", "正在对账", "reconciliation running"},
	CodeNoRoute:     {"no-route", "无对应供电单位", "no utility for this account"},
	CodeFrequent:    {"frequent", "缴费过于频繁,请稍后再缴", "too many payments, pay later"},
	CodeTerminal:    {"terminal", "终端或商户未登记或已停用", "terminal or merchant not registered or disabled"},
	CodeInterrupted: {"interrupted", "前置重启时尚无结果", "outcome not known when the gateway restarted"},
	CodeContrary:    {"contrary", "对方应答前后矛盾", "answers of the host contradict each other"},
	CodeNotCut:      {"not-cut", "该账务日尚未日切,请日切后再对账", "the day is not cut yet, ask again after the cut"},
}

// String returns the configuration name.
func (c Code) String() string { return c.text(0) }

// Chinese returns the text for customers and operators.
func (c Code) Chinese() string { return c.text(1) }

// English returns the English text.
func (c Code) English() string { return c.text(2) }

func (c Code) text(i int) string {
	if c < codes {
		return codeTable[c][i]
	}
	return codeTable[CodeUnknown][i]
}

// Verdict returns how the code is normally meant. A link file may say
// otherwise for one sender or host.
func (c Code) Verdict() Verdict {
	switch c {
	case CodeUnknown, CodeInProgress, CodeNotFoundYet, CodeParked, CodeBusy, CodeInterrupted, CodeContrary:
		return Unknown
	case CodeOK, CodeNoEffect, CodeReversed:
		return Approved
	}
	return Declined
}

// ParseCode finds the code with the given configuration name.
func ParseCode(name string) (Code, bool) {
	for i := range codeTable {
		if codeTable[i][0] == name {
			return Code(i), true
		}
	}
	return CodeUnknown, false
}

// Codes lists every code in the order of the table.
func Codes() []Code {
	all := make([]Code, codes)
	for i := range all {
		all[i] = Code(i)
	}
	return all
}

// Fault is the error of a call to a counterparty. Sent is pessimistic: it is
// false only when it is proved that no byte of the request left.
type Fault struct {
	Code Code
	Sent bool
	Err  error
}

// Error tells the cause and whether the request may have been sent.
func (f *Fault) Error() string {
	at := "not sent"
	if f.Sent {
		at = "may have been sent"
	}
	return fmt.Sprintf("%s (%s): %v", f.Code, at, f.Err)
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }
