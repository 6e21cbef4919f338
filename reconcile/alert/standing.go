package alert

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// Standing is where a channel stands: the latest version of its newest day.
type Standing struct {
	Channel string
	Day     pay.Day // 0: never reconciled
	Summary reconcile.Summary
	Open    []reconcile.Item
	Line    string    // the report's first line
	Ended   time.Time // the run
	Flat    time.Time // the last run that was flat; zero: none is known
	Signed  int       // 0 no, 1 signed, 2 countersigned; filled in by the caller
}

// Board reads standings from the folder of the reports. What has not changed is
// not read again.
type Board struct {
	Root string
	have map[string]kept // by channel
}

type kept struct {
	version string // folder of the latest version
	Standing
}

// lookBack is how many days are searched for the last flat one.
const lookBack = 40

// Read returns a channel's standing.
func (b *Board) Read(channel string) (Standing, error) {
	days, err := b.days()
	if err != nil {
		return Standing{}, err
	}
	for _, day := range days {
		home := filepath.Join(b.Root, day.String(), channel)
		version, err := os.Readlink(filepath.Join(home, "latest"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Standing{}, err
		}
		dir := filepath.Join(home, version)
		if k, ok := b.have[channel]; ok && k.version == dir {
			return k.Standing, nil
		}
		s, err := b.read(dir, channel, day, days)
		if err != nil {
			return Standing{}, err
		}
		if b.have == nil {
			b.have = map[string]kept{}
		}
		b.have[channel] = kept{dir, s}
		return s, nil
	}
	return Standing{Channel: channel}, nil
}

// days returns the days that have reports, the newest first.
func (b *Board) days() (days []pay.Day, err error) {
	names, err := os.ReadDir(b.Root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, n := range slices.Backward(names) {
		if d, err := pay.ParseDay(n.Name()); err == nil && n.IsDir() && len(days) < lookBack {
			days = append(days, d)
		}
	}
	return days, nil
}

func (b *Board) read(dir, channel string, day pay.Day, days []pay.Day) (s Standing, err error) {
	s = Standing{Channel: channel, Day: day}
	if s.Summary, s.Ended, err = readSummary(dir); err != nil {
		return s, err
	}
	open, err := os.ReadFile(filepath.Join(dir, "open.jsonl"))
	if err != nil {
		return s, err
	}
	if s.Open, err = reconcile.ReadRecords(open); err != nil {
		return s, fmt.Errorf("%s: %w", dir, err)
	}
	if s.Line, err = FirstLine(dir); err != nil {
		return s, err
	}
	s.Flat, err = b.flat(channel, days)
	return s, err
}

func readSummary(dir string) (s reconcile.Summary, at time.Time, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "result.json"))
	if err != nil {
		return s, at, err
	}
	if err = json.Unmarshal(b, &s); err == nil {
		at, err = time.Parse(time.RFC3339, s.At)
	}
	if err != nil {
		return s, at, fmt.Errorf("%s: %w", dir, err)
	}
	return s, at, nil
}

// flat returns when the channel was last flat.
func (b *Board) flat(channel string, days []pay.Day) (time.Time, error) {
	for _, day := range days {
		home := filepath.Join(b.Root, day.String(), channel)
		names, err := filepath.Glob(filepath.Join(home, "r*"))
		if err != nil {
			return time.Time{}, err
		}
		for v := len(names); v > 0; v-- {
			s, at, err := readSummary(filepath.Join(home, "r"+strconv.Itoa(v)))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil || s.Exit == int(reconcile.Balanced) {
				return at, err
			}
		}
	}
	return time.Time{}, nil
}

// FirstLine returns what a version's report says first: its verdict.
func FirstLine(dir string) (string, error) {
	f, err := os.Open(filepath.Join(dir, "report.txt"))
	if err != nil {
		return "", err
	}
	defer f.Close()
	s := bufio.NewScanner(io.LimitReader(f, 1<<12))
	for s.Scan() {
		if l := strings.TrimSpace(s.Text()); l != "" && strings.Trim(l, "=") != "" {
			return l, nil
		}
	}
	return "", s.Err()
}
