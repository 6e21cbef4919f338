// Package powerloss finds out what a power cut would leave of a journal. It
// records every file operation of a real run with strace, and rebuilds the
// folder as it may stand after a cut between any two of them: what an fsync
// covers is there, everything later is there, lost or torn.
//
// The model is stricter than most file systems: a name lasts only when its
// folder was synced, and writes that no sync covers are kept in any combination.
// The shared memory beside SQLite's write-ahead log is left out: it is rebuilt
// from the log and holds nothing. A sync that the disk answers and does not do
// is beyond the model, as it is beyond every program.
package powerloss

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// calls are the system calls that are recorded.
const calls = "execve,openat,close,write,pwrite64,lseek,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat"

// call is one system call. Ends is false for the line that begins a call which
// another thread interrupts, begins is false for the one that ends it.
type call struct {
	thread, name string
	args         []string
	result       int64
	begins, ends bool
}

// parse reads what strace -f -xx wrote and yields every line in order.
func parse(r io.Reader, yield func(call) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 1<<20), 1<<30)
	open := map[string]call{} // by thread
	for s.Scan() {
		c, ok := parseLine(s.Text(), open)
		if !ok {
			continue
		}
		if err := yield(c); err != nil {
			return err
		}
	}
	return s.Err()
}

func parseLine(line string, open map[string]call) (call, bool) {
	thread, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimLeft(rest, " ")
	c := call{thread: thread, begins: true, ends: true}
	if after, resumed := strings.CutPrefix(rest, "<... "); resumed {
		c = open[thread]
		delete(open, thread)
		c.begins, c.ends, rest = false, true, after
	} else {
		name, args, isCall := strings.Cut(rest, "(")
		if !isCall {
			return c, false // a signal, or an end
		}
		c.name, rest = name, args
		body, interrupted := strings.CutSuffix(rest, " <unfinished ...>")
		if !interrupted {
			body = rest[:max(0, strings.LastIndex(rest, ") "))]
		}
		c.args = strings.Split(body, ", ")
		if interrupted {
			c.ends = false
			open[thread] = c
			return c, true
		}
	}
	_, result, _ := strings.Cut(rest[max(0, strings.LastIndex(rest, ") ")):], "= ")
	result, _, _ = strings.Cut(result, " ")
	var err error
	c.result, err = strconv.ParseInt(result, 0, 64)
	return c, err == nil && c.name != ""
}

// text reads a string argument, which strace -xx writes as hexadecimal digits.
func text(arg string) ([]byte, error) {
	if !strings.HasPrefix(arg, `"`) || !strings.HasSuffix(arg, `"`) {
		return nil, fmt.Errorf("powerloss: the record cuts a string short: %.40s", arg)
	}
	return hex.DecodeString(strings.ReplaceAll(arg[1:len(arg)-1], `\x`, ""))
}

func number(arg string) int64 {
	n, err := strconv.ParseInt(arg, 0, 64)
	if err != nil {
		return -1
	}
	return n
}
