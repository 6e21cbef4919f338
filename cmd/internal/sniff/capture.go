// Package sniff guesses from bytes how a link frames and encodes its messages,
// says why, and writes the lines of a link file that would read them. The bytes
// are a packet capture, hexadecimal text, or a message as it is.
package sniff

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Stream is what one side of a connection sent, in order.
type Stream struct {
	Name  string // sender and receiver, "" when the bytes came alone
	Bytes []byte
	Lost  bool // the capture lacks a part: what is behind it is left out
}

// Most that is read of a capture.
const (
	maxStreams = 256
	maxStream  = 1 << 20 // bytes of one stream
)

// Read finds the streams in a capture file, or takes hex or raw bytes as one.
func Read(b []byte) ([]Stream, error) {
	switch {
	case len(b) == 0:
		return nil, errors.New("没有内容")
	case len(b) >= 24 && pcapOrder(b) != nil:
		return classic(b)
	case len(b) >= 28 && binary.BigEndian.Uint32(b) == blockSection:
		return nextGeneration(b)
	}
	if raw, ok := Hex(string(b)); ok {
		b = raw
	}
	return []Stream{{Bytes: b[:min(len(b), maxStream)]}}, nil
}

// Hex reads hexadecimal text with any white space, or colons, between digits.
func Hex(s string) ([]byte, bool) {
	s = strings.Map(func(r rune) rune {
		if r == ':' || r == ' ' || r == '\t' || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, s)
	raw, err := hex.DecodeString(s)
	return raw, err == nil && len(raw) > 0 && !digitsOnly(s)
}

// digitsOnly keeps a message that is all digits, such as 0005hello cannot be
// but 000412340000 is, from being taken for hex when it is short.
func digitsOnly(s string) bool {
	return len(s) < 12 && strings.Trim(s, "0123456789") == ""
}

// pcapOrder returns the byte order of a classic capture, nil when it is none.
func pcapOrder(b []byte) binary.ByteOrder {
	for _, o := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if m := o.Uint32(b); m == 0xA1B2C3D4 || m == 0xA1B23C4D {
			return o
		}
	}
	return nil
}

// classic reads the packets of a pcap file; a packet that was cut off at its
// end, as a running capture leaves it, ends the file.
func classic(b []byte) ([]Stream, error) {
	o := pcapOrder(b)
	link := o.Uint32(b[20:]) & 0x0FFFFFFF
	a := newAssembler()
	for at := 24; at+16 <= len(b); {
		size := int(o.Uint32(b[at+8:]))
		at += 16
		if size < 0 || size > len(b)-at {
			break
		}
		a.packet(link, b[at:at+size])
		at += size
	}
	return a.streams()
}

// Block types of pcapng.
const (
	blockSection   = 0x0A0D0D0A
	blockInterface = 1
	blockSimple    = 3
	blockEnhanced  = 6
)

// nextGeneration reads the packets of a pcapng file.
func nextGeneration(b []byte) ([]Stream, error) {
	var o binary.ByteOrder = binary.LittleEndian
	var links []uint32
	a := newAssembler()
	for at := 0; at+12 <= len(b); {
		if binary.BigEndian.Uint32(b[at:]) == blockSection {
			if o = binary.LittleEndian; bytes.Equal(b[at+8:at+12], []byte{0x1A, 0x2B, 0x3C, 0x4D}) {
				o = binary.BigEndian
			}
			links = links[:0]
		}
		kind, size := o.Uint32(b[at:]), int(o.Uint32(b[at+4:]))
		if size < 12 || size%4 != 0 || size > len(b)-at {
			break
		}
		body := b[at+8 : at+size-4]
		switch {
		case kind == blockInterface && len(body) >= 4:
			links = append(links, uint32(o.Uint16(body)))
		case kind == blockEnhanced && len(body) >= 20:
			in, n := int(o.Uint32(body)), int(o.Uint32(body[12:]))
			if in < len(links) && n >= 0 && n <= len(body)-20 {
				a.packet(links[in], body[20:20+n])
			}
		case kind == blockSimple && len(body) >= 4 && len(links) > 0:
			n := int(o.Uint32(body))
			a.packet(links[0], body[4:4+min(max(n, 0), len(body)-4)])
		}
		at += size
	}
	return a.streams()
}

func (a *assembler) streams() ([]Stream, error) {
	var out []Stream
	for _, f := range a.order {
		s := Stream{Name: f.from + " -> " + f.to}
		s.Bytes, s.Lost = f.join()
		if len(s.Bytes) > 0 {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("抓包文件中 %d 个包, 没有 TCP 数据", a.packets)
	}
	return out, nil
}
