// Command bench measures the matching of a day beside sort | comm and DuckDB on
// identical files. It plants differences and fails when they are not found
// exactly. The last line is a summary as JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/statement"
)

const day = pay.Day(20261120)

// summary is the last line.
type summary struct {
	Rows         int     `json:"rows"`
	Seconds      float64 `json:"seconds"`
	SortComm     float64 `json:"sortcomm_ratio"`
	DuckDB       float64 `json:"duckdb_ratio,omitempty"`
	Read         float64 `json:"read_ratio"`
	RSS          int     `json:"rss_mb"`
	ThreeSeconds float64 `json:"three_seconds"`
	ThreeRatio   float64 `json:"three_ratio"`
	ThreeRSS     int     `json:"three_rss_mb"`
}

type options struct {
	rows  int
	dir   string
	reps  int
	peers bool
	child string
}

func main() {
	var o options
	flag.IntVar(&o.rows, "rows", 1_000_000, "lines of each party")
	flag.StringVar(&o.dir, "dir", "", "folder for the files; a temporary one by default")
	flag.IntVar(&o.reps, "reps", 3, "measurements of each method; the median counts")
	flag.BoolVar(&o.peers, "peers", true, "measure sort | comm and DuckDB too")
	flag.StringVar(&o.child, "match", "", "match the files of -dir: flat or three; read: read two of them")
	flag.Parse()
	if err := run(&o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o *options) error {
	if o.child != "" {
		return child(o)
	}
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "bench-recon-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.dir = dir
	}
	at := time.Now()
	want, err := generate(o.dir, o.rows)
	if err != nil {
		return err
	}
	fmt.Printf("%d rows of %d bytes for each of three parties, written in %.1f s\n", o.rows, lineWidth, time.Since(at).Seconds())
	s := summary{Rows: o.rows}
	floor, err := median(o.reps, func() (float64, error) { return readBoth(o.dir) })
	if err != nil {
		return err
	}
	fmt.Printf("%-40s %8.3f s\n", "read journal and bank once", floor)
	flat, err := measure(o, "flat", want.flat)
	if err != nil {
		return err
	}
	three, err := measure(o, "three", want.three)
	if err != nil {
		return err
	}
	s.Seconds, s.RSS, s.Read = flat.seconds, flat.rss, round(flat.seconds/floor)
	s.ThreeSeconds, s.ThreeRSS, s.ThreeRatio = three.seconds, three.rss, round(three.seconds/flat.seconds)
	if o.peers {
		if err := compare(o, &s, want); err != nil {
			return err
		}
	}
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	fmt.Println(string(b))
	return nil
}

func round(v float64) float64 { return float64(int(v*100+0.5)) / 100 }

// median runs a measurement several times.
func median(reps int, f func() (float64, error)) (float64, error) {
	var all []float64
	for range max(1, reps) {
		v, err := f()
		if err != nil {
			return 0, err
		}
		all = append(all, v)
	}
	slices.Sort(all)
	return float64(int(all[len(all)/2]*1000+0.5)) / 1000, nil
}

// match sifts and judges the files of a folder.
func match(dir string, three bool) (*reconcile.Sifted, []reconcile.Item, error) {
	parties := map[reconcile.Party]string{reconcile.Journal: "journal", reconcile.Bank: "bank"}
	s := reconcile.Sift{Hash: reconcile.NewHasher(), Dir: dir, Voids: true}
	if three { // the journal as the gateway keeps a closed day
		own, err := reconcile.OpenJournal(filepath.Join(dir, "journal.txt"), day)
		if err != nil {
			return nil, nil, err
		}
		s.Tables[reconcile.Journal] = own
		parties = map[reconcile.Party]string{reconcile.MIS: "mis", reconcile.Bank: "bank"}
	}
	spec, err := statement.Parse("bench.yaml", []byte(spec))
	if err != nil {
		return nil, nil, err
	}
	mx, err := theMatrix()
	if err != nil {
		return nil, nil, err
	}
	for p, name := range parties {
		t, err := spec.Open(filepath.Join(dir, name+".dat"), day, p)
		if err != nil {
			return nil, nil, err
		}
		defer t.Close()
		s.Tables[p], s.Size = t, max(s.Size, t.Lines())
	}
	found, err := s.Run(context.Background())
	if err != nil {
		return nil, nil, err
	}
	j := reconcile.Judge{Matrix: mx, Has: [4]bool{reconcile.MIS: three, reconcile.Bank: true}, Day: day, On: s.Ties()}
	items, _ := j.Items(&found.Lines)
	return found, items, nil
}
