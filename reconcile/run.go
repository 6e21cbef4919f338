package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"qianzhi/gateway/pay"
)

// Books is the journal's side of a run.
type Books interface {
	// Freeze names the row as of which the day is judged. A day that is not
	// cut yet is an error.
	Freeze(ctx context.Context, day pay.Day) (uint64, error)
	// Lines yields every payment stamped with the day as it stood at the row.
	Lines(ctx context.Context, day pay.Day, freeze uint64, yield func(*pay.Entry) bool) error
}

// Source fetches one party's lines of one day. A file that has not come is an
// Input in state Expected, one that does not fit is Rejected with the reason;
// an error is trouble of our own.
type Source interface {
	Fetch(ctx context.Context, day pay.Day) (Input, error)
}

// Channel is a set of links that are reconciled together. A nil source means
// that the party takes no part.
type Channel struct {
	ID    string
	Links []string
	MIS   Source
	Bank  Source
	Key   []pay.FieldID // of a journal entry; equals the bank lines' key
}

// File is one file of a report.
type File struct {
	Name string
	Data []byte
}

// Options are the parts of a Runner.
type Options struct {
	Dir      string // reports: <day>/<channel>/r<n>
	Node     uint8
	Books    Books
	Matrix   *Matrix
	Channels []Channel
	Report   func(*Result) ([]File, error)
	Now      func() time.Time
	Log      *slog.Logger
}

// Runner runs reconciliations, one at a time on its directory.
type Runner struct{ o Options }

// New builds a runner; nothing is touched until Run.
func New(o Options) *Runner { return &Runner{o: o} }

// ErrBusy reports that another run holds the lock; exit status 6.
var ErrBusy = errors.New("另一对账正在进行")

// Run reconciles every channel for the day and returns the results in the
// order of the channels. A result stands for its channel even when others
// failed; the error is trouble that left no result.
func (r *Runner) Run(ctx context.Context, day pay.Day) ([]*Result, error) {
	unlock, err := r.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	var all []*Result
	var errs error
	for i := range r.o.Channels {
		res, err := r.channel(ctx, &r.o.Channels[i], day)
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("channel %s: %w", r.o.Channels[i].ID, err))
			continue
		}
		all = append(all, res)
	}
	return all, errs
}

func (r *Runner) lock() (func(), error) {
	if err := os.MkdirAll(r.o.Dir, 0o750); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(r.o.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(ErrBusy, f.Close())
	}
	return func() { _ = f.Close() }, nil // closing releases the lock
}

// Done reports whether the day has a report for every channel.
func (r *Runner) Done(day pay.Day) bool {
	for i := range r.o.Channels {
		if r.versions(day, r.o.Channels[i].ID) == 0 {
			return false
		}
	}
	return len(r.o.Channels) > 0
}

func (r *Runner) channel(ctx context.Context, c *Channel, day pay.Day) (*Result, error) {
	res := &Result{Day: day, Channel: c.ID, Version: r.versions(day, c.ID) + 1, At: r.o.Now(), HasMIS: c.MIS != nil, HasBank: c.Bank != nil}
	r.live(slog.LevelInfo, "QZ100", "开始", res, "")
	freeze, err := r.o.Books.Freeze(ctx, day)
	if err != nil {
		res.Verdict, res.Why = Incomplete, "未日切或流水不可用: "+err.Error()
		return res, r.publish(res)
	}
	res.Freeze = freeze
	journal, near, err := r.books(ctx, c, day, freeze)
	if err != nil {
		res.Verdict, res.Why = Broken, "流水读取失败: "+err.Error()
		return res, r.publish(res)
	}
	r.live(slog.LevelInfo, "QZ110", fmt.Sprintf("流水冻结 %d条 冻结行=%d", len(journal), freeze), res, "")
	lines, err := r.fetch(ctx, c, day, res)
	if err != nil {
		return nil, err
	}
	if res.Verdict == Balanced {
		r.judge(res, journal, lines, near)
	}
	return res, r.publish(res)
}

