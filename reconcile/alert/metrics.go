package alert

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"qianzhi/reconcile"
)

// Live are the figures of the running daemon.
type Live struct {
	Unknown int    // payments in doubt
	Missed  uint64 // starts of the night run that were made up for
	Owed    int    // payments whose reversal is owed
	Auto    map[Auto]uint64
	Arrived []Arrival
}

// Auto tells automatic actions apart.
type Auto struct{ Channel, Level, Result string }

// Arrival is when a party's file of a channel's newest day was last written.
type Arrival struct {
	Channel, Source string
	At              time.Time
}

// page is a metrics page that grows.
type page struct {
	b      strings.Builder
	before string
}

// put adds a sample. All samples of a name follow one another; the first gives
// the help.
func (p *page) put(name, help string, value float64, labels ...string) {
	if name != p.before {
		kind := "gauge"
		if strings.HasSuffix(name, "_total") {
			kind = "counter"
		}
		fmt.Fprintf(&p.b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
		p.before = name
	}
	p.b.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		fmt.Fprintf(&p.b, "%s%s=\"%s\"", map[bool]string{true: "{", false: ","}[i == 0], labels[i],
			strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(labels[i+1]))
	}
	if len(labels) > 0 {
		p.b.WriteByte('}')
	}
	p.b.WriteString(" " + strconv.FormatFloat(value, 'f', -1, 64) + "\n")
}

// figure is a figure that each channel has once.
type figure struct {
	name, help string
	of         func(*Standing) float64
}

func figures() []figure {
	return []figure{
		{"recon_business_day", "newest reconciled day as YYYYMMDD", func(s *Standing) float64 { return float64(s.Day) }},
		{"recon_verdict", "exit status of its latest version", func(s *Standing) float64 { return float64(s.Summary.Exit) }},
		{"recon_version", "number of its latest version", func(s *Standing) float64 { return float64(s.Summary.Version) }},
		{"recon_run_finished_timestamp_seconds", "end of the run that made it", func(s *Standing) float64 { return float64(s.Ended.Unix()) }},
		{"recon_last_flat_timestamp_seconds", "last run that was flat, 0: none is known", func(s *Standing) float64 { return float64(max(0, s.Flat.Unix())) }},
		{"recon_carry_items", "open items that wait for a later file", func(s *Standing) (n float64) {
			for i := range s.Open {
				if s.Open[i].Grade == reconcile.Pended {
					n++
				}
			}
			return n
		}},
		{"recon_signed", "1 signed, 2 countersigned", func(s *Standing) float64 { return float64(s.Signed) }},
	}
}

// Metrics returns the figures in the text format of Prometheus.
func Metrics(all []Standing, l Live) []byte {
	var p page
	ran := slices.DeleteFunc(slices.Clone(all), func(s Standing) bool { return s.Day == 0 })
	for _, f := range figures() {
		for i := range ran {
			p.put(f.name, f.help, f.of(&ran[i]), "channel", ran[i].Channel)
		}
	}
	for i := range ran {
		codes := map[string]int{}
		for j := range ran[i].Open {
			codes[ran[i].Open[j].Code]++
		}
		for _, code := range slices.Sorted(maps.Keys(codes)) {
			p.put("recon_open_items", "items that are not settled", float64(codes[code]), "channel", ran[i].Channel, "code", code)
		}
	}
	for i := range ran {
		s := &ran[i].Summary
		for _, m := range []struct {
			kind string
			fen  int64
		}{{"long", s.LongFen}, {"short", s.ShortFen}, {"amount", s.AmtFen}} {
			p.put("recon_open_fen", "money of the day's items that count as uneven", float64(m.fen), "channel", s.Channel, "kind", m.kind)
		}
	}
	for i := range ran {
		for _, in := range ran[i].Summary.Inputs {
			p.put("recon_source_state", "0 not here, 1 accepted, 2 refused, 3 arriving, 4 empty with proof, 5 overdue, 6 replaced",
				float64(stateOf(in.State)), "channel", ran[i].Channel, "source", in.Party)
		}
	}
	for i := range ran {
		for _, party := range slices.Sorted(maps.Keys(ran[i].Summary.Totals)) {
			p.put("recon_rows", "lines of the day", float64(ran[i].Summary.Totals[party].Lines), "channel", ran[i].Channel, "party", party)
		}
	}
	for _, a := range l.Arrived {
		p.put("recon_source_arrived_timestamp_seconds", "when the file of the newest day was last written", float64(a.At.Unix()), "channel", a.Channel, "source", a.Source)
	}
	for _, a := range slices.SortedFunc(maps.Keys(l.Auto), Auto.compare) {
		p.put("recon_auto_actions_total", "actions under a standing order since the daemon's start", float64(l.Auto[a]), "channel", a.Channel, "level", a.Level, "result", a.Result)
	}
	p.put("recon_reversal_pending", "payments whose reversal is owed", float64(l.Owed))
	p.put("recon_unknown_payments", "payments in doubt", float64(l.Unknown))
	p.put("recon_missed_start_total", "starts that were missed and made up for, since the daemon's own", float64(l.Missed))
	return []byte(p.b.String())
}

func (a Auto) compare(b Auto) int {
	return cmp.Or(strings.Compare(a.Channel, b.Channel), strings.Compare(a.Level, b.Level), strings.Compare(a.Result, b.Result))
}

// stateOf reads a source's state in the words of the summary.
func stateOf(word string) reconcile.SourceState {
	for s := reconcile.Expected; s <= reconcile.Replaced; s++ {
		if s.String() == word {
			return s
		}
	}
	return reconcile.Expected
}

// Replace writes a small file so that readers see the old or the new one,
// whole. It is not made durable: it is written again soon.
func Replace(name string, b []byte) error {
	tmp := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".part")
	if err := os.WriteFile(tmp, b, 0o640); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}
