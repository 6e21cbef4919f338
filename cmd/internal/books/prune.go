package books

import (
	"context"
	"errors"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

// Prune removes the days before a day. The daemon must not run.
func (b *Books) Prune(ctx context.Context, before pay.Day, reason string) (gone []pay.Day, err error) {
	err = b.write(ctx, func(ctx context.Context, j *journal.Journal) (err error) {
		gone, err = j.Prune(ctx, before, reason)
		return err
	})
	if errors.Is(err, journal.ErrLocked) {
		err = errors.New("守护进程正在使用此目录: 请在停机窗口清理, 或先停止它")
	}
	return gone, err
}
