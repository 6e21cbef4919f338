package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"qianzhi/gateway/admin"
	"qianzhi/gateway/journal"
)

// guardEvery is how often the state of the journal is looked at for the log;
// health and metrics look whenever they are asked.
const guardEvery = time.Second

// clockSlack is how far the clock may be behind the last row before somebody is
// told: rows of a busy moment run ahead of it a little.
const clockSlack = time.Second

// lagging is how many rows of the running day may be in no index before a
// search is slow.
const lagging = 1 << 19

// guard writes into the log what goes wrong with the journal and when it is over.
func (a *App) guard(ctx context.Context) error {
	tick := time.NewTicker(guardEvery)
	defer tick.Stop()
	if s := a.journal.Stats(); s.Damaged != "" {
		a.log.Error("journal had a damaged tail", "event", "QZ204", "what", s.Damaged)
	}
	var down, behind bool
	tables := a.plan.tables()
	for {
		a.reread(tables)
		a.flush(ctx)
		s := a.journal.Stats()
		if s.Down != down {
			if down = s.Down; down {
				a.log.Error("journal cannot be written", "event", "QZ205", "err", s.LastError)
			} else {
				a.log.Info("journal is written again", "event", "QZ206", "failures", s.Failures)
			}
		}
		if back := s.ClockBehind > clockSlack; back != behind {
			if behind = back; behind {
				a.log.Error("clock stepped back", "event", "QZ207", "behind", s.ClockBehind.String())
			} else {
				a.log.Info("clock has caught up", "event", "QZ208")
			}
		}
		select {
		case <-ctx.Done():
			a.flush(ctx)
			return nil
		case <-tick.C:
		}
	}
}

// flush journals the counts of rejected frames that the links hold back.
func (a *App) flush(ctx context.Context) {
	a.mu.Lock()
	doors := slices.Clone(a.doors)
	a.mu.Unlock()
	for _, ch := range doors {
		ch.Flush(ctx)
	}
}

// journalProblems says what is wrong with the journal.
func journalProblems(j journal.Stats) []admin.Problem {
	var out []admin.Problem
	say := func(fatal bool, format string, a ...any) {
		out = append(out, admin.Problem{Part: "journal", Text: fmt.Sprintf(format, a...), Fatal: fatal})
	}
	if j.Down {
		say(true, "流水不可写: %s", j.LastError)
	}
	if j.Damaged != "" {
		say(false, "启动时切除了损坏的尾部: %s", j.Damaged)
	}
	if j.ClockBehind > clockSlack {
		say(false, "系统时钟比最后一行流水慢 %s", j.ClockBehind.Round(time.Second))
	}
	if j.Unindexed > 0 {
		say(false, "%d 个已日切的流水尚无索引, 查找较慢", j.Unindexed)
	}
	if j.IndexLag > lagging {
		say(false, "今日流水有 %d 行尚未索引, 查找较慢", j.IndexLag)
	}
	return out
}
