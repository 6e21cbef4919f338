package journal

import (
	"encoding/binary"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

// chain is the hash over all rows of a log up to a row.
type chain struct {
	sum [32]byte
	row uint64
	buf []byte
}

// newChain starts the chain of a node's day. What came before is in the first
// row, so the start itself is known to whoever verifies.
func newChain(node uint8, day pay.Day) chain {
	b := append([]byte("qianzhi journal 1"), node)
	return chain{sum: gm.SumSM3(binary.BigEndian.AppendUint32(b, uint32(day)))}
}

// add extends the chain by a row and returns what the row's Link must be.
func (c *chain) add(r *Row) uint64 {
	c.buf = r.appendTo(append(c.buf[:0], c.sum[:]...))
	c.sum, c.row = gm.SumSM3(c.buf), r.Seq
	return binary.BigEndian.Uint64(c.sum[:8])
}

// appendTo appends everything that is stored of the row, except Link, in a
// form of which no two rows share the bytes.
func (r *Row) appendTo(dst []byte) []byte {
	for _, v := range [...]uint64{r.Seq, uint64(r.Day), r.Pay, uint64(r.N), r.Prev, uint64(r.Kind), uint64(r.State), uint64(r.At),
		r.Ref, r.About, r.Account, r.PAN, r.Serial, uint64(len(r.Tail)), uint64(len(r.Body))} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	return append(append(dst, r.Tail...), r.Body...)
}

// position names a row of any log: the day in front of ten decimal digits.
// Positions of one node ascend in the order of writing.
func position(day pay.Day, row uint64) uint64 { return uint64(day)*rowSpan + row }

// rowSpan is beyond the last row that a log may have.
const rowSpan = 1e10

func split(position uint64) (pay.Day, uint64) {
	return pay.Day(position / rowSpan), position % rowSpan
}
