package statement

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/text"
	"qianzhi/reconcile"
)

// use says what a column's value is for.
type use uint8

const (
	useNone use = iota
	useSerial
	useKey
	useAccount
	useTerminal
	useLink
	useDay
	useTime
	useStatus
	useDirection
	useAmount
	useHost
)

var uses = map[string]use{colReference: useSerial, colKey: useKey, colHost: useHost, colAccount: useAccount, colTerminal: useTerminal,
	colChannel: useLink, colAmount: useAmount, colStatus: useStatus, colDirection: useDirection, colDay: useDay, colTime: useTime}

// kinds of column types.
const (
	kindText   = "text"
	kindDigits = "digits"
	kindAmount = "amount"
	kindDate   = "date"
	kindTime   = "time"
)

// column is a field made ready.
type column struct {
	Field
	use    use
	part   int // of the key, from 1; 0: none
	orig   int // of a void's original's key, from 1; 0: none
	at     int // byte in a fixed line
	pad    byte
	strip  [][]byte // as it may be encoded
	form   *form    // of a date; of a time where it is given
	right  bool
	simple bool  // without padding it is the value
	accs   []int // hash totals that add it up
}

// layout is one kind of line.
type layout struct {
	cols      []column
	width     int // of a fixed line
	optional  int // index of the column that may be missing, -1: none
	delimiter []byte
	claims    []claim
	raw       []int            // text columns whose characters are checked
	plain     []word           // of a fixed line: over the text columns that are part of a payment
	hashed    []int            // columns that hash totals add up
	static    [][2]int32       // columns of a fixed line
	used      []int            // columns that are part of a payment
	by        [useHost + 1]int // column of a use, from 1
	checked   []int            // columns with more to be said of them
}

// claim is a column that claims a total.
type claim struct{ col, acc int }

// acc is a total that is added up over the lines.
type acc struct {
	Total
	mod int64
	any bool // lines of every effect and direction
}

// rec is a kind of line and how it is told.
type rec struct {
	Rec
	at     int      // from 1: of the first lines; from -1: of the last
	prefix [][]byte // as it may be encoded
	l      *layout
}

// program is a specification made ready.
type program struct {
	s       *Spec
	line    *layout
	recs    []rec
	heads   int // lines before the first that can be told by its text
	tails   int
	free    bool // lines are told by their text
	accs    []acc
	hasKey  bool
	hasDir  bool
	hasStat bool
	voids   bool // some lines take others back
}

const maxLevel = 3

func compile(s *Spec) (*program, error) {
	p := &program{s: s}
	if err := p.records(); err != nil {
		return nil, err
	}
	for i := range p.recs {
		r := &p.recs[i]
		switch {
		case r.at > 0:
			p.heads = max(p.heads, r.at)
		case r.at < 0:
			p.tails = max(p.tails, -r.at)
		case r.Role != "line" || len(r.prefix) > 0 || r.Length > 0:
			p.free = true
		}
		if r.Role == "line" {
			p.line = r.l
		}
	}
	if p.line == nil {
		return nil, errors.New("fields: missing")
	}
	return p, nil
}

// records gathers the kinds of lines, those of the short form among them.
func (p *program) records() error {
	s := p.s
	add := func(r Rec, at int) error {
		l, err := p.layout(r.Fields, r.Role)
		if err != nil {
			return fmt.Errorf("%s: %w", r.Role, err)
		}
		prefix, err := p.encoded(r.Prefix)
		if err != nil {
			return fmt.Errorf("%s: prefix: %w", r.Role, err)
		}
		p.recs = append(p.recs, rec{Rec: r, at: at, prefix: prefix, l: l})
		return nil
	}
	n := 0
	if len(s.Header) > 0 {
		n++
		if err := add(Rec{Role: "header", Level: 1, Fields: s.Header}, n); err != nil {
			return err
		}
	}
	for range s.Columns {
		n++
		p.recs = append(p.recs, rec{Rec: Rec{Role: "skip"}, at: n})
	}
	if len(s.Trailer) > 0 {
		if err := add(Rec{Role: "trailer", Level: 1, Fields: s.Trailer}, -1); err != nil {
			return err
		}
	}
	for i, r := range s.Records {
		at, err := position(r)
		if err == nil {
			err = add(r, at)
		}
		if err != nil {
			return fmt.Errorf("records[%d]: %w", i, err)
		}
	}
	if len(s.Fields) > 0 {
		return add(Rec{Role: "line", Fields: s.Fields}, 0)
	}
	return nil
}

