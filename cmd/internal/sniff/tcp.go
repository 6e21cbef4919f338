package sniff

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// assembler joins the TCP segments of a capture into streams.
type assembler struct {
	packets int
	flows   map[string]*flow
	order   []*flow
}

// flow is one direction of a connection.
type flow struct {
	from, to string
	segments []segment
	size     int
	first    uint32 // sequence number of the first byte
	known    bool
}

type segment struct {
	at   uint32 // offset from the first byte
	data []byte
}

func newAssembler() *assembler { return &assembler{flows: map[string]*flow{}} }

// Link types of captures.
const (
	linkNull     = 0
	linkEthernet = 1
	linkRaw      = 101
	linkLinux    = 113
	linkLinux2   = 276
)

// packet takes one frame of a link; what is no TCP over IP is passed over.
func (a *assembler) packet(link uint32, b []byte) {
	a.packets++
	skip := 0
	switch link {
	case linkNull:
		skip = 4
	case linkRaw:
	case linkLinux:
		skip = 16
	case linkLinux2:
		skip = 20
	case linkEthernet:
		skip = 14
		for skip+4 <= len(b) && isVLAN(binary.BigEndian.Uint16(b[skip-2:])) {
			skip += 4
		}
	default:
		return
	}
	if len(b) <= skip {
		return
	}
	switch b = b[skip:]; b[0] >> 4 {
	case 4:
		a.ip4(b)
	case 6:
		a.ip6(b)
	}
}

func isVLAN(kind uint16) bool { return kind == 0x8100 || kind == 0x88A8 }

const protoTCP = 6

func (a *assembler) ip4(b []byte) {
	if len(b) < 20 {
		return
	}
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 {
		total = len(b) // segmentation was left to the card
	}
	fragment := binary.BigEndian.Uint16(b[6:])&0x3FFF != 0
	if b[9] != protoTCP || fragment || head < 20 || total < head || total > len(b) {
		return
	}
	from, _ := netip.AddrFromSlice(b[12:16])
	to, _ := netip.AddrFromSlice(b[16:20])
	a.tcp(from, to, b[head:total])
}

func (a *assembler) ip6(b []byte) {
	if len(b) < 40 || b[6] != protoTCP {
		return
	}
	total := 40 + int(binary.BigEndian.Uint16(b[4:]))
	if total > len(b) {
		return
	}
	from, _ := netip.AddrFromSlice(b[8:24])
	to, _ := netip.AddrFromSlice(b[24:40])
	a.tcp(from, to, b[40:total])
}

func (a *assembler) tcp(from, to netip.Addr, b []byte) {
	if len(b) < 20 {
		return
	}
	head := int(b[12]>>4) * 4
	if head < 20 || head > len(b) {
		return
	}
	src := netip.AddrPortFrom(from, binary.BigEndian.Uint16(b)).String()
	dst := netip.AddrPortFrom(to, binary.BigEndian.Uint16(b[2:])).String()
	seq := binary.BigEndian.Uint32(b[4:])
	f := a.flows[src+dst]
	if f == nil {
		if len(a.order) == maxStreams {
			return
		}
		f = &flow{from: src, to: dst}
		a.flows[src+dst], a.order = f, append(a.order, f)
	}
	const syn = 2
	if b[13]&syn != 0 {
		f.first, f.known = seq+1, true
		return
	}
	data := b[head:]
	if len(data) == 0 || f.size+len(data) > maxStream {
		return
	}
	if !f.known { // the capture began in the middle
		f.first, f.known = seq, true
	}
	f.size += len(data)
	f.segments = append(f.segments, segment{seq - f.first, data})
}

// join puts the segments in order; what came twice counts once. It stops at
// the first gap.
func (f *flow) join() (out []byte, lost bool) {
	segments := slices.Clone(f.segments)
	slices.SortStableFunc(segments, func(a, b segment) int { return int(int32(a.at - b.at)) })
	for _, s := range segments {
		ahead := int64(int32(s.at)) - int64(len(out))
		switch {
		case ahead > 0:
			return out, true
		case int64(len(s.data))+ahead > 0:
			out = append(out, s.data[-ahead:]...)
		}
	}
	return out, false
}
