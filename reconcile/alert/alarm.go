package alert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"qianzhi/gateway/pay"
)

// Watchman gives the alarms of the ladder: one for each channel and day, again
// after a while until somebody acknowledges it, and at once when something as
// urgent comes on top. What was told outlives the process.
type Watchman struct {
	Root   string // of the reports
	Node   string
	Ladder Ladder
	Repeat time.Duration
	told   map[string]*told // by channel; nil: not read yet
}

// told is what was said about a channel.
type told struct {
	Day     pay.Day   `json:"day"` // the one that was to be reconciled
	Reasons []string  `json:"reasons,omitempty"`
	Level   Level     `json:"level,omitempty"`
	At      time.Time `json:"at"`
	Signed  int       `json:"signed"`     // stage that was told
	Of      pay.Day   `json:"signed_day"` // its day
}

// ack is an acknowledgement beside the versions of a day.
type ack struct {
	By      string   `json:"by"`
	At      string   `json:"at"`
	Reasons []string `json:"reasons"`
}

const (
	toldFile = "alerts.json"
	ackFile  = "ack.json"
)

// ErrQuiet reports that there is no alarm to acknowledge.
var ErrQuiet = errors.New("该渠道当日没有告警")

// Acknowledge silences a channel's alarm of a day: for the reasons that were
// told, not for others that come later.
func Acknowledge(root string, day pay.Day, channel, by string, now time.Time) error {
	all, err := readJSON[map[string]*told](filepath.Join(root, toldFile))
	if err != nil {
		return err
	}
	t := all[channel]
	if t == nil || t.Day != day || len(t.Reasons) == 0 {
		return fmt.Errorf("%s %s: %w", day, channel, ErrQuiet)
	}
	home := filepath.Join(root, day.String(), channel)
	old, err := readJSON[ack](filepath.Join(home, ackFile))
	if err != nil {
		return err
	}
	b, err := json.Marshal(ack{By: by, At: now.Format(time.RFC3339), Reasons: union(old.Reasons, t.Reasons)})
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(home, 0o750), Replace(filepath.Join(home, ackFile), append(b, '\n')))
}

// Look returns what is to be told about a channel now.
func (w *Watchman) Look(f *Facts, now time.Time) (out []Message, err error) {
	if w.told == nil {
		if w.told, err = readJSON[map[string]*told](filepath.Join(w.Root, toldFile)); err != nil {
			err = fmt.Errorf("alarms told so far: %w", err)
		}
		if w.told == nil {
			w.told = map[string]*told{}
		}
	}
	t := w.told[f.Channel]
	if t == nil {
		t = &told{}
		w.told[f.Channel] = t
	}
	before := *t
	if t.Day != f.Due {
		t.Day, t.Reasons, t.Level, t.At = f.Due, nil, "", time.Time{}
	}
	if m, ok := w.signed(t, f, now); ok {
		out = append(out, m)
	}
	m, ok, err2 := w.alarm(t, f, now)
	if ok {
		out = append(out, m)
	}
	if before.Day != t.Day || before.At != t.At || before.Signed != t.Signed || before.Of != t.Of {
		b, err3 := json.Marshal(w.told)
		err = errors.Join(err, err3, Replace(filepath.Join(w.Root, toldFile), append(b, '\n')))
	}
	return out, errors.Join(err, err2)
}

// signed tells of a signature, once.
func (w *Watchman) signed(t *told, f *Facts, now time.Time) (Message, bool) {
	if t.Of != f.Day {
		t.Of, t.Signed = f.Day, 0
	}
	news := f.Signed > t.Signed
	t.Signed = f.Signed
	if !news {
		return Message{}, false
	}
	m := w.message(f, Signed, Info, now)
	m.ID = fmt.Sprintf("%s/%s/%s/r%d/%d", Signed, m.Day, f.Channel, f.Summary.Version, f.Signed)
	m.Text += "  " + map[int]string{1: "已签", 2: "已复核"}[f.Signed]
	return m, true
}

// alarm tells of the rungs that hold and that nobody has acknowledged.
func (w *Watchman) alarm(t *told, f *Facts, now time.Time) (m Message, give bool, err error) {
	known, err := readJSON[ack](filepath.Join(w.Root, f.Due.String(), f.Channel, ackFile))
	if err != nil {
		err = fmt.Errorf("acknowledgement: %w", err) // an alarm too many is better than none
	}
	var level Level
	var names, why []string
	for _, r := range w.Ladder.reasons(f, now) {
		if slices.Contains(known.Reasons, r.name) {
			continue
		}
		if names = append(names, r.name); !slices.Contains(why, r.text) {
			why = append(why, r.text)
		}
		if r.level.rank() > level.rank() {
			level = r.level
		}
		give = give || !slices.Contains(t.Reasons, r.name) && r.level.rank() >= t.Level.rank()
	}
	if len(names) == 0 || !give && now.Sub(t.At) < w.Repeat {
		return m, false, err
	}
	t.Reasons, t.Level, t.At = union(t.Reasons, names), level, now
	m = w.message(f, Alarm, level, now)
	m.ID = fmt.Sprintf("%s/%s/%s/%s", Alarm, f.Due, f.Channel, now.Format("20060102T150405"))
	m.Text += "  告警: " + strings.Join(why, ", ")
	return m, true, err
}

// message is about the day that is to be reconciled, or the signed one.
func (w *Watchman) message(f *Facts, e Event, level Level, now time.Time) Message {
	m := Message{Event: e, Level: level, At: now.Format(time.RFC3339), Node: w.Node, Day: f.Due.String(), Channel: f.Channel,
		Exit: 3, Text: fmt.Sprintf("结论 无  对账日 %s  渠道 %s", f.Due, f.Channel)}
	if f.Day != 0 && (f.Day >= f.Due || e == Signed) {
		m.Day, m.Exit, m.Text = f.Day.String(), f.Summary.Exit, f.Line
		m.Result, _ = json.Marshal(f.Summary) // it was read from such a text
	}
	return m
}

// readJSON reads a small file; none is the zero value.
func readJSON[T any](name string) (v T, err error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return v, nil
	}
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return *new(T), fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}
