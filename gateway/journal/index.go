package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"syscall"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

// An index holds one summary for each payment that has rows between two rows of
// a log, as the payment stood at the second, in the order of names, so that the
// times ascend as well. Behind them stands a list for each key: value and number
// of the summary, sorted. The file ends with the ids of the links and a code over
// everything under the index key.
//
// A closed log has one index. A log that is written has one for each of its
// segments; a payment is told from the newest one that has it.
//
// A log is never changed by its index, and what the index says is confirmed
// against the log before it is told.
const (
	indexMagic  = "QZINDEX2"
	indexHead   = 8 + 8*(4+keys+1)
	summarySize = 72
	entrySize   = 12 // of a key's list
)

// What can be searched for.
const (
	byAccount = iota
	byPAN
	bySerial
	byTail
	byAmount
	byState
	keys
)

func indexFile(dir string, day pay.Day) string { return filepath.Join(dir, day.String()+".idx") }

// summary is one payment in an index.
type summary struct {
	id    pay.ID
	last  uint64 // its last row in the log
	at    int64  // when it was received
	key   [keys]uint64
	link  uint16
	op    pay.Op
	state pay.State
}

func (s *summary) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(s.id.Day))
	for _, v := range [...]uint64{s.id.Row, s.last, uint64(s.at), s.key[byAccount], s.key[byPAN], s.key[bySerial], s.key[byAmount]} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(s.key[byTail]))
	dst = binary.BigEndian.AppendUint16(dst, s.link)
	return append(dst, byte(s.op), byte(s.state), 0, 0, 0, 0)
}

func readSummary(b []byte) summary {
	u64 := func(i int) uint64 { return binary.BigEndian.Uint64(b[4+8*i:]) }
	s := summary{id: pay.ID{Day: pay.Day(binary.BigEndian.Uint32(b)), Row: u64(0)}, last: u64(1), at: int64(u64(2)),
		link: binary.BigEndian.Uint16(b[64:]), op: pay.Op(b[66]), state: pay.State(b[67])}
	s.key = [keys]uint64{byAccount: u64(3), byPAN: u64(4), bySerial: u64(5), byAmount: u64(6),
		byTail: uint64(binary.BigEndian.Uint32(b[60:])), byState: uint64(s.state)}
	return s
}

// packTail makes the last four characters of a card number a key, 0 for none.
func packTail(s string) (v uint64) {
	for _, c := range []byte(s[max(0, len(s)-4):]) {
		v = v<<8 | uint64(c)
	}
	return v
}

// index is an open index, mapped into memory. The file was renamed into its
// place when it was complete and is never changed.
type index struct {
	b        []byte
	day      pay.Day
	from, to uint64 // rows that it covers
	n        int    // summaries
	list     [keys][]byte
	links    []string
}

// ErrIndex reports an index that is not what was written. It can be removed;
// the daemon builds it again.
var ErrIndex = errors.New("journal: index is damaged")

// openIndex maps the index of a closed log. The error is os.ErrNotExist where
// there is none yet.
func openIndex(dir string, day pay.Day) (*index, error) { return mapIndex(indexFile(dir, day), day) }

func mapIndex(name string, day pay.Day) (*index, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the mapping stays
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < indexHead+32 || info.Size() > 1<<40 {
		return nil, fmt.Errorf("%w: %s: %d bytes", ErrIndex, name, info.Size())
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	x := &index{b: b, day: day}
	if !x.parse() {
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrIndex, name), x.close())
	}
	return x, nil
}

func (x *index) close() error { return syscall.Munmap(x.b) }