func position(r Rec) (int, error) {
	at, known := map[string]int{"": 0, "first": 1, "second": 2, "last": -1, "last-1": -2}[r.At]
	switch {
	case !known:
		return 0, fmt.Errorf("at: want first, second, last or last-1, got %q", r.At)
	case !among(r.Role, "header trailer line skip"):
		return 0, fmt.Errorf("role: want header, trailer, line or skip, got %q", r.Role)
	case at == 0 && r.Prefix == "" && r.Length == 0:
		return 0, errors.New("at: want at, prefix or length, by which the line is told")
	case r.Role != "skip" && r.Role != "line" && (r.Level < 1 || r.Level > maxLevel):
		return 0, fmt.Errorf("level: want 1 to %d, got %d", maxLevel, r.Level)
	case r.Role != "skip" && len(r.Fields) == 0:
		return 0, errors.New("fields: missing")
	}
	return at, nil
}

func (p *program) layout(fields []Field, role string) (*layout, error) {
	l := &layout{optional: -1, delimiter: []byte(p.s.Delimiter), cols: make([]column, len(fields))}
	seen := map[string]bool{}
	for i, f := range fields {
		c := &l.cols[i]
		c.Field = f
		if role != "line" && f.Total == nil && (f.Name == colCount || f.Name == colSum) {
			c.Total = &Total{Of: f.Name}
		}
		if err := p.column(c, role, seen); err != nil {
			return nil, err
		}
		if c.at = l.width; p.s.Delimiter == "" && f.Width <= 0 {
			return nil, fmt.Errorf("%s: width is missing", f.Name)
		}
		l.static = append(l.static, [2]int32{int32(l.width), int32(l.width + f.Width)})
		l.width += f.Width
		if f.Optional {
			if l.optional >= 0 || p.s.Delimiter == "" {
				return nil, fmt.Errorf("%s: one column of a delimited line may be optional", f.Name)
			}
			l.optional = i
		}
		if c.Total != nil {
			l.claims = append(l.claims, claim{i, len(p.accs)})
			p.accs = append(p.accs, acc{Total: *c.Total, mod: power10(c.Total.Digits),
				any: c.Total.Effect == "any" && c.Total.Direction != "in" && c.Total.Direction != "out"})
		}
		if c.Type == kindText {
			l.raw = append(l.raw, i)
		}
		if c.use != useNone || c.part > 0 || c.orig > 0 {
			l.used = append(l.used, i)
			l.by[c.use] = i + 1
		}
		if c.Const != "" || c.Required || c.use == useAccount || c.use == useTime || c.Type == kindDigits {
			l.checked = append(l.checked, i)
		}
	}
	l.cover()
	return l, nil
}

func power10(digits int) int64 {
	v := int64(1)
	for range digits {
		v *= 10
	}
	return v
}

