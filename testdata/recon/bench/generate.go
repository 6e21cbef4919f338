package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"qianzhi/conf"
	"qianzhi/reconcile"
)

// spec is the files' layout: 118 bytes and a line end.
const spec = `
id: bench
title: bench
name: "B_{day}.dat"
encoding: gbk
line_end: crlf
header: [{name: day, width: 8}, {name: count, width: 12, pad: "0", align: right, total: {of: count, effect: any}}, {name: _, width: 98}]
fields:
  - {name: reference, width: 20}
  - {name: bank_serial, width: 20}
  - {name: account, width: 13}
  - {name: terminal, width: 8}
  - {name: day, width: 8}
  - {name: sender_time, width: 6}
  - {name: amount, width: 12, pad: "0"}
  - {name: direction, width: 1}
  - {name: status, width: 1}
  - {name: name, width: 20}
  - {name: _rest, width: 9}
key: [bank_serial]
amount: fen
direction: [{wire: "+", effect: in}, {wire: "-", effect: out}]
status: [{wire: "0", effect: effective}, {wire: "1", effect: undone}, {wire: F, effect: failed}, {wire: U, effect: open}]
max_line: 118
`

const lineWidth = 120

// planted says what must be found, by code.
type planted struct{ flat, three map[string]int }

func theMatrix() (*reconcile.Matrix, error) {
	b, err := conf.Files.ReadFile("recon-matrix.json")
	if err != nil {
		return nil, err
	}
	return reconcile.ParseMatrix(b)
}

// payment is one payment as the parties tell it: status letters, 0 for no line.
type payment struct {
	journal, mis, bank byte
	bankMore           int
	flat, three        string // codes to be found
}

// of draws the i-th payment: 5 % failed, 0.5 % undone, 0.05 % undecided, 0.01 %
// different.
func of(i int) payment {
	switch r := mix(uint64(i)) % 1_000_000; {
	case r < 33:
		return payment{'0', '0', '0', 1, "AM-5", "AM-3"}
	case r < 66:
		return payment{'0', '0', 0, 0, "SH-2", "SH-2"}
	case r < 100:
		return payment{0, '0', '0', 0, "LG-6", "LS-1"}
	case r < 350:
		return payment{'U', '0', '0', 0, "ST-1", "ST-1"}
	case r < 600:
		return payment{'U', 0, 0, 0, "OK-3", "OK-3"}
	case r < 5_600:
		return payment{'1', '1', '1', 0, "", ""}
	case r < 55_600:
		return payment{'F', 0, 0, 0, "", ""}
	}
	return payment{'0', '0', '0', 0, "", ""}
}

// mix is splitmix64.
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// generate writes the three files, each in an order of its own.
func generate(dir string, n int) (planted, error) {
	want := planted{map[string]int{}, map[string]int{}}
	lines := [3]int{}
	for i := range n {
		p := of(i)
		for k, s := range []byte{p.journal, p.mis, p.bank} {
			if s != 0 {
				lines[k]++
			}
		}
		if p.flat != "" {
			want.flat[p.flat]++
			want.three[p.three]++
		}
	}
	for k, name := range []string{"journal", "mis", "bank"} {
		if err := write(filepath.Join(dir, name+".dat"), n, lines[k], k); err != nil {
			return want, err
		}
	}
	return want, writeClosed(filepath.Join(dir, "journal.txt"), n)
}

// writeClosed writes the journal's lines as the gateway keeps a closed day, in
// the order of its rows.
func writeClosed(name string, n int) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintln(w, "row|serial|key|account|terminal|fen|direction|effect|link|time")
	effects := map[byte]byte{'0': 'S', '1': 'R', 'F': 'F', 'U': 'U'}
	for i := range n {
		status := of(i).journal
		if status == 0 {
			continue
		}
		x := detailsOf(i)
		if _, err := fmt.Fprintf(w, "%d|%s|%s|%s|%s|%d|+|%c|bench|%s:%s:%s\n", i+1, x.serial, x.key, x.account, x.terminal, x.amount, effects[status],
			x.time[:2], x.time[2:4], x.time[4:]); err != nil {
			return err
		}
	}
	return errors.Join(w.Flush(), f.Close())
}

// details are what all parties tell of a payment.
type details struct {
	serial, key, account, terminal, time string
	amount                               int
}

func detailsOf(i int) details {
	h := mix(uint64(i) ^ 0xABCDEF)
	return details{
		serial: fmt.Sprintf("%s01%010d", day, i+1), key: fmt.Sprintf("%010d%010d", mix(uint64(i))%10_000_000_000, i+1),
		account: fmt.Sprintf("%013d", h%10_000_000_000_000), terminal: fmt.Sprintf("%08d", h>>20%100_000_000),
		time: fmt.Sprintf("%02d%02d%02d", h%24, h>>8%60, h>>16%60), amount: 100 + int(h%90_000)}
}

func write(name string, n, lines, k int) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintf(w, "%s%012d%98s\r\n", day, lines, "")
	order := order(n, uint64(k))
	row := make([]byte, 0, lineWidth)
	for range n {
		i := order()
		p := of(i)
		status := []byte{p.journal, p.mis, p.bank}[k]
		if status == 0 {
			continue
		}
		x, h := detailsOf(i), mix(uint64(i)^0xABCDEF)
		if k == 2 {
			x.amount += p.bankMore
		}
		row = fmt.Appendf(row[:0], "%s%s%s%s%s%s%012d+%c", x.serial, x.key, x.account, x.terminal, day, x.time, x.amount, status)
		for j := range 10 {
			row = append(row, 0xB0+byte(h>>j%32), 0xA1+byte(h>>(j+8)%64)) // ten Chinese characters
		}
		row = append(row, "         \r\n"...)
		if _, err := w.Write(row); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// order visits 0 to n-1 in an order that looks random: a Feistel network walked
// until it lands in the range.
func order(n int, seed uint64) func() int {
	rng := rand.New(rand.NewPCG(seed, 42))
	half := uint(1)
	for 1<<(2*half) < n {
		half++
	}
	keys := [4]uint64{rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64()}
	at := uint64(0)
	mask := uint64(1)<<half - 1
	return func() int {
		for {
			l, r := at>>half&mask, at&mask
			at++
			for _, k := range keys {
				l, r = r, l^mix(r^k)&mask
			}
			if v := l<<half | r; v < uint64(n) {
				return int(v)
			}
		}
	}
}
