package journal

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

// checkpoint is the chain's hash at a row, as it was signed.
type checkpoint struct {
	row uint64
	sum [32]byte
	sig []byte
}

func (c *checkpoint) link() uint64 { return binary.BigEndian.Uint64(c.sum[:8]) }

// statement is what is signed of a chain.
func statement(node uint8, day pay.Day, row uint64, sum [32]byte) []byte {
	b := append([]byte("qianzhi journal checkpoint 1"), node)
	b = binary.BigEndian.AppendUint32(b, uint32(day))
	b = binary.BigEndian.AppendUint64(b, row)
	return append(b, sum[:]...)
}

// signatures is the file of a day's checkpoints: a line each of row, hash and
// signature. It stands beside the log, so that a log that lost its end is found
// out.
func signatures(dir string, day pay.Day) string { return filepath.Join(dir, day.String()+".sig") }

// appendCheckpoint adds a line to a day's file, durably: were it lost together
// with the rows that it covers, nothing would show that they are gone. The line
// begins on a new one, whatever a process that died left there.
func appendCheckpoint(name string, c *checkpoint) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		_, err = fmt.Fprintf(f, "\n%d %x %x", c.row, c.sum, c.sig)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil && info.Size() == 0 {
		err = syncDir(filepath.Dir(name)) // it may be new
	}
	return err
}

// parseCheckpoint reads one line whose signature proves true.
func parseCheckpoint(line string, node uint8, day pay.Day, key *gm.PublicKey) (checkpoint, bool) {
	var c checkpoint
	part := strings.Fields(line)
	if len(part) != 3 {
		return c, false
	}
	row, err := strconv.ParseUint(part[0], 10, 64)
	sum, err1 := hex.DecodeString(part[1])
	sig, err2 := hex.DecodeString(part[2])
	if errors.Join(err, err1, err2) != nil || len(sum) != len(c.sum) {
		return c, false
	}
	c = checkpoint{row: row, sum: [32]byte(sum), sig: sig}
	return c, key.Verify([]byte(gm.DefaultID), statement(node, day, c.row, c.sum), sig) == nil
}

// readCheckpoints yields the lines of a day's file that are not empty. A file
// that does not exist has none.
func readCheckpoints(dir string, day pay.Day, from int64, yield func(line string)) error {
	f, err := os.Open(signatures(dir, day))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if from < 0 {
		if size, err := f.Seek(0, io.SeekEnd); err == nil {
			from = max(0, size+from)
		}
	}
	_, err = f.Seek(from, io.SeekStart)
	for s := bufio.NewScanner(f); err == nil; {
		if !s.Scan() {
			err = s.Err()
			break
		}
		if s.Text() != "" {
			yield(s.Text())
		}
	}
	return errors.Join(err, f.Close())
}

// lastCheckpoint returns the newest checkpoint that proves true, the zero one
// when there is none.
func lastCheckpoint(dir string, node uint8, day pay.Day, key *gm.PublicKey) checkpoint {
	const lines = 8 * 256 // the end of the file, in bytes
	var last checkpoint
	_ = readCheckpoints(dir, day, -lines, func(line string) { // without it the whole log is proved
		if c, ok := parseCheckpoint(line, node, day, key); ok && c.row >= last.row {
			last = c
		}
	})
	return last
}

// sign puts a checkpoint at the end of the running log's chain.
func (j *Journal) sign() error {
	w := &j.w
	if w.chain.row == w.signed {
		return nil
	}
	c := checkpoint{row: w.chain.row, sum: w.chain.sum}
	var err error
	if c.sig, err = j.o.Signer.Sign([]byte(gm.DefaultID), statement(j.o.Node, w.log, c.row, c.sum)); err != nil {
		return err
	}
	if err := appendCheckpoint(signatures(j.o.Dir, w.log), &c); err != nil {
		return err
	}
	w.signed, w.signedAt = c.row, j.o.Now()
	return nil
}
