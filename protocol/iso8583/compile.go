package iso8583

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// codec is the compiled form of Spec.
type codec struct {
	layout           *protocol.Layout
	mti              field
	first            manner // of the message type
	form             bitmapForm
	hexMap           bool
	hex              *hexCase
	ops              [2][64]op  // by map, then by bit
	sets             []fieldSet // by layout id: the field it belongs to, none for the message type
	reading, writing plans
	types            []uint32 // message types with rules, as their four characters
	rules            []rule   // of each of them
}

// maxBit is the highest field number.
const maxBit = 128

type bitmapForm uint8

const (
	map64 bitmapForm = iota
	mapAuto
	map128
	map128Clear
)

// rule is the compiled form of Message for one type.
type rule struct{ must, not fieldSet }

// fieldSet is a set of fields as the maps of the wire have it: field 1 is the
// highest bit of low, field 65 that of high. It is no array: the processor
// stalls when two words that were just written are read as one.
type fieldSet struct{ low, high uint64 }

// add puts field n in.
func (s *fieldSet) add(n int) {
	if n > 64 {
		s.high |= bit(n)
	} else {
		s.low |= bit(n)
	}
}

// remove takes field n out.
func (s *fieldSet) remove(n int) {
	if n > 64 {
		s.high &^= bit(n)
	} else {
		s.low &^= bit(n)
	}
}

// has reports whether field n is in it.
func (s fieldSet) has(n int) bool {
	if n > 64 {
		return s.high&bit(n) != 0
	}
	return s.low&bit(n) != 0
}

// without returns what is in s and not in o.
func (s fieldSet) without(o fieldSet) fieldSet { return fieldSet{s.low &^ o.low, s.high &^ o.high} }

// last returns the highest field of the set, 0 when it is empty.
func (s fieldSet) last() int {
	switch {
	case s.high != 0:
		return 128 - bits.TrailingZeros64(s.high)
	case s.low != 0:
		return 64 - bits.TrailingZeros64(s.low)
	}
	return 0
}

// first returns the lowest field of the set, 0 when it is empty.
func (s fieldSet) first() int {
	switch {
	case s.low != 0:
		return bits.LeadingZeros64(s.low) + 1
	case s.high != 0:
		return bits.LeadingZeros64(s.high) + 65
	}
	return 0
}

// compiler numbers fields while it turns descriptions into tables.
type compiler struct {
	spec    *Spec
	charset text.Charset
	fields  []protocol.FieldSpec
	owner   []uint8
	ids     map[string]uint16
	pads    map[uint16]bool // ids of free nibbles
	bit     int             // of the field at hand
	asked   []asked
}

// New compiles a description. The codec is safe for concurrent use.
func New(s *Spec) (protocol.Codec, error) {
	c := compiler{spec: s, ids: map[string]uint16{}, pads: map[uint16]bool{}, charset: text.GB18030}
	out := new(codec)
	for n := 1; n <= maxBit; n++ {
		out.op(n).bit = uint8(n - 1)
	}
	if s.Charset != "" {
		var ok bool
		if c.charset, ok = text.ParseCharset(s.Charset); !ok {
			return nil, fmt.Errorf("charset: unknown %q", s.Charset)
		}
	}
	if err := c.top(out); err != nil {
		return nil, err
	}
	list := slices.Clone(s.Fields)
	slices.SortStableFunc(list, func(a, b Field) int { return bitOf(a.Name) - bitOf(b.Name) })
	for i := range list {
		f, n := &list[i], bitOf(list[i].Name)
		if n < 2 || n > maxBit || out.form == map64 && n > 64 {
			return nil, fmt.Errorf("fields: %q is no bit of the map", f.Name)
		}
		if out.op(n).field != nil {
			return nil, fmt.Errorf("fields: %s stands twice", f.Name)
		}
		c.bit = n
		compiled, err := c.field(f, f.Name, pay.Never, nested{})
		if err != nil {
			return nil, fmt.Errorf("fields: %s: %w", f.Name, err)
		}
		*out.op(n) = compileOp(compiled, n-1)
	}
	if err := c.answer(out); err != nil {
		return nil, err
	}
	if err := out.compileRules(s.Messages); err != nil {
		return nil, err
	}
	out.layout = protocol.NewLayout(c.fields)
	out.sets = make([]fieldSet, len(c.owner))
	for id, n := range c.owner {
		if n > 0 {
			out.sets[id].add(int(n))
		}
	}
	return out, nil
}