func (r *Runner) judge(res *Result, journal []Line, in map[Party][]Line, near Near) {
	res.Items, res.Agreed, res.Totals = Match(r.o.Matrix, journal, in[MIS], in[Bank], near)
	if res.sane() {
		res.conclude()
	}
}

// books reads the day's lines and the keys of the days around it.
func (r *Runner) books(ctx context.Context, c *Channel, day pay.Day, freeze uint64) ([]Line, Near, error) {
	var lines []Line
	err := r.o.Books.Lines(ctx, day, freeze, func(e *pay.Entry) bool {
		if c.has(e) {
			lines = append(lines, r.line(c, e))
		}
		return true
	})
	if err != nil {
		return nil, nil, err
	}
	near := Near{}
	for _, d := range []pay.Day{day.Add(-1), day.Add(1)} {
		err := r.o.Books.Lines(ctx, d, freeze, func(e *pay.Entry) bool {
			if c.has(e) {
				l := r.line(c, e)
				near[l.Key], near[l.Serial] = d, d
			}
			return true
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, nil, err
		}
	}
	return lines, near, nil
}

func (c *Channel) has(e *pay.Entry) bool {
	for _, l := range c.Links {
		if e.Req.Via != nil && e.Req.Via.Link == l {
			return true
		}
	}
	return false
}

func (r *Runner) line(c *Channel, e *pay.Entry) Line {
	l := Line{Serial: e.ID.Serial(r.o.Node), Account: e.Req.Account, Amount: e.Req.Amount, Day: e.ID.Day,
		Effect: OfState(e.State), Link: e.Req.Via.Link, Time: e.At.Format("15:04:05"), Row: int(e.ID.Row)}
	for i := range e.Legs {
		if e.Legs[i].Kind == pay.LegPost {
			l.Host = e.Legs[i].Host
		}
	}
	l.Key = Key(c.Key, func(id pay.FieldID) string { return field(e, id) })
	return l
}

// Key joins the values of the fields that make a bank's line unique.
func Key(ids []pay.FieldID, value func(pay.FieldID) string) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = value(id)
	}
	return strings.Join(parts, "/")
}

func field(e *pay.Entry, id pay.FieldID) string {
	switch id {
	case pay.FSerial:
		return e.Req.Ref.Serial
	case pay.FSenderDate:
		if e.Req.Day == 0 {
			return ""
		}
		return e.Req.Day.String()
	case pay.FChannel:
		return e.Req.Via.Link
	}
	return pay.Find(e.Req.More, id)
}

// fetch settles the sources before anything is judged: no matrix over a file
// that is missing or wrong.
func (r *Runner) fetch(ctx context.Context, c *Channel, day pay.Day, res *Result) (map[Party][]Line, error) {
	lines := map[Party][]Line{}
	for p, src := range [parties]Source{MIS: c.MIS, Bank: c.Bank} {
		p := Party(p)
		if src == nil {
			continue
		}
		in, err := src.Fetch(ctx, day)
		if err != nil {
			return nil, err
		}
		in.Party = p
		lines[p] = c.own(in.Lines)
		res.Inputs = append(res.Inputs, in)
		switch in.State {
		case Rejected:
			res.Verdict, res.Why = Refused, fmt.Sprintf("%s %s: %s", p, in.Name, in.Why)
		case Expected:
			if res.Verdict != Refused {
				res.Verdict, res.Why = Incomplete, fmt.Sprintf("缺%s %s", p, in.Name)
			}
		}
	}
	return lines, nil
}

// own keeps the lines of the channel's links; a party may put several channels
// into one file. A line that names no link belongs to every channel.
func (c *Channel) own(lines []Line) []Line {
	kept := make([]Line, 0, len(lines))
	for _, l := range lines {
		for _, link := range c.Links {
			if l.Link == "" || l.Link == link {
				kept = append(kept, l)
				break
			}
		}
	}
	return kept
}

func (r *Runner) versions(day pay.Day, channel string) int {
	names, err := os.ReadDir(filepath.Join(r.o.Dir, day.String(), channel))
	if err != nil {
		return 0
	}
	n := 0
	for _, e := range names {
		if v, err := strconv.Atoi(strings.TrimPrefix(e.Name(), "r")); err == nil && strings.HasPrefix(e.Name(), "r") {
			n = max(n, v)
		}
	}
	return n
}

