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
	"sync"

	"qianzhi/gateway/pay"
)

// spoolHead begins a closed day's lines as a file: what the journal tells, in
// the columns of the statement specification journal-lines. Behind the letter of
// the effect stand those of the parties that have no part in the payment.
const spoolHead = "row|serial|key|account|terminal|fen|direction|effect|link|time\n"

// Its columns.
const (
	spoolRow = iota
	spoolSerial
	spoolKey
	spoolAccount
	spoolTerminal
	spoolFen
	spoolOut
	spoolEffect
	spoolLink
	spoolTime
	spoolCols
)

var (
	errColumns = fmt.Errorf("want %d columns", spoolCols)
	errNoEnd   = errors.New("the last line has no end")
)

// spool is a journal's day as a file: written once, then a table.
type spool struct {
	f    *os.File
	day  pay.Day
	sum  string
	size int64
	n    int
}

var escapes = strings.NewReplacer(`\`, `\\`, "|", `\p`, "\n", `\n`, "\r", `\r`)

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
	way := byte('+')
	if l.Out {
		way = '-'
	}
	b = append(b, '|', way, '|', byte(l.Effect))
	for p := MIS; p < parties; p++ {
		if l.Without.Has(p) {
			b = append(b, p.letter())
		}
	}
	b = append(append(append(b, '|'), escapes.Replace(l.Link)...), '|')
	return append(append(b, l.Time...), '\n')
}

// openSpool opens the lines that an earlier run kept.
func openSpool(name string, day pay.Day) (*spool, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &spool{f: f, day: day, size: st.Size()}, nil
}

// OpenJournal opens a day's lines as a run keeps them among its inputs
// (journal.txt). The table is an io.Closer.
func OpenJournal(name string, day pay.Day) (Table, error) {
	s, err := openSpool(name, day)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Close closes the file.
func (s *spool) Close() error { return s.f.Close() }

// Declares implements Table.
func (s *spool) Declares() Fields {
	return HasSerial | HasKey | HasAccount | HasTerminal | HasDay | HasDirection | HasLink | HasTime
}

// spoolBlock is what a worker reads at a time, more than any line has.
const spoolBlock = 1 << 20

// Scan implements Table.
func (s *spool) Scan(sc *Scan) error {
	from := NewBlocks(s.f, int64(len(spoolHead)), s.size, 0)
	var wg sync.WaitGroup
	for w := range max(1, sc.Workers) {
		wg.Go(func() {
			r := spoolReader{s: s, scan: sc, worker: w}
			if err := r.blocks(from); err != nil {
				from.Fail(err)
			}
		})
	}
	wg.Wait()
	return from.Err()
}

// spoolReader reads the lines of one worker.
type spoolReader struct {
	s      *spool
	scan   *Scan
	worker int
	print  Print
	cols   [spoolCols][]byte
	clear  [spoolCols][]byte // of columns with escapes
}

func (r *spoolReader) blocks(from *Blocks) error {
	buf := make([]byte, min(spoolBlock, r.s.size))
	for {
		b, at, err := from.Next(buf)
		if err != nil || len(b) == 0 {
			return wrapAt(at, err)
		}
		for len(b) > 0 {
			n := bytes.IndexByte(b, '\n') + 1
			if n == 0 {
				return wrapAt(at, errNoEnd)
			}
			if err := r.line(b[:n-1], at); err != nil {
				return wrapAt(at, err)
			}
			b, at = b[n:], at+int64(n)
		}
	}
}

// line prints one line.
func (r *spoolReader) line(row []byte, at int64) error {
	if err := r.split(row); err != nil {
		return err
	}
	p, c := &r.print, &r.cols
	if !r.scan.KeyBytes(p, c[spoolSerial], c[spoolKey]) || r.scan.Want != nil && !r.scan.Want(r.worker, p) {
		return nil
	}
	amount, err := pay.ParseFen(string(c[spoolFen]))
	if err != nil {
		return err
	}
	p.Amount, p.Effect, p.Out, p.At = amount, Effect(c[spoolEffect][0]), c[spoolOut][0] == '-', at
	p.Without = withoutOf(c[spoolEffect][1:])
	r.scan.Compared(p, c[spoolAccount], c[spoolTerminal], c[spoolLink], r.s.day)
	r.scan.Row(r.worker, p)
	return nil
}

// split cuts a line into its columns, as they were before they were escaped.
func (r *spoolReader) split(row []byte) error {
	escaped := bytes.IndexByte(row, '\\') >= 0
	for i := range r.cols {
		n := bytes.IndexByte(row, '|')
		if last := i == spoolCols-1; (n < 0) != last {
			return errColumns
		} else if last {
			n = len(row)
		}
		r.cols[i] = row[:n]
		if escaped {
			r.clear[i] = unescape(r.clear[i][:0], row[:n])
			r.cols[i] = r.clear[i]
		}
		row = row[min(n+1, len(row)):]
	}
	if len(r.cols[spoolOut]) != 1 || len(r.cols[spoolEffect]) == 0 {
		return errColumns
	}
	return nil
}

// withoutOf reads the letters of parties.
func withoutOf(letters []byte) (w Without) {
	for _, c := range letters {
		for p := MIS; p < parties; p++ {
			if p.letter() == c {
				w |= 1 << p
			}
		}
	}
	return w
}

// unescape takes escapes back.
func unescape(dst, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\\' && i+1 < len(b) {
			i++
			switch c = b[i]; c {
			case 'p':
				c = '|'
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			}
		}
		dst = append(dst, c)
	}
	return dst
}

func wrapAt(at int64, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("journal lines at byte %d: %w", at, err)
}

// each yields the lines until yield has had enough.
func (s *spool) each(yield func(*Line) bool) error {
	r := bufio.NewReader(io.NewSectionReader(s.f, 0, s.size))
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
	var r spoolReader
	if err := r.split(bytes.TrimSuffix(row, []byte{'\n'})); err != nil {
		return l, wrapAt(at, err)
	}
	c := &r.cols
	l = Line{Serial: string(c[spoolSerial]), Key: string(c[spoolKey]), Account: string(c[spoolAccount]), Terminal: string(c[spoolTerminal]),
		Out: c[spoolOut][0] == '-', Effect: Effect(c[spoolEffect][0]), Without: withoutOf(c[spoolEffect][1:]), Link: string(c[spoolLink]), Time: string(c[spoolTime]), Day: s.day, At: at}
	if l.Row, err = strconv.Atoi(string(c[spoolRow])); err == nil {
		l.Amount, err = pay.ParseFen(string(c[spoolFen]))
	}
	return l, wrapAt(at, err)
}