// column checks a field and fills in what its name implies.
func (p *program) column(c *column, role string, seen map[string]bool) (err error) {
	_, business := pay.ParseField(c.Name)
	named := business || uses[c.Name] != 0
	switch {
	case c.Total != nil:
		if err := c.checkTotal(); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	case !named && !strings.HasPrefix(c.Name, "_"):
		return fmt.Errorf("unknown field %q; a name that means nothing here begins with _", c.Name)
	case seen[c.Name]:
		return fmt.Errorf("%q stands twice", c.Name)
	}
	seen[c.Name] = true
	if role == "line" {
		c.use = uses[c.Name]
		for i, k := range p.s.Key {
			if k == c.Name {
				c.part = i + 1
			}
		}
		c.orig = slices.Index(p.s.Original, c.Name) + 1
		p.hasKey = p.hasKey || c.part > 0 || c.use == useKey
		p.hasDir = p.hasDir || c.use == useDirection || c.Sign
		p.hasStat = p.hasStat || c.use == useStatus
	}
	if c.Type == "" {
		c.Type = c.implied()
	}
	if !among(c.Type, "text digits amount date time") {
		return fmt.Errorf("%s: type: want text, digits, amount, date or time, got %q", c.Name, c.Type)
	}
	if !among(c.Unit, " fen yuan li") || !among(c.Align, " left right") || len(c.Pad) > 1 || c.Width < 0 {
		return fmt.Errorf("%s: unit, align, pad or width cannot be", c.Name)
	}
	if c.Thousands != "" && (c.Type != kindAmount || !among(c.Thousands, ", '")) {
		return fmt.Errorf("%s: thousands: of an amount, want , or '", c.Name)
	}
	if c.Unit == "" {
		c.Unit = p.s.Amount
	}
	if c.Pad == "" {
		c.Pad = " "
	}
	c.pad = c.Pad[0]
	if c.strip, err = p.encoded(c.Strip); err != nil {
		return fmt.Errorf("%s: strip: %w", c.Name, err)
	}
	c.right = c.Align == "right" || c.Align == "" && c.Type == kindAmount
	c.simple = !p.s.Quoted && c.Strip == "" && c.Thousands == "" && !c.Zeros && (c.pad == ' ' || c.pad == '0' && c.Type == kindAmount && c.right && c.Width <= 15)
	return c.formed()
}

func (c *column) implied() string {
	switch {
	case c.Total != nil && (c.Total.Of == "count" || c.Total.Of == "lines" || c.Total.Of == "hash"):
		return kindDigits
	case c.Total != nil || c.use == useAmount:
		return kindAmount
	case c.use == useDay || c.Name == colDay:
		return kindDate
	case c.use == useTime:
		return kindTime
	}
	return kindText
}

func (c *column) checkTotal() error {
	t := c.Total
	switch {
	case !among(t.Of, "count sum net hash lines"):
		return fmt.Errorf("total: of: want count, sum, net, hash or lines, got %q", t.Of)
	case !among(t.Effect, " effective undone none void any"):
		return fmt.Errorf("total: effect: want effective, undone, none, void or any, got %q", t.Effect)
	case !among(t.Direction, " in out any"):
		return fmt.Errorf("total: direction: want in, out or any, got %q", t.Direction)
	case t.Of == "hash" && (t.Field == "" || t.Digits < 0 || t.Digits > 18):
		return errors.New("total: hash: want field and at most 18 digits")
	}
	if t.Effect == "" {
		t.Effect = "effective"
	}
	if t.Of == "lines" {
		t.Effect = "any"
	}
	return nil
}

// check reports what cannot work between the parts.
func (p *program) check() error {
	has := map[string]int{}
	for i := range p.line.cols {
		has[p.line.cols[i].Name] = i + 1
	}
	for _, f := range append([]string{colAmount}, p.s.Key...) {
		if has[f] == 0 {
			return fmt.Errorf("fields: %q is needed", f)
		}
	}
	for _, k := range p.s.Key {
		if _, known := pay.ParseField(k); !known {
			return fmt.Errorf("key: %q is no business field", k)
		}
	}
	switch {
	case has[colReference] == 0 && !p.hasKey && has[colAccount] == 0:
		return errors.New("fields: by nothing would a line be known: want reference, a key or account")
	case has[colStatus] > 0 && len(p.s.Status) == 0:
		return errors.New("status: the values of the column are missing")
	case has[colDirection] > 0 && len(p.s.Direction) == 0:
		return errors.New("direction: the values of the column are missing")
	case p.s.LineEnd == "none" && p.uneven():
		return errors.New("line_end: none needs kinds of lines of one width")
	case len(p.s.Key) > 0 && has[colKey] > 0:
		return errors.New("key: names fields, and there is a column key as well")
	}
	if err := p.original(has); err != nil {
		return fmt.Errorf("original: %w", err)
	}
	return p.sums(has)
}

