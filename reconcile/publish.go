package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// Summary is the machine's form of a result: result.json.
type Summary struct {
	Schema   int               `json:"schema"`
	At       string            `json:"at"`
	Day      string            `json:"day"`
	Channel  string            `json:"channel"`
	Version  int               `json:"version"`
	Verdict  string            `json:"verdict"`
	Word     string            `json:"word"`
	Exit     int               `json:"exit"`
	Why      string            `json:"why"`
	Ahead    bool              `json:"ahead,omitempty"` // no verdict
	Items    int               `json:"items"`
	Rules    string            `json:"rules"`
	Base     string            `json:"base"`
	Freeze   uint64            `json:"freeze_row"`
	Inputs   []SummaryInput    `json:"inputs"`
	Codes    map[string]int    `json:"differences"`
	Todo     int               `json:"todo"`
	TodoFen  int64             `json:"todo_fen"`
	LongFen  int64             `json:"long_fen"`
	ShortFen int64             `json:"short_fen"`
	AmtFen   int64             `json:"amount_fen"`
	Pended   int               `json:"pended"`
	PendFen  int64             `json:"pended_fen"`
	Carried  int               `json:"carried"`
	Acts     string            `json:"automatic,omitempty"`
	Closed   int               `json:"closed"`
	Totals   map[string]Total  `json:"totals"`
	Bridge   map[string]Bridge `json:"bridge"`
	Agreed   Total             `json:"agreed"`
}

// SummaryInput is one file in a Summary.
type SummaryInput struct {
	Party  string `json:"party"`
	Name   string `json:"name"`
	Kept   string `json:"kept,omitempty"` // the copy among the inputs
	State  string `json:"state"`
	Lines  int    `json:"lines"`
	Sum    string `json:"sha256"`
	Checks string `json:"checks,omitempty"`
	Warned string `json:"warning,omitempty"`
	Why    string `json:"why,omitempty"`
}

// Summary returns the machine's form of the result.
func (r *Result) Summary() Summary {
	s := Summary{Schema: 2, At: r.At.Format("2006-01-02T15:04:05Z07:00"), Day: r.Day.String(), Channel: r.Channel, Version: r.Version,
		Verdict: r.Verdict.String(), Word: r.Word(), Exit: r.Verdict.Exit(), Why: r.Why, Rules: r.Rules, Base: r.Base, Freeze: r.Freeze, Ahead: r.Ahead, Items: len(r.Items),
		Codes: r.Codes(), Carried: len(r.Carried), Acts: r.Acts, Closed: len(r.Closed), Agreed: r.Agreed,
		Totals: map[string]Total{Journal.ID(): r.Totals[Journal]}, Bridge: map[string]Bridge{}, Inputs: []SummaryInput{}}
	for _, in := range r.Inputs {
		s.Inputs = append(s.Inputs, SummaryInput{Party: in.Party.String(), Name: filepath.Base(in.Name), Kept: in.kept, State: in.State.String(), Lines: in.Count,
			Sum: in.Sum, Checks: in.Checks, Warned: in.Warning, Why: in.Why})
	}
	n, sum := r.Count(Uneven)
	m := r.Money()
	s.Todo, s.TodoFen, s.LongFen, s.ShortFen, s.AmtFen = n, int64(sum), int64(m.Long), int64(m.Short), int64(m.Amount)
	n, sum = r.Count(Pended)
	s.Pended, s.PendFen = n, int64(sum)
	for p := MIS; p < parties; p++ {
		if r.Has[p] {
			s.Totals[p.ID()], s.Bridge[p.ID()] = r.Totals[p], r.Bridge(p)
		}
	}
	return s
}

// ReadSummary reads the result of a version in its folder.
func ReadSummary(dir string) (s Summary, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "result.json"))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%s: %w", dir, err)
	}
	return s, nil
}

// version is what a run needs to know of the version before it.
type version struct {
	base  string
	sums  map[string]string // by party
	names map[string]string // of the inputs, by party
}

func readVersion(dir string) (*version, error) {
	s, err := ReadSummary(dir)
	if err != nil {
		return nil, err
	}
	v := &version{base: s.Base, sums: map[string]string{}, names: map[string]string{}}
	for _, in := range s.Inputs {
		v.sums[in.Party], v.names[in.Party] = in.Sum, in.Kept
	}
	return v, nil
}

// baseOf is a hash over what a result follows from; parts come in a fixed
// order.
func (x *run) baseOf() string {
	sum := sha256.Sum256([]byte(x.o.Matrix.Version + "\n" + x.c.ID + "\n" + strings.Join(x.parts, "\n") + "\n" + x.res.Verdict.String()))
	return hex.EncodeToString(sum[:])
}

