package journal

import (
	"errors"
	"fmt"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

// Options are the settings of a journal.
type Options struct {
	Dir        string           // for the lock, the signed checkpoints and the tables of closed days
	Node       uint8            // of this process, part of every chain
	DupDays    int              // days before the running one whose keys stay in memory, 2 or more
	MaxPending int              // rows that may wait for a commit; beyond it everything new fails with ErrBusy
	KEK        []byte           // SM4 key of 16 bytes that wraps the data keys
	IndexKey   []byte           // secret under which tokens are made
	Signer     *gm.PrivateKey   // signs checkpoints
	Now        func() time.Time // wall clock
	SnapRows   int              // rows between two snapshots of the running day; 0 for a million
	// SegmentRows is how many rows of the running day may be in no index; 0 for
	// a number that a search reads in some milliseconds.
	SegmentRows int
	AcceptLoss  bool // start although rows under a signed checkpoint are gone
}

// Check reports the first setting that cannot work.
func (o *Options) Check() error {
	switch {
	case o.Dir == "":
		return errors.New("journal: dir: missing")
	case o.DupDays < 2:
		return errors.New("journal: dup_days: want at least 2")
	case o.MaxPending <= 0:
		return errors.New("journal: max_pending: must be positive")
	case len(o.KEK) != gm.BlockSize:
		return fmt.Errorf("journal: sealing key: want %d bytes, got %d", gm.BlockSize, len(o.KEK))
	case len(o.IndexKey) < gm.BlockSize:
		return fmt.Errorf("journal: index key: want at least %d bytes, got %d", gm.BlockSize, len(o.IndexKey))
	case o.Signer == nil:
		return errors.New("journal: signing key: missing")
	case o.Now == nil:
		return errors.New("journal: clock: missing")
	}
	return nil
}

// Errors that callers tell apart. The last three are pay.ErrUnwritable too:
// nothing was written.
var (
	ErrLocked  = errors.New("journal: another process uses this directory")
	ErrUnknown = errors.New("journal: no such payment")
	ErrInDoubt = errors.New("journal: stopped before the commit's outcome was known")
	ErrNotCut  = errors.New("journal: the day is not cut yet")
	ErrNoLog   = errors.New("journal: there is no log of the day") // what a Store returns, wrapped
	ErrBusy    = fmt.Errorf("%w: too much waits for a commit", pay.ErrUnwritable)
	ErrClosed  = fmt.Errorf("%w: the journal is closed", pay.ErrUnwritable)
	ErrCutting = fmt.Errorf("%w: the day is being cut", pay.ErrUnwritable)
)
