package statement

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// totals is what a file's header claims.
type totals struct {
	day            string
	count          int
	sum            pay.Amount
	hasCount, sum0 bool
}

// Read reads a whole file of the given day. Count and sum of the header must
// equal those of the effective lines; the error names line, byte and field.
func (s *Spec) Read(b []byte, day pay.Day, p reconcile.Party) ([]reconcile.Line, error) {
	var lines []reconcile.Line
	var claim totals
	var sum pay.Amount
	offset, number, effective := 0, 0, 0
	for len(b) > 0 {
		row, rest, _ := bytes.Cut(b, []byte{'\n'})
		start := offset
		offset += len(b) - len(rest)
		b, number = rest, number+1
		row = bytes.TrimSuffix(row, []byte{'\r'})
		if len(row) > s.MaxLine {
			return nil, refuse(number, start, "", fmt.Sprintf("at most %d bytes", s.MaxLine), fmt.Sprintf("%d bytes", len(row)))
		}
		text, err := s.decode(number, start, row)
		if err != nil {
			return nil, err
		}
		cols := strings.Split(text, s.Delimiter)
		if number == 1 {
			if claim, err = s.header(cols, start, day); err != nil {
				return nil, err
			}
			continue
		}
		l, err := s.line(cols, number, start, p)
		if err != nil {
			return nil, err
		}
		if l.Effect == reconcile.Posted || l.Effect == reconcile.Charged {
			effective++
			sum += l.Amount
		}
		l.Row = number
		lines = append(lines, l)
	}
	if number == 0 {
		return nil, refuse(1, 0, "", "a header line", "an empty file")
	}
	if claim.hasCount && claim.count != effective {
		return nil, refuse(1, 0, "count", fmt.Sprintf("%d effective lines", claim.count), strconv.Itoa(effective))
	}
	if claim.sum0 && claim.sum != sum {
		return nil, refuse(1, 0, "sum", claim.sum.Yuan(), sum.Yuan())
	}
	return lines, nil
}

func (s *Spec) header(cols []string, offset int, day pay.Day) (t totals, err error) {
	if len(cols) != len(s.Header) {
		return t, refuse(1, offset, "", fmt.Sprintf("%d header columns", len(s.Header)), strconv.Itoa(len(cols)))
	}
	for i, name := range s.Header {
		v := strings.TrimSpace(cols[i])
		switch name {
		case colDay:
			if v != day.String() {
				return t, refuse(1, offset, colDay, day.String(), v)
			}
		case "count":
			if t.count, err = strconv.Atoi(v); err != nil || t.count < 0 {
				return t, refuse(1, offset, name, "a number", "other text")
			}
			t.hasCount = true
		case "sum":
			if t.sum, err = s.parseAmount(v); err != nil {
				return t, refuse(1, offset, name, "an amount in "+s.Amount, "other text")
			}
			t.sum0 = true
		}
	}
	return t, nil
}

func (s *Spec) line(cols []string, number, offset int, p reconcile.Party) (l reconcile.Line, err error) {
	if len(cols) != len(s.Fields) {
		return l, refuse(number, offset, "", fmt.Sprintf("%d columns", len(s.Fields)), strconv.Itoa(len(cols)))
	}
	val := map[string]string{}
	wrong := func(i int, want, got string) error {
		return refuse(number, offset+s.width(cols[:i]), s.Fields[i], want, got)
	}
	for i, name := range s.Fields {
		v := strings.TrimSpace(cols[i])
		val[name] = v
		switch name {
		case colAmount:
			if l.Amount, err = s.parseAmount(v); err != nil {
				return l, wrong(i, "an amount in "+s.Amount, "other text")
			}
		case colStatus:
			if l.Effect, err = s.effect(v, p); err != nil {
				return l, wrong(i, "a status of the list", strconv.Quote(v))
			}
		case colDay:
			if l.Day, err = pay.ParseDay(v); err != nil {
				return l, wrong(i, "YYYYMMDD", "other text")
			}
		case colAccount:
			if v == "" {
				return l, wrong(i, "a customer number", "nothing")
			}
		}
	}
	l.Serial, l.Host, l.Account, l.Link, l.Time = val[colReference], val[colHost], val[colAccount], val[colChannel], val[colTime]
	if len(s.Key) > 0 {
		l.Key = reconcile.Key(s.keys(), func(id pay.FieldID) string { return val[id.String()] })
	}
	return l, nil
}

// width returns how many bytes of the file the columns and their delimiters
// take.
func (s *Spec) width(cols []string) int {
	n := 0
	for _, c := range cols {
		b, err := s.encode(c)
		if err != nil {
			b = []byte(c)
		}
		n += len(b) + len(s.Delimiter)
	}
	return n
}

func (s *Spec) effect(wire string, p reconcile.Party) (reconcile.Effect, error) {
	for _, st := range s.Status {
		if st.Wire == wire {
			return effectOf(st.Effect, p), nil
		}
	}
	return 0, fmt.Errorf("unlisted status")
}

func (s *Spec) keys() []pay.FieldID {
	ids := make([]pay.FieldID, len(s.Key))
	for i, k := range s.Key {
		ids[i], _ = pay.ParseField(k) // Check has seen to it
	}
	return ids
}

// Keys returns the business fields that make a line unique at the bank.
func (s *Spec) Keys() []pay.FieldID { return s.keys() }

// Row is one line to be written: its values by column and its effect.
type Row struct {
	Effect reconcile.Effect
	Amount pay.Amount
	Values map[string]string
}

// Write writes a whole file of the day, with totals over the effective rows.
func (s *Spec) Write(day pay.Day, rows []Row) ([]byte, error) {
	count, sum := 0, pay.Amount(0)
	for i := range rows {
		if wordOf(rows[i].Effect) == "effective" {
			count++
			sum += rows[i].Amount
		}
	}
	head := make([]string, len(s.Header))
	for i, name := range s.Header {
		switch name {
		case colDay:
			head[i] = day.String()
		case "count":
			head[i] = strconv.Itoa(count)
		case "sum":
			head[i] = s.writeAmount(sum)
		}
	}
	text := strings.Join(head, s.Delimiter) + "\n"
	var out strings.Builder
	out.WriteString(text)
	for i := range rows {
		if err := s.row(&out, day, &rows[i]); err != nil {
			return nil, err
		}
	}
	return s.encode(out.String())
}

func (s *Spec) row(out *strings.Builder, day pay.Day, r *Row) error {
	for i, name := range s.Fields {
		v := r.Values[name]
		switch name {
		case colAmount:
			v = s.writeAmount(r.Amount)
		case colDay:
			v = day.String()
		case colStatus:
			v = ""
			for _, st := range s.Status {
				if st.Effect == wordOf(r.Effect) {
					v = st.Wire
					break
				}
			}
		}
		if strings.Contains(v, s.Delimiter) || strings.ContainsAny(v, "\r\n") {
			return fmt.Errorf("column %s: value contains the delimiter or a line end", name)
		}
		if i > 0 {
			out.WriteString(s.Delimiter)
		}
		out.WriteString(v)
	}
	out.WriteByte('\n')
	return nil
}
