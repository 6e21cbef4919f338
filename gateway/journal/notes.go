package journal

import (
	"context"
	"fmt"
	"time"

	"qianzhi/gateway/pay"
)

// Noted is a row that belongs to no payment, as it was written.
type Noted struct {
	Log  pay.Day
	Row  uint64
	At   time.Time
	Note pay.Note
}

// Notes yields the notes of one kind in a day's log, in the order of writing.
// It reads the whole log.
func (a *Archive) Notes(ctx context.Context, log pay.Day, kind pay.EventKind, yield func(*Noted) bool) error {
	return a.j.reads.with(ctx, log, func(rd Reader) error {
		var rows []Row // content is opened after the read: a key is a row of the same log
		err := rd.Read(ctx, Range{}, func(r *Row) bool {
			if r.Kind == kind {
				rows = append(rows, *r)
			}
			return true
		})
		if err != nil {
			return err
		}
		for i := range rows {
			plain, err := a.j.keys.open(ctx, log, rd, &rows[i])
			if err != nil {
				return err
			}
			d := decoder{s: string(plain), loc: a.j.loc}
			n, err := d.note()
			if err != nil {
				return fmt.Errorf("journal: %s row %d: %w", log, rows[i].Seq, err)
			}
			if n.Kind = kind; !yield(&Noted{Log: log, Row: rows[i].Seq, At: a.j.time(rows[i].At), Note: n}) {
				break
			}
		}
		return nil
	})
}
