package pay

import "strings"

// Mask says what people may see of a value outside the sealed journal.
type Mask uint8

// The mask classes. An unlisted class is treated as Never: masks fail closed.
const (
	Public  Mask = iota
	Account      // customer number: the middle is starred
	Card         // card number: first six and last four remain
	Name         // personal name: the first character remains
	Address      // address: the first six characters remain
	Contact      // phone or identity number: the last four remain
	Never        // tracks, PIN, CVN, keys: dropped at decode, never stored
)

var maskNames = [...]string{"public", "account", "card", "name", "address", "contact", "never"}

// String returns the name used in link files.
func (m Mask) String() string {
	if int(m) < len(maskNames) {
		return maskNames[m]
	}
	return maskNames[Never]
}

// ParseMask finds the class with the given name. Where a link file names none,
// the value is public.
func ParseMask(name string) (Mask, bool) {
	if name == "" {
		return Public, true
	}
	for i, n := range maskNames {
		if n == name {
			return Mask(i), true
		}
	}
	return Never, false
}

// FieldID names one value of the business message. Link files use its name.
type FieldID uint16

// The fields of the business message. The first group lives in Request and
// Reply themselves, the second in Bill, the rest in their More lists.
const (
	FNone FieldID = iota
	FBiller
	FAccount
	FAmount
	FSerial
	FSenderDate
	FOriginalSerial
	FOriginalDate
	FOriginalBatch
	FCode
	FText
	FBillID
	FBillMonth
	FBillAmount
	FBillPrincipal
	FBillPenalty
	FTerminal
	FMerchant
	FBatch
	FOperator
	FBranch
	FSenderTime
	FChannel
	FName
	FAddress
	FPhone
	FIDNumber
	FPAN
	FCardTail
	FTrack2
	FTrack3
	FPIN
	FCVN
	FReference
	FAuthCode
	FBankSerial
	FHostSerial
	FHostDate
	FWorkKeys
	FQuerySerial
	FBalance
	FCurrency
	FOwedCount
	FOriginalAmount
	FState
	FDay
	FPurchaseCount
	FReason
	FLocalDate
	FLocalTime
	FCorrelation
	FCardData
	FWriteResult
	FDebitSum
	FDebitCount
	FCreditSum
	FCreditCount
	FBalanced
	FForeignDebitSum
	FForeignDebitCount
	FForeignCreditSum
	FForeignCreditCount
	FForeignBalanced
	FUploadCount
	FEntryMode
	FCardSequence
	FExpiry
	FChip
	FPINFormat
	FPage
	FPages
	FDetails
	FAdvance
	FOutcome
	FPayCode
	FFile
	FBillCard
	fields
)

// FieldInfo describes one field: its name in link files, the Chinese term and
// how it is masked.
type FieldInfo struct {
	Name, Chinese string
	Mask          Mask
}

