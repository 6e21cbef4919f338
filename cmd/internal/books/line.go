package books

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"qianzhi/gateway/pay"
)

// Line is one payment as lists and exports show it.
type Line struct {
	ID          string     `json:"id"`
	Time        string     `json:"time"`
	Link        string     `json:"link"`
	Op          string     `json:"op"`
	OpText      string     `json:"op_text"`
	Institution string     `json:"institution"`
	Serial      string     `json:"serial"`
	Account     string     `json:"account"`
	Fen         pay.Amount `json:"fen"`
	Card        string     `json:"card,omitempty"`
	State       string     `json:"state"`
	StateText   string     `json:"state_text"`
	Code        string     `json:"code,omitempty"`
	CodeText    string     `json:"code_text,omitempty"`
	Host        string     `json:"host_serial,omitempty"`
	Changed     string     `json:"changed"`
	Due         string     `json:"due,omitempty"`
	Original    string     `json:"original,omitempty"`
	Note        string     `json:"note,omitempty"`
}

const seconds = "2006-01-02T15:04:05.000-07:00"

// LineOf makes the line of a payment, masked unless told otherwise.
func LineOf(e *pay.Entry, unmask bool) Line {
	show := func(m pay.Mask, s string) string {
		if unmask || s == "" {
			return s
		}
		return m.Masked(s)
	}
	r := e.Req
	l := Line{ID: ID(e.ID), Time: e.At.Format(seconds), Op: r.Op.String(), OpText: r.Op.Chinese(), Institution: r.Ref.Institution, Serial: r.Ref.Serial,
		Account: show(pay.Account, r.Account), Fen: r.Amount, State: e.State.String(), StateText: e.State.Chinese(),
		Changed: e.Changed.Format(seconds), Note: e.Note}
	if l.Card = show(pay.Card, pay.Find(r.More, pay.FPAN)); l.Card == "" {
		l.Card = pay.Find(r.More, pay.FCardTail)
	}
	if r.Via != nil {
		l.Link = r.Via.Link
	}
	if e.State == pay.NoState { // a 冲正 is in no state: what it reversed is
		l.State, l.StateText = "", "冲正"
	} else if e.Code != pay.CodeUnknown || !e.State.Final() {
		l.Code, l.CodeText = e.Code.String(), e.Code.Chinese()
	}
	var hosts []string
	for _, leg := range e.Legs {
		if leg.Host != "" {
			hosts = append(hosts, leg.Host)
		}
	}
	l.Host = strings.Join(hosts, " ")
	if !e.Due.IsZero() {
		l.Due = e.Due.Format(seconds)
	}
	if !e.Original.IsZero() {
		l.Original = ID(e.Original)
	}
	return l
}

var header = []string{"编号", "时间", "链路", "业务", "机构", "流水号", "户号", "金额(元)", "卡号", "状态", "状态说明", "码", "码说明", "对方流水", "变更时间", "处理期限", "原交易", "备注"}

func (l *Line) cells() []string {
	return []string{l.ID, l.Time, l.Link, l.Op, l.Institution, l.Serial, l.Account, l.Fen.Yuan(), l.Card, l.State, l.StateText, l.Code, l.CodeText,
		l.Host, l.Changed, l.Due, l.Original, l.Note}
}

// Table writes lines for a terminal.
func Table(w io.Writer, lines []Line) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "编号\t时间\t链路\t业务\t流水号\t户号\t金额(元)\t卡号\t状态\t说明")
	for _, l := range lines {
		at, _ := time.Parse(seconds, l.Time)
		fmt.Fprintln(t, strings.Join([]string{l.ID, at.Format("01-02 15:04:05.000"), l.Link, l.OpText, l.Serial, l.Account, l.Fen.Yuan(), l.Card, l.StateText, l.CodeText}, "\t"))
	}
	return t.Flush()
}

// Sink takes the lines of an export one by one.
type Sink struct {
	put   func(*Line) error
	Flush func() error
	Count int
}

// NewSink writes lines as csv or jsonl.
func NewSink(w io.Writer, format string) (*Sink, error) {
	switch format {
	case "csv":
		c := csv.NewWriter(w)
		err := c.Write(header)
		return &Sink{put: func(l *Line) error { return c.Write(safe(l.cells())) }, Flush: func() error { c.Flush(); return c.Error() }}, err
	case "jsonl":
		j := json.NewEncoder(w)
		j.SetEscapeHTML(false)
		return &Sink{put: func(l *Line) error { return j.Encode(l) }, Flush: func() error { return nil }}, nil
	}
	return nil, fmt.Errorf("--format: 应为 csv 或 jsonl, 而不是 %s", strconv.Quote(format))
}

// Put writes one payment.
func (s *Sink) Put(e *pay.Entry, unmask bool) error {
	l := LineOf(e, unmask)
	s.Count++
	return s.put(&l)
}

// safe keeps a spreadsheet from taking what a sender wrote for a formula.
func safe(cells []string) []string {
	for i, c := range cells {
		if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
			cells[i] = "'" + c
		}
	}
	return cells
}