func (p *program) uneven() bool {
	for i := range p.recs {
		if p.recs[i].l == nil || p.recs[i].l.width != p.line.width {
			return true
		}
	}
	return false
}

// sums ties the totals to the columns they are over, and wants at least one:
// a file that claims nothing proves nothing.
func (p *program) sums(has map[string]int) error {
	proved := p.s.Checksum != nil || p.s.Signature != nil && !p.s.Signature.Unsigned
	for a := range p.accs {
		t := &p.accs[a]
		proved = true
		if t.Of != "hash" {
			continue
		}
		i := has[t.Field]
		if i == 0 {
			return fmt.Errorf("total: hash: no field %q in the lines", t.Field)
		}
		c := &p.line.cols[i-1]
		if c.accs = append(c.accs, a); len(c.accs) == 1 {
			p.line.hashed = append(p.line.hashed, i-1)
		}
	}
	if !proved && !p.s.Unproved {
		return errors.New("header: a file without totals, checksum or signature proves nothing; say unproved: true if that is how it comes")
	}
	return nil
}

// effects are the values of the status column for a party's lines.
type wired struct {
	wire   []byte
	effect reconcile.Effect
	out    bool
	word   string
}

// wires are in the encoding of a file.
func (p *program) wires(party reconcile.Party, set text.Charset) (status, direction []wired, err error) {
	for _, st := range p.s.Status {
		b, e := set.Append(nil, []byte(st.Wire))
		err = errors.Join(err, e)
		status = append(status, wired{wire: b, effect: effectFor(st.Effect, party), word: st.Effect})
	}
	for _, st := range p.s.Direction {
		b, e := set.Append(nil, []byte(st.Wire))
		err = errors.Join(err, e)
		direction = append(direction, wired{wire: b, out: st.Effect != "in", word: st.Effect})
	}
	return status, direction, err
}

// encoded is a text of the specification as it may stand in a file: in either
// encoding where the file's is found out.
func (p *program) encoded(s string) ([][]byte, error) {
	if s == "" {
		return nil, nil
	}
	sets := []text.Charset{p.s.set}
	if p.s.Encoding == "auto" {
		sets = append(sets, text.GB18030)
	}
	var out [][]byte
	for _, set := range sets {
		b, err := set.Append(nil, []byte(s))
		if err != nil {
			return nil, fmt.Errorf("%q cannot be written in %s", s, set)
		}
		if len(out) == 0 || !bytes.Equal(out[0], b) {
			out = append(out, b)
		}
	}
	return out, nil
}

func findWire(list []wired, v []byte) *wired {
	for i := range list {
		if bytes.Equal(list[i].wire, v) {
			return &list[i]
		}
	}
	return nil
}

// effectFor is what a word of the specification means in a party's lines.
func effectFor(word string, p reconcile.Party) reconcile.Effect {
	if e, own := journalEffects[word]; own {
		return e
	}
	switch {
	case (word == "undone" || word == wordVoid) && p == reconcile.Journal:
		return reconcile.Reversed
	case word == "undone" || word == wordVoid:
		return reconcile.Undone
	case word == "none" && p == reconcile.Journal:
		return reconcile.Failed
	case word == "none":
		return reconcile.Absent
	case p == reconcile.Journal:
		return reconcile.Success
	case p == reconcile.MIS:
		return reconcile.Posted
	}
	return reconcile.Charged
}

var journalEffects = map[string]reconcile.Effect{"success": reconcile.Success, "failed": reconcile.Failed, "open": reconcile.Open,
	"pending": reconcile.Pending, "reversed": reconcile.Reversed}

func wordOf(e reconcile.Effect) string {
	switch e {
	case reconcile.Undone, reconcile.Reversed:
		return "undone"
	case reconcile.Posted, reconcile.Charged, reconcile.Success:
		return "effective"
	}
	return "none"
}
