package peer

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/spec"
)

// Client is one connection of either transport.
type Client interface {
	Do(ctx context.Context, req *pay.Request, fault Fault) (pay.Reply, error)
	Meet(ctx context.Context, req *pay.Request, t Trouble) (pay.Reply, error)
	Close() error
}

// Step is one message that a bank sends.
type Step struct {
	Text    string // as the script has it
	Request pay.Request
	Trouble Trouble
	Expect  string // verdict or code, "" for any
	again   bool   // the serial of the last payment
	undoes  bool   // the last payment is its original
	width   int    // digits of the serial that is made for it, 0: 6
}

// ParseSteps reads a script, one message a line: an operation, then words
// name=value. Names are account, amount (yuan), serial, date, original, bill
// (ID:YYYYMM:yuan, may repeat), fault, expect, and every business field;
// "serial=last" and "original=last" mean the last payment. "#" begins a
// comment.
func ParseSteps(r io.Reader) ([]Step, error) {
	var out []Step
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		s := Step{Text: strings.Join(words, " ")}
		op, ok := pay.ParseOp(words[0])
		if !ok {
			return nil, fmt.Errorf("第 %d 行: 未知的操作 %q", n, words[0])
		}
		s.Request.Op, s.Request.Ref.Kind = op, op.Kind()
		for _, w := range words[1:] {
			name, val, ok := strings.Cut(w, "=")
			if !ok {
				return nil, fmt.Errorf("第 %d 行: %q: 应为 名=值", n, w)
			}
			if err := s.word(name, val); err != nil {
				return nil, fmt.Errorf("第 %d 行: %s: %w", n, w, err)
			}
		}
		out = append(out, s)
	}
	return out, lines.Err()
}

func (s *Step) word(name, val string) (err error) {
	r := &s.Request
	switch name {
	case "account":
		r.Account = val
	case "amount":
		r.Amount, err = pay.ParseYuan(val)
	case "date":
		r.Day, err = pay.ParseDay(val)
	case "expect":
		s.Expect = val
	case "serial":
		if s.again = val == "last"; !s.again {
			r.Ref.Serial = val
		}
	case "original":
		if s.undoes = val == "last"; !s.undoes {
			r.Original = &pay.Ref{Kind: pay.KindPay, Serial: val}
		}
	case "fault":
		t, err := parseTrouble(val)
		if err == nil && !t.Fault.BySender() {
			err = fmt.Errorf("应为 %s 之一", strings.Join(faultNames[1:Joined], "、"))
		}
		s.Trouble = t
		return err
	case "bill":
		return s.bill(val)
	default:
		id, ok := pay.ParseField(name)
		if !ok {
			return fmt.Errorf("未知的业务字段")
		}
		r.More = append(r.More, pay.Field{ID: id, Val: val})
	}
	return err
}

func (s *Step) bill(val string) error {
	parts := strings.Split(val, ":")
	if len(parts) != 3 {
		return fmt.Errorf("应为 应收标识:年月:金额(元)")
	}
	a, err := pay.ParseYuan(parts[2])
	s.Request.Bills = append(s.Request.Bills, pay.Bill{ID: parts[0], Month: parts[1], Amount: a})
	return err
}

// Examples are the steps of a bank without a script: every message of the link
// once, in the order of its file.
func Examples(d *protocol.Dialect) ([]Step, error) {
	var out []Step
	done := map[pay.Op]bool{}
	for i := range d.Map.Messages {
		m := &d.Map.Messages[i]
		if done[m.Op] {
			continue // a client writes the first message of an operation
		}
		done[m.Op] = true
		x, err := spec.NewExample(d, i)
		if err != nil {
			return nil, err
		}
		s := Step{Text: m.Name, Request: x.Request, width: len(x.Request.Ref.Serial)}
		if o := x.Request.Original; o != nil { // terminals repeat the serial of what they undo
			s.undoes, s.again = true, o.Serial == x.Request.Ref.Serial
		}
		s.Request.Day, s.Request.Ref.Serial, s.Request.Original = 0, "", nil
		s.Request.More = slices.DeleteFunc(s.Request.More, func(f pay.Field) bool { return f.ID == pay.FOriginalDate || f.ID == pay.FSenderTime })
		out = append(out, s)
	}
	return out, nil
}

// Bank sends steps one after the other.
type Bank struct {
	Client  Client
	Now     func() time.Time
	Timeout time.Duration // for one reply, beyond what a fault takes
	Note    func(line string)

	count int
	last  pay.Ref
	on    pay.Day
}

// Play sends the steps and returns how many were not answered as expected.
func (b *Bank) Play(ctx context.Context, steps []Step) (wrong int, err error) {
	for i := range steps {
		if ctx.Err() != nil {
			return wrong, ctx.Err()
		}
		s := &steps[i]
		req := b.request(s)
		one, cancel := context.WithTimeout(ctx, b.Timeout+s.Trouble.For)
		rep, err := b.Client.Meet(one, req, s.Trouble)
		cancel()
		got := fmt.Sprintf("%s/%s", rep.Verdict, rep.Code)
		if err != nil {
			got = "没有可信的应答: " + strings.ReplaceAll(err.Error(), "\n", "; ")
		}
		mark := ""
		if s.Expect != "" && !s.met(&rep, err) {
			wrong++
			mark = " 应为 " + s.Expect
		}
		b.Note(fmt.Sprintf("%s [流水 %s] %s%s", s.Text, req.Ref.Serial, got, mark))
	}
	return wrong, nil
}

// met holds the outcome to what the script expects; "none" expects that no
// reply can be believed.
func (s *Step) met(rep *pay.Reply, err error) bool {
	if err != nil {
		return s.Expect == "none"
	}
	return s.Expect == rep.Verdict.String() || s.Expect == rep.Code.String()
}

// request completes a step: what the script does not say is said for it.
func (b *Bank) request(s *Step) *pay.Request {
	now, req := b.Now(), s.Request
	b.count++
	if req.Day == 0 {
		req.Day = pay.DayOf(now)
	}
	switch {
	case s.again:
		req.Ref.Serial = b.last.Serial
	case req.Ref.Serial == "":
		req.Ref.Serial = fmt.Sprintf("%0*d", cmp.Or(s.width, 6), (now.Hour()*10000+now.Minute()*100+now.Second()+b.count)%1000000)
	}
	req.More = slices.Clone(req.More) // the step may be played again
	if s.undoes {
		req.Original = &pay.Ref{Kind: pay.KindPay, Serial: b.last.Serial}
		add(&req, pay.FOriginalDate, b.on.String())
	}
	add(&req, pay.FSenderTime, now.Format("150405"))
	if req.Op == pay.Pay {
		b.last, b.on = req.Ref, req.Day
	}
	return &req
}

// add gives a field a value unless the script did.
func add(req *pay.Request, id pay.FieldID, val string) {
	if pay.Find(req.More, id) == "" {
		req.More = append(req.More, pay.Field{ID: id, Val: val})
	}
}
