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
	MTI      string    `yaml:"mti"`     // code of the message type: bcd (default) or ascii
	Bitmap   Bitmap    `yaml:"bitmap"`  //
	Digits   string    `yaml:"digits"`  // default code of types n, z and x: bcd (default) or ascii
	Length   string    `yaml:"length"`  // default code of length prefixes: bcd (default), ascii or binary
	Charset  string    `yaml:"charset"` // of type ans: gb18030 (default), gbk, utf-8 or ascii
	Fields   []Field   `yaml:"fields"`
	Messages []Message `yaml:"messages"`
}

// Bitmap describes the map of fields present.
type Bitmap struct {
	Code string `yaml:"code"` // binary (default) or hex
	// Form is "64" (default: bit 1 is not used), auto (bit 1 announces a second
	// map of fields 65 to 128), "128" (two maps always, bit 1 always set) or
	// "128-clear" (two maps always, bit 1 never set).
	Form string `yaml:"form"`
}

// Field describes one field, subfield or tagged value.
type Field struct {
	Name  string `yaml:"name"` // bit number, subfield number or tag in hex; any word in a loop
	Title string `yaml:"title"`
	// Type is n (digits), z (track), x (C or D, then digits), a, an, ans (text)
	// or b (bytes). It is empty for fields whose parts are made of bytes.
	Type   string  `yaml:"type"`
	Len    int     `yaml:"len"`     // digits, characters on the wire or bytes; the most there may be when var is set
	Min    int     `yaml:"min"`     // the least, when var is set
	Var    string  `yaml:"var"`     // L to LLLLLL: digits of the length before the value; rest: to the end of the enclosing field
	Length string  `yaml:"length"`  // code of that length; bcd and binary take one byte per two L
	Counts string  `yaml:"counts"`  // what it counts: units of len (default), bytes or nibbles (half bytes)
	Code   string  `yaml:"code"`    // n, z, x: bcd or ascii; b: binary (default) or hex
	Align  string  `yaml:"align"`   // left or right; default right for n of fixed length, else left
	Pad    string  `yaml:"pad"`     // free nibble of an odd number of BCD digits: 0 (default) or F
	AnyPad bool    `yaml:"any_pad"` // other free nibbles are read too, and kept as NAME.pad
	Mask   string  `yaml:"mask"`    // account, card, name, address, contact, public or never; default that of the enclosing field, at the top never
	Parts  *Parts  `yaml:"parts"`   // the value is made of fields
	Fields []Field `yaml:"fields"`  // the parts
	Loop   []Field `yaml:"loop"`    // a group that repeats to the end of the enclosing field
	Max    int     `yaml:"max"`     // times, for a loop
	Cases  []Case  `yaml:"cases"`   // other forms of the field, by the values of earlier fields
}

// Parts says how a value is made of fields.
type Parts struct {
	// Kind is positional (one after the other, the last ones may be missing),
	// tlv (tag, length, value), ber (the TLV of chip cards) or bitmap.
	Kind string `yaml:"kind"`
	Tag  int    `yaml:"tag"`  // tlv: characters of the tag
	Size int    `yaml:"size"` // tlv: bytes of the length
	Code string `yaml:"code"` // tlv: code of the length: ascii (default), bcd or binary
	Map  int    `yaml:"map"`  // bitmap: bytes of the map, 1 to 16
	// Rest keeps what remains after the last whole positional part as
	// NAME.other instead of refusing it. The other kinds keep unknown parts
	// there always.
	Rest bool `yaml:"rest"`
	// Loose keeps a value that is not made of tags and lengths whole as
	// NAME.other instead of refusing it.
	Loose bool `yaml:"loose"`
}

// Case is another form of a field. The first one whose values are all there
// is used.
type Case struct {
	When map[string][]string `yaml:"when"` // field before this one, or MTI: values; no values: it is there
	As   Field               `yaml:"as"`   // its name is added to that of the field
}

// Message says which fields message types carry. Types that are not listed may
// carry any.
type Message struct {
	MTI  []string `yaml:"mti"`
	Must []int    `yaml:"must"`  // bits that must be there
	Not  []int    `yaml:"never"` // bits that must not be there
}
