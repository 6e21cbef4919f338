package desk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"qianzhi/gateway/access"
	"qianzhi/gateway/pay"
)

// The levels of what the matrix allows the program. L1 and LR make up for what
// is known or owed already; L3P and L3V move money at the MIS, and do so by
// themselves only under an order that two people have signed.
const (
	LevelRecord  = "L1"  // 补记我方状态
	LevelReverse = "LR"  // 重发欠下的冲正
	LevelPost    = "L3P" // 补销账
	LevelReturn  = "L3V" // 返销
)

// Levels lists all.
func Levels() []string { return []string{LevelRecord, LevelReverse, LevelPost, LevelReturn} }

// StandingOrder is what the program may do about a channel's days without
// asking.
type StandingOrder struct {
	Channel string
	Levels  []string
	Limits  Limits
	Trial   int     // days from a channel's first in which nothing is done by itself
	Until   pay.Day // last day of the order, 0: no end
}

// Moves reports whether the order is one that two people have to sign.
func (o *StandingOrder) Moves() bool {
	return o.has(LevelPost) || o.has(LevelReturn)
}

// Text says the order in words; signatures keep it.
func (o *StandingOrder) Text() string {
	until := "无期限"
	if o.Until != 0 {
		until = "至 " + o.Until.String()
	}
	if o.Limits.Biller {
		until += ", 以电力为准"
	}
	return fmt.Sprintf("渠道 %s 自动处理 %s, 单笔 %s 元, 每日 %d 笔、合计 %s 元, 新渠道 %d 日内只作计划, %s", o.Channel, strings.Join(o.Levels, " "),
		o.Limits.Item.Yuan(), o.Limits.Count, o.Limits.Sum.Yuan(), o.Trial, until)
}

// Hash changes with every part of the order: a signature under one is none
// under another.
func (o *StandingOrder) Hash() string {
	sum := sha256.Sum256([]byte(o.Text()))
	return hex.EncodeToString(sum[:8])
}

func (o *StandingOrder) has(level string) bool { return slices.Contains(o.Levels, level) }

// author is who acts under the order.
func (o *StandingOrder) author() access.Principal {
	return access.Recorded("常设指令 "+o.Hash(), "")
}

// standingDir in the folder of all reconciliations keeps the signatures under
// standing orders, a folder for each channel.
const standingDir = "standing"

// LayOrder reads the signatures under an order: Closed means that two people
// signed it as it is. root is the folder of all reconciliations.
func LayOrder(root string, o *StandingOrder) (t *Table, err error) {
	t = &Table{Home: filepath.Join(root, standingDir, o.Channel), Manifest: o.Hash(), Items: map[string]*Decision{}}
	t.Summary.Day, t.Summary.Channel = standingDir, o.Channel
	if t.Entries, err = Read(t.Home); err != nil {
		return nil, err
	}
	for i := range t.Entries {
		t.fold(&t.Entries[i])
	}
	if t.Void = t.Signed != nil && t.Signed.Manifest != t.Manifest; t.Void || t.Asked != nil {
		t.Stage = Matched // another order, or one that was taken back
	}
	return t, nil
}

// Decide has somebody sign, countersign or (Reopen) take back a standing order.
// One person is enough to take it back.
func (d *Desk) Decide(ctx context.Context, who access.Principal, o *StandingOrder, kind Kind, text string) (*Table, error) {
	home := filepath.Join(d.Root, standingDir, o.Channel)
	if err := os.MkdirAll(home, 0o750); err != nil {
		return nil, err
	}
	unlock, err := lock(home)
	if err != nil {
		return nil, err
	}
	defer unlock()
	t, err := LayOrder(d.Root, o)
	if err != nil {
		return nil, err
	}
	e := &Entry{Kind: kind, By: who.Name(), Person: who.Person(), Text: strings.TrimSpace(text)}
	switch {
	case kind == Sign && t.Stage == Closed:
		err = fmt.Errorf("%w: 常设指令 %s 已经两人签署", ErrStage, o.Hash())
	case kind == Sign && !o.Moves():
		err = errors.New("该渠道的常设指令不含 L3P、L3V, 无须签署")
	case kind == Sign:
		e.Text = strings.TrimSpace(o.Text() + "; " + e.Text)
		err = t.sign(who, e)
	case kind == Countersign:
		err = t.countersign(who)
	case kind == Reopen:
		err = t.reopen(who, e)
	default:
		err = fmt.Errorf("没有操作 %q", string(kind))
	}
	if err != nil {
		return nil, err
	}
	if err := d.enter(ctx, t, who, e); err != nil {
		return nil, err
	}
	return LayOrder(d.Root, o)
}

// Mandate is a standing order as it may be acted on now.
type Mandate struct {
	Order  *StandingOrder
	Signed bool
	Off    string // why nothing is done at all; "" when it is
}

// Mandate looks how far an order holds today.
func (d *Desk) Mandate(o *StandingOrder, today pay.Day) (m Mandate, err error) {
	m.Order = o
	first, err := firstDay(d.Root, o.Channel)
	if err != nil {
		return m, err
	}
	switch {
	case len(o.Levels) == 0:
		m.Off = "未设常设指令"
	case o.Until != 0 && today > o.Until:
		m.Off = "常设指令已于 " + o.Until.String() + " 到期"
	case first == 0 || today < first.Add(o.Trial):
		m.Off = fmt.Sprintf("新渠道 %d 日内只作计划", o.Trial)
	}
	if m.Off != "" || !o.Moves() {
		return m, nil
	}
	t, err := LayOrder(d.Root, o)
	if err == nil {
		m.Signed = t.Stage == Closed
	}
	return m, err
}

// Allows reports whether the order holds for an action that was begun under it.
func (m *Mandate) Allows(w *Work) bool {
	level := levelOf(w.Action)
	return m.Off == "" && w.Order == m.Order.Hash() && m.Order.has(level) && (m.Signed || level != LevelPost && level != LevelReturn)
}

// firstDay is the first day of which a channel has a report, 0: none.
func firstDay(root, channel string) (pay.Day, error) {
	names, err := os.ReadDir(root) // sorted
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	for _, n := range names {
		day, err := pay.ParseDay(n.Name())
		if err != nil {
			continue
		}
		if _, err := os.Lstat(filepath.Join(root, n.Name(), channel, "latest")); err == nil {
			return day, nil
		}
	}
	return 0, nil
}