// publish completes the new version's folder and moves it to its place, unless
// nothing has changed since the version before.
func (x *run) publish() error {
	res := x.res
	if res.Base = x.baseOf(); x.last != nil && x.last.base == res.Base {
		res.Version--
		res.Same = true
		x.conclusion()
		return point(x.home(res.Day, res.Channel), "r"+strconv.Itoa(res.Version)) // a kill may have come between
	}
	files, err := x.o.Report(res)
	if err != nil {
		return err
	}
	left, err := AppendRecords(nil, open(res))
	if err != nil {
		return err
	}
	state, err := json.MarshalIndent(res.Summary(), "", " ")
	if err != nil {
		return err
	}
	files = append(files, File{openFile, left}, File{"result.json", append(state, '\n')})
	for _, f := range files {
		if err := writeFile(filepath.Join(x.dir, f.Name), f.Data); err != nil {
			return err
		}
	}
	if err := install(x.dir, x.home(res.Day, res.Channel), "r"+strconv.Itoa(res.Version)); err != nil {
		return err
	}
	x.conclusion()
	return nil
}

// conclusion is the last line of a run.
func (x *run) conclusion() {
	res := x.res
	if res.Ahead {
		x.live(slog.LevelInfo, "QZ800", res.Word(), res, "")
		return
	}
	level, note := slog.LevelInfo, ""
	if res.Verdict != Balanced {
		level = slog.LevelError
	}
	if res.Same {
		note = " 输入未变"
	}
	n, sum := res.Count(Uneven)
	x.live(level, "QZ900", "结论 "+res.Word(), res, fmt.Sprintf(" 待办=%d 金额=%s 码=%d%s %s", n, sum.Yuan(), res.Verdict.Exit(), note, res.Why))
}

// workPrefix begins the names of versions that are being made. One that a
// killed run left behind is cleared away by the next.
const workPrefix = ".new-"

// workIn makes the folder of a new version beside its place.
func workIn(home string) (string, error) {
	if err := os.MkdirAll(home, 0o750); err != nil {
		return "", err
	}
	old, err := filepath.Glob(filepath.Join(home, workPrefix+"*"))
	if err != nil {
		return "", err
	}
	for _, o := range old {
		if err := os.RemoveAll(o); err != nil {
			return "", err
		}
	}
	dir, err := os.MkdirTemp(home, workPrefix)
	if err != nil {
		return "", err
	}
	return dir, os.Mkdir(filepath.Join(dir, "inputs"), 0o750)
}

// install closes a version with its manifest and moves it to its place whole:
// a version either exists complete or not at all, and is not written to again.
func install(tmp, home, name string) error {
	manifest, err := manifestOf(tmp)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(tmp, "MANIFEST.sha256"), manifest); err != nil {
		return err
	}
	if err := errors.Join(syncDir(filepath.Join(tmp, "inputs")), syncDir(tmp), os.Chmod(tmp, 0o750)); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(home, name)); err != nil {
		return err
	}
	return point(home, name)
}

// point makes a version the latest.
func point(home, name string) error {
	if to, err := os.Readlink(filepath.Join(home, "latest")); err == nil && to == name {
		return nil
	}
	link := filepath.Join(home, workPrefix+"latest")
	if err := os.Symlink(name, link); err != nil {
		return err
	}
	return errors.Join(os.Rename(link, filepath.Join(home, "latest")), syncDir(home))
}

// manifestOf lists the files of a folder with their hashes, in the order of
// their names.
func manifestOf(dir string) ([]byte, error) {
	var rows []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		sum := sha256.New()
		if _, err := io.Copy(sum, f); err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		rows = append(rows, rel+"\x00"+hex.EncodeToString(sum.Sum(nil)))
		return errors.Join(err, os.Chmod(path, 0o440))
	})
	sort.Strings(rows)
	var b []byte
	for _, r := range rows {
		name, sum, _ := strings.Cut(r, "\x00")
		b = fmt.Appendf(b, "%s  %s\n", sum, filepath.ToSlash(name))
	}
	return b, err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeFile writes one finished file, durable.
func writeFile(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// live appends one line to the log that operators follow: one write, never
// truncated.
func (r *Runner) live(level slog.Level, code, text string, res *Result, more string) {
	r.Say(level, code, fmt.Sprintf("%s 日=%s 渠道=%s 版=r%d%s", text, res.Day, res.Channel, res.Version, more))
}

// Say appends a line that is no run's to the same log.
func (r *Runner) Say(level slog.Level, code, text string) {
	line := fmt.Sprintf("%s %-5s %s %s\n", r.o.Now().Format("2006-01-02 15:04:05"), level, code, text)
	f, err := os.OpenFile(filepath.Join(r.o.Dir, "live.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err == nil {
		_, err = f.WriteString(line)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		r.o.Log.Error("live.log not written", "event", "QZ120", "err", err)
	}
}
