package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// outcome is what one matching process tells.
type outcome struct {
	Seconds float64        `json:"seconds"`
	Codes   map[string]int `json:"codes"`
	Stats   any            `json:"stats"`
}

// child matches once and prints what it found.
func child(o *options) error {
	if o.child == "read" {
		sec, err := readBoth(o.dir)
		fmt.Println(sec)
		return err
	}
	debug.SetGCPercent(20)
	at := time.Now()
	found, items, err := match(o.dir, o.child == "three")
	if err != nil {
		return err
	}
	out := outcome{Seconds: time.Since(at).Seconds(), Codes: map[string]int{}, Stats: found.Stats}
	for i := range items {
		out.Codes[items[i].Code]++
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

// measured is one method's measurement.
type measured struct {
	seconds float64
	rss     int // MB
}

// measure matches in processes of their own and holds what they find against
// what was planted.
func measure(o *options, kind string, want map[string]int) (m measured, err error) {
	self, err := os.Executable()
	if err != nil {
		return m, err
	}
	m.seconds, err = median(o.reps, func() (float64, error) {
		cmd := exec.Command(self, "-match", kind, "-dir", o.dir)
		cmd.Stderr = os.Stderr
		b, err := cmd.Output()
		if err != nil {
			return 0, err
		}
		var out outcome
		if err := json.Unmarshal(b, &out); err != nil {
			return 0, err
		}
		if !reflect.DeepEqual(out.Codes, want) {
			return 0, fmt.Errorf("%s: found %v, planted %v", kind, out.Codes, want)
		}
		if use, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			m.rss = max(m.rss, int(use.Maxrss>>10))
		}
		return out.Seconds, nil
	})
	fmt.Printf("%-40s %8.3f s  %4d MB  found %v\n", "match, "+kind, m.seconds, m.rss, want)
	return m, err
}

// readBoth reads journal and bank once, in blocks, on two goroutines.
func readBoth(dir string) (float64, error) {
	at := time.Now()
	var wg sync.WaitGroup
	var errs [2]error
	for i, name := range []string{"journal", "bank"} {
		wg.Go(func() {
			f, err := os.Open(filepath.Join(dir, name+".dat"))
			if err != nil {
				errs[i] = err
				return
			}
			defer f.Close()
			buf := make([]byte, 4<<20)
			for err == nil {
				_, err = f.Read(buf)
			}
			if !errors.Is(err, io.EOF) {
				errs[i] = err
			}
		})
	}
	wg.Wait()
	return time.Since(at).Seconds(), errors.Join(errs[:]...)
}

// compare measures the peers on the same files.
func compare(o *options, s *summary, want planted) error {
	lines := 2*want.flat["AM-5"] + want.flat["SH-2"] + want.flat["LG-6"] + 2*want.flat["ST-1"] + want.flat["OK-3"]
	sec, err := median(1, func() (float64, error) { return sortComm(o, lines) })
	if err != nil {
		return err
	}
	s.SortComm = round(sec / s.Seconds)
	fmt.Printf("%-40s %8.3f s\n", "cut, sort -S 1G --parallel=2, comm -3", sec)
	sec, err = duckDB(o, lines)
	if err != nil {
		fmt.Printf("DuckDB: not measured: %v\n", err)
		return nil
	}
	s.DuckDB = round(sec / s.Seconds)
	fmt.Printf("%-40s %8.3f s\n", "DuckDB, read_csv and FULL JOIN", sec)
	return nil
}

// sortComm compares the lines that count; failed ones are left out first.
func sortComm(o *options, want int) (float64, error) {
	script := `set -e; cd "$1"
for f in journal bank; do tail -n +2 $f.dat | LC_ALL=C cut -b 1-89 | LC_ALL=C grep -av 'F$' | LC_ALL=C sort -S 1G --parallel=2 -T . > $f.sorted; done
LC_ALL=C comm -3 journal.sorted bank.sorted | wc -l; rm -f journal.sorted bank.sorted`
	at := time.Now()
	b, err := exec.Command("sh", "-c", script, "sh", o.dir).Output()
	if err != nil {
		return 0, err
	}
	sec := time.Since(at).Seconds()
	if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err != nil || n != want {
		return 0, fmt.Errorf("sort | comm: %s lines differ, want %d", strings.TrimSpace(string(b)), want)
	}
	return sec, nil
}

const duckScript = `
const { DuckDBInstance } = require('@duckdb/node-api');
(async () => {
  const dir = process.argv[2];
  const c = await (await DuckDBInstance.create(':memory:', { threads: '2' })).connect();
  const at = process.hrtime.bigint();
  const t = f => "(SELECT substr(l,21,20) k, substr(l,1,89) r FROM read_csv('" + dir + "/" + f +
    ".dat', columns={'l':'VARCHAR'}, delim='\x01', quote='', escape='', header=false, skip=1, encoding='latin-1') WHERE substr(l,89,1) <> 'F')";
  const q = await c.runAndReadAll("SELECT coalesce(sum(CASE WHEN a.r IS NULL OR b.r IS NULL THEN 1 WHEN a.r <> b.r THEN 2 ELSE 0 END),0)::BIGINT n FROM " +
    t('journal') + " a FULL JOIN " + t('bank') + " b ON a.k = b.k");
  const sec = Number(process.hrtime.bigint() - at) / 1e9;
  console.log(JSON.stringify({ n: Number(q.getRows()[0][0]), sec }));
})().catch(e => { console.error(String(e)); process.exit(1); });
`

// duckDB installs DuckDB with npm beside the files and joins them.
func duckDB(o *options, want int) (float64, error) {
	home := filepath.Join(o.dir, "duckdb")
	if err := os.MkdirAll(home, 0o750); err != nil {
		return 0, err
	}
	npm := exec.Command("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", home, "@duckdb/node-api")
	if out, err := npm.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("npm: %w %.200s", err, out)
	}
	js := filepath.Join(home, "join.js")
	if err := os.WriteFile(js, []byte(duckScript), 0o600); err != nil {
		return 0, err
	}
	return median(min(o.reps, 3), func() (float64, error) {
		b, err := exec.Command("node", js, o.dir).CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("%w %.300s", err, b)
		}
		var out struct {
			N   int     `json:"n"`
			Sec float64 `json:"sec"`
		}
		if err := json.Unmarshal(b, &out); err != nil {
			return 0, err
		}
		if out.N != want {
			return 0, fmt.Errorf("%d lines differ, want %d", out.N, want)
		}
		return out.Sec, nil
	})
}
