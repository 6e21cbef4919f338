package books

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"qianzhi/cmd/internal/app"
	"qianzhi/cmd/internal/inspect"
	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/spec"
)

// Story is everything that is known of one payment.
type Story struct {
	Payment Line              `json:"payment"`
	Request *inspect.Business `json:"request"`
	Events  []Happening       `json:"events"`
	Message *inspect.Message  `json:"message,omitempty"`
	Digest  string            `json:"sm3"`
	Bytes   int               `json:"bytes"`
	Peer    string            `json:"peer,omitempty"`
	Hint    string            `json:"hint,omitempty"` // why the message is not shown field by field
}

// Happening is one event of a payment.
type Happening struct {
	Time     string `json:"time"`
	Place    string `json:"row"` // log and row
	Event    string `json:"event"`
	Leg      string `json:"leg,omitempty"`
	LegState string `json:"leg_state,omitempty"`
	State    string `json:"state"`
	Code     string `json:"code,omitempty"`
	Attempt  uint16 `json:"attempt,omitempty"`
	Host     string `json:"host_serial,omitempty"`
	Due      string `json:"due,omitempty"`
	Note     string `json:"note,omitempty"`
}

var (
	eventWords = map[pay.EventKind]string{pay.EvReceived: "受理", pay.EvMarker: "发送标记", pay.EvResult: "应答", pay.EvState: "状态变更",
		pay.EvWanted: "要求冲正", pay.EvAttempt: "查询未果", pay.EvCarried: "日切结转", pay.EvReverse: "冲正受理"}
	legWords      = map[pay.LegKind]string{pay.LegPost: "销账", pay.LegCharge: "扣款", pay.LegCard: "卡表"}
	legStateWords = map[pay.LegState]string{pay.LegSent: "已发", pay.LegDone: "成功", pay.LegRefused: "拒绝", pay.LegUnknown: "未知", pay.LegUndone: "已撤回"}
)

// StoryOf tells a payment. The received message is shown through the field
// list of its link, which masks it; tracks and PIN were never stored.
func StoryOf(c *app.Config, e *pay.Entry, steps []journal.Step) *Story {
	s := &Story{Payment: LineOf(e, false), Request: inspect.OfRequest(e.Req, false)}
	for i := range steps {
		s.Events = append(s.Events, happening(e, &steps[i]))
	}
	if v := e.Req.Via; v != nil {
		s.Digest, s.Bytes, s.Peer = hex.EncodeToString(v.Digest[:]), len(v.Raw), v.Peer
		s.message(c, v)
	}
	return s
}

func happening(e *pay.Entry, s *journal.Step) Happening {
	ev := &s.Event
	h := Happening{Time: ev.At.Format(seconds), Place: fmt.Sprintf("%s:%d", s.Log, s.Row), Event: eventWords[ev.Kind],
		State: ev.State.Chinese(), Attempt: ev.Attempt, Host: ev.Host, Note: ev.Note, LegState: legStateWords[ev.LegIs]}
	if h.LegState != "" && int(ev.Leg) < len(e.Legs) {
		h.Leg = fmt.Sprintf("%d %s", ev.Leg+1, legWords[e.Legs[ev.Leg].Kind])
	}
	if ev.Kind == pay.EvReceived && len(e.Legs) > 0 && ev.State == pay.Sent {
		h.Leg, h.LegState = "1 "+legWords[e.Legs[0].Kind], legStateWords[pay.LegSent]
	}
	if ev.Code != pay.CodeUnknown {
		h.Code = ev.Code.Chinese()
	}
	if !ev.Due.IsZero() {
		h.Due = ev.Due.Format(seconds)
	}
	return h
}

// message shows the stored message by its link file.
func (s *Story) message(c *app.Config, v *pay.Via) {
	for _, l := range c.Links {
		if l.ID != v.Link {
			continue
		}
		link, err := spec.Load(c.Path(l.File), os.ReadFile)
		if err == nil {
			d, err1 := link.Assemble(spec.Parts{})
			if err = err1; err == nil {
				s.Message, err = inspect.Decode(d, v.Raw, inspect.Options{Bare: true})
			}
		}
		if s.Message == nil && err != nil {
			s.Hint = err.Error()
		}
		return
	}
	s.Hint = fmt.Sprintf("配置中没有链路 %q", v.Link)
}

// Text writes the story for a terminal.
func (s *Story) Text(w io.Writer) error {
	p := &s.Payment
	fmt.Fprintf(w, "缴费 %s  %s  %s  %s 元\n", p.ID, p.OpText, p.StateText, p.Fen.Yuan())
	fmt.Fprintf(w, "链路 %s  机构 %s  流水号 %s  户号 %s  来自 %s\n", p.Link, p.Institution, p.Serial, p.Account, s.Peer)
	if p.Original != "" {
		fmt.Fprintf(w, "原交易 %s\n", p.Original)
	}
	for _, h := range s.Events {
		fmt.Fprintf(w, "%s  %-16s %s  %s", h.Time, h.Place, h.Event, h.State)
		for _, part := range [][2]string{{"  腿 ", h.Leg}, {" ", h.LegState}, {"  码 ", h.Code}, {"  对方流水 ", h.Host}, {"  期限 ", h.Due}, {"  ", h.Note}} {
			if part[1] != "" {
				fmt.Fprint(w, part[0], part[1])
			}
		}
		if h.Attempt > 0 {
			fmt.Fprintf(w, "  第 %d 次", h.Attempt)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "收到的报文 %d 字节, SM3 %s\n", s.Bytes, s.Digest)
	if s.Message == nil {
		_, err := fmt.Fprintf(w, "不能按字段显示: %s\n", s.Hint)
		return err
	}
	return s.Message.Table(w)
}
