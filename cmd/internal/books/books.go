// Package books is the journal as the command line sees it: found by account,
// serial, card, amount and time, shown payment by payment, proved, exported,
// copied, brought back and pruned. It reads beside a running daemon.
package books

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"qianzhi/cmd/internal/app"
	"qianzhi/cmd/internal/control"
	"qianzhi/gateway/calendar"
	"qianzhi/gateway/journal"
	"qianzhi/gateway/journal/sqlite"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

// Books is the journal of a configuration.
type Books struct {
	*journal.Archive
	Config  *app.Config
	Store   *sqlite.Store
	Options journal.Options
	Today   pay.Day // by the calendar
}

// Open opens the journal for reading.
func Open(ctx context.Context, c *app.Config) (*Books, error) {
	b, err := New(c)
	if err != nil {
		return nil, err
	}
	b.Archive, err = journal.OpenArchive(ctx, b.Store, b.Options)
	return b, err
}

// New reads what belongs to the journal of a configuration, and opens nothing.
func New(c *app.Config) (*Books, error) {
	cal, err := calendar.New(c.Calendar)
	if err != nil {
		return nil, err
	}
	o := journal.Options{Dir: Dir(c), Node: c.Node.ID, DupDays: c.Journal.DupDays, MaxPending: c.Journal.MaxPending,
		Now: func() time.Time { return time.Now().In(cal.Location()) }}
	keys, err := c.KeysNamed(c.Journal.SealKey, c.Journal.IndexKey, c.Journal.SignKey)
	if err != nil {
		return nil, err
	}
	o.KEK, o.IndexKey, o.Signer = keys[c.Journal.SealKey].SM4, keys[c.Journal.IndexKey].SM4, keys[c.Journal.SignKey].Private
	return &Books{Config: c, Store: sqlite.New(o.Dir), Options: o, Today: cal.Day(o.Now())}, o.Check()
}

// Dir is the journal's folder.
func Dir(c *app.Config) string { return filepath.Join(c.Path(c.Node.Data), "journal") }

// Auditor proves the journal of a configuration, for which it reads one key.
func Auditor(c *app.Config) (*journal.Auditor, error) {
	keys, err := c.KeysNamed(c.Journal.SignKey)
	if err != nil {
		return nil, err
	}
	return NewAuditor(Dir(c), c.Node.ID, keys[c.Journal.SignKey].Public)
}

// NewAuditor proves the logs in a folder under a public key.
func NewAuditor(dir string, node uint8, public *gm.PublicKey) (*journal.Auditor, error) {
	if public == nil {
		return nil, errors.New("没有签名公钥")
	}
	return &journal.Auditor{Store: sqlite.New(dir), Dir: dir, Node: node, Public: public}, nil
}

// ID writes the name of a payment as people give it back: day and row.
func ID(id pay.ID) string { return fmt.Sprintf("%s-%d", id.Day, id.Row) }

// ParseID reads what ID wrote, or our 20-digit serial towards the hosts.
func ParseID(s string, node uint8) (pay.ID, error) {
	day, row, ok := strings.Cut(s, "-")
	if !ok && len(s) == 20 {
		n, err := strconv.ParseUint(s[8:10], 10, 8)
		if err == nil && uint8(n) != node {
			return pay.ID{}, fmt.Errorf("%s 属于节点 %d, 本机是 %d", s, n, node)
		}
		day, row = s[:8], s[10:]
	}
	d, err := pay.ParseDay(day)
	r, err1 := strconv.ParseUint(row, 10, 64)
	if errors.Join(err, err1) != nil || r == 0 {
		return pay.ID{}, fmt.Errorf("%q: 应为 日期-行号(如 20261124-15)或 20 位流水号", s)
	}
	return pay.ID{Day: d, Row: r}, nil
}

// Record writes into the journal that somebody saw what is otherwise hidden: the
// running daemon does it, or this process where none runs.
func (b *Books) Record(ctx context.Context, text string) error {
	err := b.write(ctx, func(ctx context.Context, j *journal.Journal) error {
		return j.Note(ctx, &pay.Note{Kind: pay.EvAdmin, Text: text}, true)
	})
	if !errors.Is(err, journal.ErrLocked) {
		return err
	}
	if b.Config.Admin.Socket == "" {
		return errors.New("守护进程正在运行且没有 admin.socket, 无法留下记录, 因此不执行")
	}
	return control.New(b.Config.Socket()).Note(ctx, text)
}

// write opens the journal as the daemon does, which must not run, and closes it
// again.
func (b *Books) write(ctx context.Context, do func(context.Context, *journal.Journal) error) error {
	j, err := journal.Open(ctx, b.Store, b.Options, b.Today)
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- j.Run(run) }()
	err = do(ctx, j)
	stop()
	return errors.Join(err, <-done)
}
