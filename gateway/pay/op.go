package pay

// Op is what a message asks for. The zero value asks for nothing.
type Op uint8

// The operations of a collection front end. The Chinese terms are those of the
// glossary in ARCHITECTURE.md.
const (
	OpNone      Op = iota
	Query          // 查询欠费: arrears of a customer, no money moves
	Status         // 查询结果: what became of an earlier payment
	Pay            // 缴费: post a payment against bills
	Reverse        // 冲正: undo a payment whose answer did not arrive
	Cancel         // 撤销/返销: undo an answered payment of the same day
	Refund         // 退货: give money back on a later day
	CardPay        // 购电: charge for a card meter
	CardWrite      // 写卡数据: data to be written to the meter card
	CardConfirm    // 写卡确认: result of the card write
	SignOn         // 签到
	SignOff        // 签退
	Echo           // 线路测试
	Settle         // 批结算
	BatchUpload    // 批上送
	CheckTotals    // 对总账
	CheckFile      // 对明细账
	UploadEnd      // 批上送结束
	Advance        // 预存: take money in advance of bills
	Outcome        // 结果通知: a host tells what became of a charge
)

var opNames = [...]string{"none", "query", "status", "pay", "reverse", "cancel", "refund",
	"card-pay", "card-write", "card-confirm", "sign-on", "sign-off", "echo",
	"settle", "batch-upload", "check-totals", "check-file", "upload-end", "advance", "outcome"}

// String returns the name used in configuration, logs and link files.
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return "op?"
}

var opChinese = [...]string{"", "查询欠费", "查询结果", "缴费", "冲正", "撤销", "退货", "购电", "写卡数据", "写卡确认", "签到", "签退", "线路测试",
	"批结算", "批上送", "对总账", "对明细账", "批上送结束", "预存", "结果通知"}

// Chinese returns the term for operators.
func (o Op) Chinese() string {
	if int(o) < len(opChinese) {
		return opChinese[o]
	}
	return "?"
}

// ParseOp finds the operation with the given configuration name.
func ParseOp(name string) (Op, bool) {
	for i, n := range opNames {
		if n == name && i != 0 {
			return Op(i), true
		}
	}
	return OpNone, false
}

// Money reports whether the operation may change what a customer owes or has
// paid. Money operations are journaled before they act and replayed when they
// repeat; all others run again.
func (o Op) Money() bool {
	switch o {
	case Pay, Reverse, Cancel, Refund, CardPay, CardWrite, CardConfirm, Advance:
		return true
	}
	return false
}

// Collects reports whether the operation takes a customer's money.
func (o Op) Collects() bool { return o == Pay || o == CardPay || o == Advance }

// Kind tells apart messages that carry the same serial on purpose: a reversal
// repeats the trace number of its sale and still is another message.
type Kind uint8

// The kinds of idempotency key.
const (
	KindOther Kind = iota
	KindPay
	KindReverse
	KindCancel
	KindRefund
	KindCardWrite
)

var kindNames = [...]string{"other", "pay", "reverse", "cancel", "refund", "card-write"}

// String returns the name used in logs and exports.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind?"
}

// Kind returns the key kind under which messages of this operation are unique.
func (o Op) Kind() Kind {
	switch o {
	case Pay, CardPay, Advance:
		return KindPay
	case Reverse:
		return KindReverse
	case Cancel:
		return KindCancel
	case Refund:
		return KindRefund
	case CardWrite, CardConfirm:
		return KindCardWrite
	}
	return KindOther
}