var fieldTable = [fields]FieldInfo{
	FBiller:         {"biller", "供电单位", Public},
	FAccount:        {"account", "户号", Account},
	FAmount:         {"amount", "金额", Public},
	FSerial:         {"serial", "流水号", Public},
	FSenderDate:     {"sender_date", "发起方日期", Public},
	FOriginalSerial: {"original_serial", "原流水号", Public},
	FOriginalDate:   {"original_date", "原日期", Public},
	FOriginalBatch:  {"original_batch", "原批次号", Public},
	FCode:           {"code", "应答码", Public},
	FText:           {"text", "应答说明", Public},
	FBillID:         {"bill_id", "应收标识", Public},
	FBillMonth:      {"bill_month", "电费年月", Public},
	FBillAmount:     {"bill_amount", "应收金额", Public},
	FBillPrincipal:  {"bill_principal", "电费", Public},
	FBillPenalty:    {"bill_penalty", "违约金", Public},
	FTerminal:       {"terminal", "终端号", Public},
	FMerchant:       {"merchant", "商户号", Public},
	FBatch:          {"batch", "批次号", Public},
	FOperator:       {"operator", "操作员", Public},
	FBranch:         {"branch", "网点", Public},
	FSenderTime:     {"sender_time", "发起方时间", Public},
	FChannel:        {"channel", "渠道", Public},
	FName:           {"name", "户名", Name},
	FAddress:        {"address", "用电地址", Address},
	FPhone:          {"phone", "电话", Contact},
	FIDNumber:       {"id_number", "证件号", Contact},
	FPAN:            {"pan", "主账号", Card},
	FCardTail:       {"card_tail", "卡尾号", Public},
	FTrack2:         {"track2", "二磁道", Never},
	FTrack3:         {"track3", "三磁道", Never},
	FPIN:            {"pin", "个人标识码", Never},
	FCVN:            {"cvn", "卡校验码", Never},
	FReference:      {"reference", "检索参考号", Public},
	FAuthCode:       {"auth_code", "授权码", Public},
	FBankSerial:     {"bank_serial", "银行流水号", Public},
	FHostSerial:     {"host_serial", "电力流水号", Public},
	FHostDate:       {"host_date", "电力账务日期", Public},
	FWorkKeys:       {"work_keys", "工作密钥", Never},
	FQuerySerial:    {"query_serial", "查询流水号", Public},
	FBalance:        {"balance", "余额", Public},
	FCurrency:       {"currency", "币种", Public},
	FOwedCount:      {"owed_count", "欠费笔数", Public},
	FOriginalAmount: {"original_amount", "原金额", Public},
	FState:          {"state", "交易状态", Public},
	FDay:            {"day", "账务日期", Public},
	FPurchaseCount:  {"purchase_count", "购电次数", Public},
	FReason:         {"reason", "原因码", Public},
	FLocalDate:      {"local_date", "本机日期", Public},
	FLocalTime:      {"local_time", "本机时间", Public},
	FCorrelation:    {"correlation", "报文关联号", Public},
	FCardData:       {"card_data", "写卡数据", Public},
	FWriteResult:    {"write_result", "写卡结果", Public},

	FDebitSum:           {"debit_sum", "借记总金额", Public},
	FDebitCount:         {"debit_count", "借记总笔数", Public},
	FCreditSum:          {"credit_sum", "贷记总金额", Public},
	FCreditCount:        {"credit_count", "贷记总笔数", Public},
	FBalanced:           {"balanced", "对账结果", Public},
	FForeignDebitSum:    {"foreign_debit_sum", "外卡借记总金额", Public},
	FForeignDebitCount:  {"foreign_debit_count", "外卡借记总笔数", Public},
	FForeignCreditSum:   {"foreign_credit_sum", "外卡贷记总金额", Public},
	FForeignCreditCount: {"foreign_credit_count", "外卡贷记总笔数", Public},
	FForeignBalanced:    {"foreign_balanced", "外卡对账结果", Public},
	FUploadCount:        {"upload_count", "上送笔数", Public},
	FEntryMode:          {"entry_mode", "服务点输入方式", Public},
	FCardSequence:       {"card_sequence", "卡序列号", Public},
	FExpiry:             {"expiry", "卡有效期", Never},
	FChip:               {"chip", "IC 卡数据", Never},
	FPINFormat:          {"pin_format", "安全控制信息", Public},
	FPage:               {"page", "页号", Public},
	FPages:              {"pages", "总页数", Public},
	FDetails:            {"details", "对账明细", Account},
	FAdvance:            {"advance", "转预存金额", Public},
	FOutcome:            {"outcome", "扣款结果", Public},
	FPayCode:            {"pay_code", "付款码", Never},
	FFile:               {"file", "文件名", Public},
	FBillCard:           {"bill_card", "上送卡号", Card},
}

// Info describes the field; an unknown id has no name and masks as Never.
func (id FieldID) Info() FieldInfo {
	if id == FNone || id >= fields {
		return FieldInfo{Mask: Never}
	}
	return fieldTable[id]
}

// String returns the name used in link files.
func (id FieldID) String() string { return id.Info().Name }

// ParseField finds the field with the given name.
func ParseField(name string) (FieldID, bool) {
	for i := FNone + 1; i < fields; i++ {
		if fieldTable[i].Name == name {
			return i, true
		}
	}
	return FNone, false
}

// Fields lists every field id in the order of the table.
func Fields() []FieldID {
	ids := make([]FieldID, 0, fields-1)
	for i := FNone + 1; i < fields; i++ {
		ids = append(ids, i)
	}
	return ids
}

// Field is one value of a message beyond its fixed members.
type Field struct {
	ID  FieldID
	Val string
}

// Find returns the value of id in a list, or "" when it is not there.
func Find(list []Field, id FieldID) string {
	for i := range list {
		if list[i].ID == id {
			return list[i].Val
		}
	}
	return ""
}

// Masked returns what of s people may see under the class.
func (m Mask) Masked(s string) string {
	r := []rune(s)
	switch m {
	case Public:
		return s
	case Account:
		return keep(r, 4, 2, 10)
	case Card:
		return keep(r, 6, 4, 13)
	case Name:
		return keep(r, 1, 0, 2)
	case Address:
		return keep(r, 6, 0, 8)
	case Contact:
		return keep(r, 0, 4, 8)
	}
	return "***"
}

// keep leaves head and tail characters of a value of at least least
// characters; a shorter one is hidden whole.
func keep(r []rune, head, tail, least int) string {
	if len(r) < least {
		return stars(len(r))
	}
	return string(r[:head]) + stars(len(r)-head-tail) + string(r[len(r)-tail:])
}

func stars(n int) string { return strings.Repeat("*", n) }
