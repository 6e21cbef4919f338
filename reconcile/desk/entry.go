// Package desk keeps what people decide about a reconciled day: notes,
// proposals and their approval, signatures. It is the one place that says who
// may do what to a day; every door to it goes through Do. Decisions are lines of
// a file beside the day's versions, each with a hash over the one before, only
// ever appended.
package desk

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"qianzhi/gateway/pay"
)

// Kind is what somebody did.
type Kind string

// The kinds of decisions.
const (
	Note        Kind = "note"        // an open item gets an owner, a due day and a text
	Propose     Kind = "propose"     // somebody proposes what is to be done about an item
	Approve     Kind = "approve"     // another person approves it
	Reject      Kind = "reject"      // or does not
	Apply       Kind = "apply"       // the approved action begins
	Applied     Kind = "applied"     // and has ended, with its outcome
	Sign        Kind = "sign"        // the operator signs a version
	Countersign Kind = "countersign" // another person closes the day
	Reopen      Kind = "reopen"      // a closed day is asked, then allowed, to be opened
	Cash        Kind = "cash"        // a terminal's cash was counted
)

// chinese are the words of reports.
var chinese = map[Kind]string{Note: "备注", Propose: "提议", Approve: "批准", Reject: "驳回", Apply: "开始执行", Applied: "执行完毕", Sign: "签核", Countersign: "复核",
	Reopen: "重开", Cash: "清点"}

// Chinese returns the word of reports.
func (k Kind) Chinese() string { return chinese[k] }

// Entry is one decision as the file keeps it, a line of JSON.
type Entry struct {
	N        int        `json:"n"` // from 1
	At       string     `json:"at"`
	Kind     Kind       `json:"kind"`
	By       string     `json:"by"`               // account
	Person   string     `json:"person,omitempty"` // staff number
	Version  int        `json:"version"`          // of the result on the table
	Manifest string     `json:"manifest"`         // SHA-256 of its MANIFEST.sha256
	Verdict  string     `json:"verdict,omitempty"`
	Todo     int        `json:"todo,omitempty"`
	TodoFen  int64      `json:"todo_fen,omitempty"`
	Item     string     `json:"item,omitempty"`
	Evidence string     `json:"evidence,omitempty"` // of the item when it was decided
	Action   Action     `json:"action,omitempty"`
	Fen      pay.Amount `json:"fen,omitempty"`
	Owner    string     `json:"owner,omitempty"`
	Due      pay.Day    `json:"due,omitempty"`
	Document string     `json:"document,omitempty"` // number of a voucher outside
	Text     string     `json:"text,omitempty"`
	Failed   string     `json:"failed,omitempty"` // why an action did not succeed
	Order    string     `json:"order,omitempty"`  // hash of the standing order under which it is done, instead of two people
	Count    *Count     `json:"count,omitempty"`
	Prev     string     `json:"prev"`
	Hash     string     `json:"hash"`
}

// sum is the hash of an entry: over itself without it.
func (e Entry) sum() (string, error) {
	e.Hash = ""
	b, err := json.Marshal(e)
	if err != nil {
		return "", err
	}
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:]), nil
}

// file is the name of the decisions beside the versions.
const file = "desk.jsonl"

// maxLine bounds a line, in bytes.
const maxLine = 1 << 20

// ErrChain reports decisions that are not as they were written.
var ErrChain = errors.New("决定记录不完好")

// Read returns the decisions about a day's channel, proved to be the ones that
// were written. home is the folder of its versions; no file is no decisions.
func Read(home string) ([]Entry, error) {
	b, err := os.ReadFile(filepath.Join(home, file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Entry
	prev := ""
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(nil, maxLine)
	for n := 1; s.Scan(); n++ {
		var e Entry
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("%w: 第 %d 行: %w", ErrChain, n, err)
		}
		again, err1 := json.Marshal(e)
		sum, err2 := e.sum()
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		if e.N != n || e.Prev != prev || e.Hash != sum || !bytes.Equal(again, s.Bytes()) {
			return nil, fmt.Errorf("%w: 第 %d 行与哈希链不符", ErrChain, n)
		}
		prev = e.Hash
		all = append(all, e)
	}
	if len(b) > 0 && b[len(b)-1] != '\n' {
		return nil, fmt.Errorf("%w: 末行不完整", ErrChain)
	}
	return all, s.Err()
}

// write appends an entry, durable when it returns.
func write(home string, e Entry) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if len(b) >= maxLine {
		return errors.New("内容过长")
	}
	f, err := os.OpenFile(filepath.Join(home, file), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}