func bitOf(name string) int {
	n, err := strconv.Atoi(name)
	if err != nil || strconv.Itoa(n) != name {
		return -1
	}
	return n
}

// top compiles message type and bitmap.
func (c *compiler) top(out *codec) error {
	mti, err := c.field(&Field{Title: "消息类型", Type: "n", Len: 4, Code: c.spec.MTI, Mask: "public"}, "MTI", pay.Never, nested{})
	if err != nil {
		return fmt.Errorf("mti: %w", err)
	}
	out.mti = *mti
	out.first = compileOp(mti, 0).manner
	if out.hex, err = parseCase(c.spec.Hex); err != nil {
		return err
	}
	switch c.spec.Bitmap.Code {
	case "", "binary":
	case "hex":
		out.hexMap = true
	default:
		return fmt.Errorf("bitmap.code: want binary or hex, got %q", c.spec.Bitmap.Code)
	}
	forms := map[string]bitmapForm{"": map64, "64": map64, "auto": mapAuto, "128": map128, "128-clear": map128Clear}
	var ok bool
	if out.form, ok = forms[c.spec.Bitmap.Form]; !ok {
		return fmt.Errorf("bitmap.form: want 64, auto, 128 or 128-clear, got %q", c.spec.Bitmap.Form)
	}
	return nil
}

func (c *codec) compileRules(list []Message) error {
	for i := range list {
		var must, not fieldSet
		for _, set := range []struct {
			bits []int
			to   *fieldSet
		}{{list[i].Must, &must}, {list[i].Not, &not}} {
			for _, n := range set.bits {
				if n < 2 || n > maxBit || c.op(n).field == nil {
					return fmt.Errorf("messages: no field %d", n)
				}
				set.to.add(n)
			}
		}
		for _, mti := range list[i].MTI {
			if len(mti) != 4 || !text.IsDigits([]byte(mti)) {
				return fmt.Errorf("messages: mti: want four digits, got %q", mti)
			}
			c.types = append(c.types, binary.BigEndian.Uint32([]byte(mti)))
			c.rules = append(c.rules, rule{must, not})
		}
	}
	return nil
}

// op returns the op of field n.
func (c *codec) op(n int) *op { return &c.ops[(n-1)/64&1][(n-1)&63] }

// bit returns the mask of field n within its map of 64.
func bit(n int) uint64 { return 1 << 63 >> (uint(n-1) & 63) }

// id enters a value into the layout.
func (c *compiler) id(name, title string, m pay.Mask, group, raw bool) (uint16, error) {
	if _, ok := c.ids[name]; ok {
		return 0, fmt.Errorf("two fields are named %s", name)
	}
	if len(c.fields) >= 1<<14 {
		return 0, errors.New("too many fields")
	}
	id := uint16(len(c.fields))
	c.ids[name] = id
	c.fields = append(c.fields, protocol.FieldSpec{Name: name, Title: title, Mask: m, Group: group, Bytes: raw})
	c.owner = append(c.owner, uint8(c.bit))
	return id, nil
}

var masks = map[string]pay.Mask{"account": pay.Account, "card": pay.Card, "name": pay.Name, "address": pay.Address,
	"contact": pay.Contact, "public": pay.Public, "never": pay.Never}

func parseMask(s string, inherited pay.Mask) (pay.Mask, error) {
	if s == "" {
		return inherited, nil
	}
	m, ok := masks[s]
	if !ok {
		return pay.Never, fmt.Errorf("mask: want account, card, name, address, contact, public or never, got %q", s)
	}
	return m, nil
}