// publish writes the report folder beside its place and moves it there whole.
func (r *Runner) publish(res *Result) error {
	files, err := r.o.Report(res)
	if err != nil {
		return err
	}
	for _, in := range res.Inputs {
		if in.Raw != nil {
			files = append(files, File{Name: filepath.Join("inputs", filepath.Base(in.Name)), Data: in.Raw})
		}
	}
	state, err := json.MarshalIndent(summary(res), "", " ")
	if err != nil {
		return err
	}
	files = append(files, File{Name: "result.json", Data: append(state, '\n')})
	home := filepath.Join(r.o.Dir, res.Day.String(), res.Channel)
	if err := install(home, "r"+strconv.Itoa(res.Version), files); err != nil {
		return err
	}
	level := slog.LevelInfo
	if res.Verdict != Balanced {
		level = slog.LevelError
	}
	n, sum := res.Count(Uneven)
	r.live(level, "QZ900", "结论 "+res.Verdict.String(), res, fmt.Sprintf(" 待办=%d 金额=%s 码=%d %s", n, sum.Yuan(), res.Verdict.Exit(), res.Why))
	return nil
}

func install(home, version string, files []File) error {
	tmp, err := os.MkdirTemp(mustDir(home), ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	var manifest strings.Builder
	for _, f := range files {
		sum := sha256.Sum256(f.Data)
		fmt.Fprintf(&manifest, "%s  %s\n", hex.EncodeToString(sum[:]), f.Name)
	}
	for _, f := range append(files, File{Name: "MANIFEST.sha256", Data: []byte(manifest.String())}) {
		if err := write(filepath.Join(tmp, f.Name), f.Data); err != nil {
			return err
		}
	}
	if err := os.Chmod(tmp, 0o750); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(home, version)); err != nil {
		return err
	}
	link := filepath.Join(home, ".latest-new")
	if err := os.Symlink(version, link); err != nil {
		return err
	}
	return os.Rename(link, filepath.Join(home, "latest"))
}

// mustDir makes the folder; a failure shows at the next step, which needs it.
func mustDir(dir string) string {
	_ = os.MkdirAll(dir, 0o750)
	return dir
}

// write writes one finished file: durable, and read-only from then on.
func write(name string, data []byte) error {
	f, err := os.OpenFile(filepath.Join(mustDir(filepath.Dir(name)), filepath.Base(name)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o440)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// live appends one line to the log that operators follow: one write, never
// truncated.
func (r *Runner) live(level slog.Level, code, text string, res *Result, more string) {
	line := fmt.Sprintf("%s %-5s %s %s 日=%s 渠道=%s 版=r%d%s\n", r.o.Now().Format("2006-01-02 15:04:05"), level, code, text, res.Day, res.Channel, res.Version, more)
	f, err := os.OpenFile(filepath.Join(r.o.Dir, "live.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err == nil {
		_, err = f.WriteString(line)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		r.o.Log.Error("live.log not written", "event", "QZ120", "err", err)
	}
}

// summary is the machine's form of a result.
func summary(r *Result) map[string]any {
	in := make([]map[string]any, 0, len(r.Inputs))
	for _, i := range r.Inputs {
		sum := sha256.Sum256(i.Raw)
		in = append(in, map[string]any{"party": i.Party.String(), "name": filepath.Base(i.Name), "state": i.State.String(), "lines": len(i.Lines),
			"sha256": hex.EncodeToString(sum[:]), "why": i.Why})
	}
	return map[string]any{"schema": 1, "day": r.Day.String(), "channel": r.Channel, "version": r.Version, "verdict": r.Verdict.String(),
		"exit": r.Verdict.Exit(), "why": r.Why, "freeze_row": r.Freeze, "inputs": in, "differences": r.Codes(),
		"journal": r.Totals[Journal], "mis": r.Totals[MIS], "bank": r.Totals[Bank], "agreed": r.Agreed}
}
