package pay

// State is what is known of a payment as a whole; each of its legs keeps a
// record of its own. Every state but Recv is the last event in the journal.
type State uint8

// The eleven states of a payment.
const (
	NoState State = iota
	Recv          // 已受理: parsed and valid, in memory only
	Jrnl          // 已记账: the intent is durable
	Sent          // 已发送: a leg's marker is durable, its bytes may have left
	Unkn          // 未知: a leg may or may not have happened
	Succ          // 成功: every leg confirmed
	Fail          // 失败: proved that no leg has effect
	Revp          // 待冲正: a leg has or may have effect and must be undone
	Revd          // 已冲正: every leg that had effect is undone
	Susp          // 挂账: a file or a person decides
	Reco          // 已对平: part of a signed-off day
	Adjd          // 已调整: an approved correction was posted
)

// states is indexed by State; a name, a Chinese name.
var states = [...][2]string{
	{"", ""}, {"RECV", "已受理"}, {"JRNL", "已记账"}, {"SENT", "已发送"}, {"UNKN", "未知"},
	{"SUCC", "成功"}, {"FAIL", "失败"}, {"REVP", "待冲正"}, {"REVD", "已冲正"},
	{"SUSP", "挂账"}, {"RECO", "已对平"}, {"ADJD", "已调整"},
}

// String returns the four-letter code used in logs, exports and the API.
func (s State) String() string { return s.text(0) }

// Chinese returns the term shown to operators.
func (s State) Chinese() string { return s.text(1) }

func (s State) text(i int) string {
	if int(s) < len(states) {
		return states[s][i]
	}
	return "?"
}

// next is the whole state machine: bit t of next[s] is set when s may be
// followed by t. Thirty-four transitions are legal. Succ to Revp is for a 冲正
// only; a 撤销, 返销 or 退货 is a payment of its own, and takes its original from
// Succ to Revd when it is Succ itself.
var next = [...]uint16{
	Recv: set(Jrnl, Fail),
	Jrnl: set(Sent, Fail),
	Sent: set(Sent, Unkn, Succ, Fail, Revp),
	Unkn: set(Sent, Unkn, Succ, Fail, Revp, Susp),
	Succ: set(Revp, Revd, Susp, Reco),
	Fail: set(Susp, Reco),
	Revp: set(Revp, Revd, Susp),
	Revd: set(Susp, Reco),
	Susp: set(Succ, Fail, Revp, Reco, Adjd),
	Reco: set(Susp),
	Adjd: set(Susp, Reco),
}

func set(to ...State) uint16 {
	var m uint16
	for _, s := range to {
		m |= 1 << s
	}
	return m
}

// May reports whether a payment in state s may go to state t.
func (s State) May(t State) bool { return int(s) < len(next) && next[s]&(1<<t) != 0 }

// Open reports whether the payment still has work that the gateway owes: it is
// neither decided nor in the hands of a person.
func (s State) Open() bool {
	switch s {
	case Recv, Jrnl, Sent, Unkn, Revp:
		return true
	}
	return false
}

// Final reports whether the state is an answer that may be told as final.
func (s State) Final() bool {
	switch s {
	case Succ, Fail, Revd, Reco, Adjd:
		return true
	}
	return false
}
