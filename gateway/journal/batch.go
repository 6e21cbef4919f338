package journal

import (
	"context"
	"fmt"

	"qianzhi/gateway/pay"
)

// Batch yields the payments of one sender's scope (terminal, merchant and batch)
// as they stand now, of the days in which a repeat is recognised. It reads the
// logs of these days whole: a terminal settles once a day. The entry is the
// receiver's during the call.
func (j *Journal) Batch(ctx context.Context, institution, scope string, yield func(*pay.Entry) bool) error {
	today := j.Day()
	for _, day := range j.logs(today.Add(-j.o.DupDays), today) {
		p := projection{j: j, day: day}
		pick := func(e *pay.Entry) bool {
			return e.Req.Ref.Institution != institution || e.Req.Ref.Scope != scope || yield(e)
		}
		for _, pass := range []func(context.Context, pay.Day, Reader, uint64) error{p.count, p.fold(pick)} {
			for _, log := range j.logs(day, today) {
				err := j.reads.with(ctx, log, func(rd Reader) error { return pass(ctx, log, rd, 0) })
				if err != nil {
					return fmt.Errorf("journal: batch in %s: %w", log, err)
				}
				if p.stopped {
					return nil
				}
			}
		}
	}
	return nil
}
