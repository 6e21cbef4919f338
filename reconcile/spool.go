package reconcile

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"qianzhi/gateway/pay"
)

// spoolHead begins a closed day's lines as a file: what the journal tells, in
// the columns of the statement specification journal-lines.
const spoolHead = "row|serial|key|account|terminal|fen|direction|effect|link|time\n"

// spool is a journal's day as a file: written once, then a table.
type spool struct {
	f    *os.File
	day  pay.Day
	sum  string
	size int64
	n    int
}

var escapes = strings.NewReplacer(`\`, `\\`, "|", `\p`, "\n", `\n`, "\r", `\r`)
var unescapes = strings.NewReplacer(`\\`, `\`, `\p`, "|", `\n`, "\n", `\r`, "\r")

// newSpool writes the lines that fill yields.
func newSpool(name string, day pay.Day, fill func(yield func(*Line) bool) error) (*spool, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	s := &spool{f: f, day: day}
	sum := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, sum), 256<<10)
	_, err = w.WriteString(spoolHead)
	failed := fill(func(l *Line) bool {
		_, err = w.Write(appendSpool(w.AvailableBuffer(), l))
		s.n++
		return err == nil
	})
	if err = errors.Join(failed, err, w.Flush(), f.Sync()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if s.size, err = f.Seek(0, io.SeekEnd); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s.sum = hex.EncodeToString(sum.Sum(nil))
	return s, nil
}

func appendSpool(b []byte, l *Line) []byte {
	b = strconv.AppendInt(b, int64(l.Row), 10)
	for _, v := range []string{l.Serial, l.Key, l.Account, l.Terminal} {
		b = append(append(b, '|'), escapes.Replace(v)...)
	}
	b = strconv.AppendInt(append(b, '|'), int64(l.Amount), 10)
	b = append(b, '|', '+', '|', byte(l.Effect), '|')
	if l.Out {
		b[len(b)-4] = '-'
	}
	b = append(append(b, escapes.Replace(l.Link)...), '|')
	return append(append(b, l.Time...), '\n')
}

// Close closes the file.
func (s *spool) Close() error { return s.f.Close() }

// Declares implements Table.
func (s *spool) Declares() Fields {
	return HasSerial | HasKey | HasAccount | HasTerminal | HasDay | HasDirection | HasLink | HasTime
}

// Scan implements Table.
func (s *spool) Scan(sc *Scan) error {
	r := bufio.NewReaderSize(io.NewSectionReader(s.f, 0, s.size), 256<<10)
	at := int64(0)
	var p Print
	for {
		row, err := r.ReadSlice('\n')
		if err == io.EOF && len(row) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("journal lines at byte %d: %w", at, err)
		}
		if at > 0 {
			l, err := s.parse(row, at)
			if err != nil {
				return err
			}
			if sc.Keys(&p, l.Serial, l.Key) && (sc.Want == nil || sc.Want(0, &p)) {
				p.Amount, p.Effect, p.Out, p.At = l.Amount, l.Effect, l.Out, at
				sc.rest(&p, &l)
				sc.Row(0, &p)
			}
		}
		at += int64(len(row))
	}
}

// each yields the lines until yield has had enough.
func (s *spool) each(yield func(*Line) bool) error {
	r := bufio.NewReader(s.f)
	for at, first := int64(0), true; ; first = false {
		row, err := r.ReadBytes('\n')
		if err == io.EOF && len(row) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("journal lines at byte %d: %w", at, err)
		}
		if !first {
			l, err := s.parse(row, at)
			if err != nil || !yield(&l) {
				return err
			}
		}
		at += int64(len(row))
	}
}

// Line implements Table.
func (s *spool) Line(at int64) (Line, error) {
	r := bufio.NewReaderSize(io.NewSectionReader(s.f, at, s.size-at), 512)
	row, err := r.ReadBytes('\n')
	if err != nil {
		return Line{}, fmt.Errorf("journal lines at byte %d: %w", at, err)
	}
	return s.parse(row, at)
}

func (s *spool) parse(row []byte, at int64) (l Line, err error) {
	cols := bytes.Split(bytes.TrimSuffix(row, []byte{'\n'}), []byte{'|'})
	if len(cols) != 10 || len(cols[6]) != 1 || len(cols[7]) != 1 {
		return l, fmt.Errorf("journal lines at byte %d: want 10 columns", at)
	}
	text := func(i int) string {
		if bytes.IndexByte(cols[i], '\\') >= 0 {
			return unescapes.Replace(string(cols[i]))
		}
		return string(cols[i])
	}
	l = Line{Serial: text(1), Key: text(2), Account: text(3), Terminal: text(4), Out: cols[6][0] == '-', Effect: Effect(cols[7][0]),
		Link: text(8), Time: text(9), Day: s.day, At: at}
	if l.Row, err = strconv.Atoi(string(cols[0])); err != nil {
		return l, fmt.Errorf("journal lines at byte %d: row: %w", at, err)
	}
	l.Amount, err = pay.ParseFen(string(cols[5]))
	return l, err
}