// parse finds the parts, and reports whether they fill the file.
func (x *index) parse() bool {
	u64 := func(i int) int { return int(binary.BigEndian.Uint64(x.b[8+8*i:])) }
	x.from, x.to, x.n = uint64(u64(1)), uint64(u64(2)), u64(3)
	room := len(x.b) - indexHead - 32
	if string(x.b[:8]) != indexMagic || u64(0) != int(x.day) || x.from > x.to || x.n < 0 || x.n > room/summarySize {
		return false
	}
	at := indexHead + x.n*summarySize
	for k := range x.list {
		size := u64(4 + k)
		if size < 0 || size > x.n || at+size*entrySize > len(x.b)-32 {
			return false
		}
		x.list[k] = x.b[at : at+size*entrySize]
		at += size * entrySize
	}
	names := u64(4 + keys)
	if names < 0 || at+names != len(x.b)-32 {
		return false
	}
	for _, name := range bytes.Split(x.b[at:at+names], []byte{0}) {
		x.links = append(x.links, string(name))
	}
	return true
}

// check proves every byte.
func (x *index) check(k *tokens) error {
	body, given := x.b[:len(x.b)-32], x.b[len(x.b)-32:]
	if code := k.mac.Sum([]byte("index"), body); !gm.EqualMAC(code[:], given) {
		return fmt.Errorf("%w: %s: its code is wrong", ErrIndex, x.day)
	}
	return nil
}

func (x *index) summary(i int) summary {
	return readSummary(x.b[indexHead+i*summarySize : indexHead+(i+1)*summarySize])
}

func (x *index) id(i int) pay.ID {
	b := x.b[indexHead+i*summarySize:]
	return pay.ID{Day: pay.Day(binary.BigEndian.Uint32(b)), Row: binary.BigEndian.Uint64(b[4:])}
}

// linkOf returns the id of a summary's link.
func (x *index) linkOf(s *summary) string {
	if int(s.link) >= len(x.links) {
		return ""
	}
	return x.links[s.link]
}

func (x *index) at(i int) int64 {
	return int64(binary.BigEndian.Uint64(x.b[indexHead+i*summarySize+20:]))
}

// find returns the number of a payment's summary.
func (x *index) find(id pay.ID) (int, bool) {
	i := x.behind(id)
	return i, i < x.n && x.id(i) == id
}

// behind returns the number of the first summary that is not before a name.
func (x *index) behind(id pay.ID) int {
	return sort.Search(x.n, func(i int) bool { return !before(x.id(i), id) })
}

// between returns the summaries that were received in a span of time, the
// second excluded.
func (x *index) between(since, until int64) (from, to int) {
	from = sort.Search(x.n, func(i int) bool { return x.at(i) >= since })
	return from, sort.Search(x.n, func(i int) bool { return x.at(i) >= until })
}

// listed returns the part of a key's list with one value and summaries from
// and to, the second excluded. It is ascending.
func (x *index) listed(key int, value uint64, from, to int) []byte {
	l := x.list[key]
	find := func(number int) int {
		return sort.Search(len(l)/entrySize, func(i int) bool {
			v, n := entryOf(l, i)
			return v > value || v == value && n >= number
		})
	}
	return l[find(from)*entrySize : find(to)*entrySize]
}

func entryOf(l []byte, i int) (value uint64, number int) {
	e := l[i*entrySize : (i+1)*entrySize]
	return binary.BigEndian.Uint64(e), int(binary.BigEndian.Uint32(e[8:]))
}

// search yields the summaries from and to, the second excluded, that have all
// wanted keys, newest first. It walks the shortest list. A key of 0 may be
// anything.
func (x *index) search(want *[keys]uint64, from, to int, yield func(*summary) bool) {
	var walk []byte
	listed := false
	for k, v := range want {
		if v == 0 {
			continue
		}
		if l := x.listed(k, v, from, to); !listed || len(l) < len(walk) {
			walk, listed = l, true
		}
	}
	n := to - from
	if listed {
		n = len(walk) / entrySize
	}
	for i := n - 1; i >= 0; i-- {
		number := from + i
		if listed {
			_, number = entryOf(walk, i)
		}
		if number >= x.n {
			continue // the file was changed
		}
		if s := x.summary(number); s.has(want) && !yield(&s) {
			return
		}
	}
}

func (s *summary) has(want *[keys]uint64) bool {
	for k, v := range want {
		if v != 0 && s.key[k] != v {
			return false
		}
	}
	return true
}
