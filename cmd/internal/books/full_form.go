package books

import (
	"bufio"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

// recorder writes the records of a full export.
type recorder interface {
	put(record) error
	flush() error
}

// newRecorder returns the recorder of a format: "jsonl" or "csv".
func newRecorder(w io.Writer, format string) (recorder, error) {
	switch format {
	case "jsonl":
		out := bufio.NewWriterSize(w, 1<<16)
		return jsonRecorder{json.NewEncoder(out), out}, nil
	case "csv":
		return &csvRecorder{w: csv.NewWriter(w)}, nil
	}
	return nil, fmt.Errorf("--format: 只有 jsonl 与 csv, 不是 %q", format)
}

type jsonRecorder struct {
	enc *json.Encoder
	out *bufio.Writer
}

func (j jsonRecorder) put(r record) error { return j.enc.Encode(r) }
func (j jsonRecorder) flush() error       { return j.out.Flush() }

// csvHead names the columns of a row; body is base64, numbers are decimal.
var csvHead = []string{"row", "seq", "day", "pay", "n", "prev", "kind", "state", "at", "ref", "about", "account", "pan", "serial", "tail", "link", "body"}

// csvRecorder writes a head "qianzhi_journal,format,node,day", the names of the
// columns, the rows, and an end "end,rows,signature...".
type csvRecorder struct {
	w     *csv.Writer
	cells []string
}

func (c *csvRecorder) flush() error { c.w.Flush(); return c.w.Error() }

func (c *csvRecorder) put(r record) error {
	switch {
	case r.Head != nil:
		return errors.Join(c.w.Write([]string{"qianzhi_journal", r.Head.Format, fmt.Sprint(r.Head.Node), r.Head.Day.String()}), c.w.Write(csvHead))
	case r.Row != nil:
		return c.row(r.Row)
	}
	return c.w.Write(append([]string{"end", fmt.Sprint(r.Tail.Rows)}, r.Tail.Signatures...))
}

func (c *csvRecorder) row(r *journal.Row) error {
	c.cells = append(c.cells[:0], "row")
	for _, n := range [...]uint64{r.Seq, uint64(r.Day), r.Pay, uint64(r.N), r.Prev, uint64(r.Kind), uint64(r.State), uint64(r.At),
		r.Ref, r.About, r.Account, r.PAN, r.Serial} {
		c.cells = append(c.cells, strconv.FormatUint(n, 10))
	}
	c.cells = append(c.cells, r.Tail, strconv.FormatUint(r.Link, 10), base64.StdEncoding.EncodeToString(r.Body))
	return c.w.Write(c.cells)
}

// reader returns the records of a full export in either format, io.EOF at their end.
func reader(in io.Reader) (func() (record, error), error) {
	b := bufio.NewReaderSize(in, 1<<16)
	first, err := b.Peek(1)
	if err != nil {
		return nil, err
	}
	if first[0] == '{' {
		dec := json.NewDecoder(b)
		return func() (r record, err error) { return r, dec.Decode(&r) }, nil
	}
	c := csv.NewReader(b)
	c.FieldsPerRecord, c.ReuseRecord = -1, true
	named := false
	return func() (record, error) {
		cells, err := c.Read()
		if err == nil && !named && cells[0] != "qianzhi_journal" {
			if named = slices.Equal(cells, csvHead); !named {
				return record{}, errors.New("第 2 行应为列名")
			}
			cells, err = c.Read()
		}
		if err != nil {
			return record{}, err
		}
		r, err := csvRecord(cells)
		if err != nil {
			line, _ := c.FieldPos(0)
			err = fmt.Errorf("文件第 %d 行: %w", line, err)
		}
		return r, err
	}, nil
}

func csvRecord(cells []string) (record, error) {
	switch {
	case cells[0] == "qianzhi_journal" && len(cells) == 4:
		node, err := strconv.ParseUint(cells[2], 10, 8)
		if err != nil {
			return record{}, err
		}
		day, err := pay.ParseDay(cells[3])
		return record{Head: &head{cells[1], uint8(node), day}}, err
	case cells[0] == "row" && len(cells) == len(csvHead):
		r, err := csvRow(cells[1:])
		return record{Row: r}, err
	case cells[0] == "end" && len(cells) >= 2:
		n, err := strconv.ParseUint(cells[1], 10, 64)
		return record{Tail: &tail{n, slices.Clone(cells[2:])}}, err
	}
	return record{}, fmt.Errorf("%d 个单元, 首个为 %q", len(cells), cells[0])
}

// csvRow reads the cells behind "row", in the order of csvHead.
func csvRow(cells []string) (*journal.Row, error) {
	var r journal.Row
	var err error
	number := func(i, bits int) uint64 {
		n, wrong := strconv.ParseUint(cells[i], 10, bits)
		if wrong != nil && err == nil {
			err = fmt.Errorf("%s: %w", csvHead[i+1], wrong)
		}
		return n
	}
	r.Seq, r.Day, r.Pay, r.N, r.Prev = number(0, 64), pay.Day(number(1, 32)), number(2, 64), uint32(number(3, 32)), number(4, 64)
	r.Kind, r.State, r.At = pay.EventKind(number(5, 8)), pay.State(number(6, 8)), int64(number(7, 63))
	r.Ref, r.About, r.Account, r.PAN, r.Serial = number(8, 64), number(9, 64), number(10, 64), number(11, 64), number(12, 64)
	r.Tail, r.Link = cells[13], number(14, 64)
	body, wrong := base64.StdEncoding.DecodeString(cells[15])
	if wrong != nil && err == nil {
		err = fmt.Errorf("body: %w", wrong)
	}
	if r.Body = body; len(body) == 0 {
		r.Body = nil
	}
	return &r, err
}
