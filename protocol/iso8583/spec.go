// Package iso8583 reads and writes ISO 8583 messages as a link file describes
// them. The description is compiled once into flat tables; a message is then
// read in one pass over its bitmap into a record, and written from one, with
// no allocation.
//
// What is read is read completely: a bit without a field, a value that does
// not fit its type or a byte that is left over is an error with field path and
// offset. What was read is written back byte for byte.
package iso8583

// Spec describes the messages of one link. Both directions share it.
type Spec struct {
	MTI      string    `yaml:"mti"`      // code of the message type: one of bcd (default), ascii
	Bitmap   Bitmap    `yaml:"bitmap"`   // the map of fields present
	Digits   string    `yaml:"digits"`   // default code of types n, z and x: one of bcd (default), ascii
	Length   string    `yaml:"length"`   // default code of length prefixes: one of bcd (default), ascii, binary
	Hex      string    `yaml:"hex"`      // digits of maps and values in code hex: one of upper (default), lower, any (both are read, upper is written; only then may a message read be written back in other bytes)
	Charset  string    `yaml:"charset"`  // of type ans: one of gb18030 (default), gbk, utf-8, ascii
	Fields   []Field   `yaml:"fields"`   // by bit
	Messages []Message `yaml:"messages"` // which fields a message type must and must not carry
}

// Bitmap describes the map of fields present.
type Bitmap struct {
	Code string `yaml:"code"` // one of binary (default), hex
	// one of 64 (default; bit 1 is not used), auto (bit 1 announces a second
	// map of fields 65 to 128), 128 (two maps always, bit 1 always set),
	// 128-clear (two maps always, bit 1 never set)
	Form string `yaml:"form"`
}

// Field describes one field, subfield or tagged value.
type Field struct {
	Name  string `yaml:"name"`  // bit number, subfield number or tag; any word in a loop
	Title string `yaml:"title"` // what the interface document calls it
	// one of n (digits), z (track), x (C or D and digits), a, an, ans (text),
	// b (bytes); empty: the field is made of parts of its own kind
	Type   string  `yaml:"type"`
	Len    int     `yaml:"len"`     // digits, characters on the wire or bytes; the most there may be when var is set
	Min    int     `yaml:"min"`     // the least, when var is set
	Var    string  `yaml:"var"`     // one of L, LL, LLL, LLLL, LLLLL, LLLLLL (digits of the length before the value), rest (to the end of the enclosing field)
	Length string  `yaml:"length"`  // code of that length: one of bcd, ascii, binary; bcd and binary take one byte for two L
	Counts string  `yaml:"counts"`  // what it counts: one of bytes, nibbles (half bytes); empty: units of len
	Code   string  `yaml:"code"`    // n, z, x: one of bcd, ascii; b: one of binary (default), hex
	Align  string  `yaml:"align"`   // one of left, right; empty: right for n of fixed length, else left
	Pad    string  `yaml:"pad"`     // free nibble of an odd number of BCD digits: one of 0 (default), F
	AnyPad bool    `yaml:"any_pad"` // other free nibbles are read too, and kept as NAME.pad
	Mask   string  `yaml:"mask"`    // one of public, account, card, name, address, contact, never; empty: that of the enclosing field, at the top never
	Parts  *Parts  `yaml:"parts"`   // the value is made of fields
	Fields []Field `yaml:"fields"`  // the parts
	Loop   []Field `yaml:"loop"`    // a group that repeats to the end of the enclosing field, or as often as count says
	Count  string  `yaml:"count"`   // for a loop: the part before it that holds the number of turns, type n of fixed length
	Max    int     `yaml:"max"`     // times, for a loop
	Cases  []Case  `yaml:"cases"`   // other forms of the field, by the values of other fields
}

// Parts says how a value is made of fields.
type Parts struct {
	// one of positional (one after the other, the last ones may be missing), tlv
	// (tag and length and value), ber (the TLV of chip cards), bitmap
	Kind string `yaml:"kind"`
	Tag  int    `yaml:"tag"` // tlv: bytes of the tag
	// tlv: code of the tag: one of ascii (default), bcd, binary; the name of a bcd
	// or binary tag is in hex, two digits for a byte
	Tags string `yaml:"tag_code"`
	Size int    `yaml:"size"` // tlv: bytes of the length
	Code string `yaml:"code"` // tlv: code of the length: one of ascii (default), bcd, binary
	Map  int    `yaml:"map"`  // bitmap: bytes of the map, 1 to 16
	// what remains after the last whole positional part is kept as NAME.other
	// instead of refused; the other kinds keep unknown parts there always
	Rest bool `yaml:"rest"`
	// a value that is not made of tags and lengths is kept whole as NAME.other
	// instead of refused
	Loose bool `yaml:"loose"`
}

// Case is another form of a field. The first one whose values are all there
// is used.
type Case struct {
	When map[string][]string `yaml:"when"` // another field, or MTI: values; no values: it is there. A field behind this one can choose when all forms end at the same byte
	As   Field               `yaml:"as"`   // its name is added to that of the field
}

// Message says which fields message types carry. Types that are not listed may
// carry any.
type Message struct {
	MTI  []string `yaml:"mti"`   // the message types
	Must []int    `yaml:"must"`  // bits that must be there
	Not  []int    `yaml:"never"` // bits that must not be there
}
