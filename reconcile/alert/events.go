package alert

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"qianzhi/reconcile"
)

// Events returns what a finished run is to tell. home is the folder of the
// channel's versions.
func Events(r *reconcile.Result, home, node string) ([]Message, error) {
	s := r.Summary()
	line, err := FirstLine(filepath.Join(home, "r"+strconv.Itoa(r.Version)))
	b, err2 := json.Marshal(s)
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	state := func(want reconcile.SourceState) bool {
		return slices.ContainsFunc(r.Inputs, func(in reconcile.Input) bool { return in.State == want })
	}
	changed, err := changed(r, home)
	var out []Message
	for _, e := range []struct {
		Event
		level Level
		is    bool
	}{
		{FileRejected, Warn, !r.Same && state(reconcile.Rejected)},
		{Overdue, Warn, state(reconcile.Overdue)},
		{VerdictChanged, Info, changed},
		{RunFinished, Info, true},
	} {
		if e.is {
			out = append(out, Message{ID: fmt.Sprintf("%s/%s/%s/r%d", e.Event, s.Day, s.Channel, s.Version), Event: e.Event, Level: e.level,
				At: r.At.Format(time.RFC3339), Node: node, Day: s.Day, Channel: s.Channel, Exit: s.Exit, Text: line, Result: b})
		}
	}
	return out, err
}

// changed reports whether the verdict is another than that of the version
// before.
func changed(r *reconcile.Result, home string) (bool, error) {
	if r.Same || r.Version < 2 {
		return !r.Same, nil
	}
	s, _, err := readSummary(filepath.Join(home, "r"+strconv.Itoa(r.Version-1)))
	return err != nil || s.Verdict != r.Verdict.String(), err
}
