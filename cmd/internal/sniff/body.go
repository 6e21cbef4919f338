package sniff

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"unicode/utf8"

	"qianzhi/protocol/text"
)

// looks is what the bodies of a stream look like.
type looks struct {
	codec    string // key of a link file, "" when nothing is recognised
	encoding string
	detail   string // for the codec, such as the separator
	score    int
}

// separators of delimited messages, the most telling first.
const separators = "|^~\t;,"

// look says what a body looks like.
func look(b []byte) looks {
	t := bytes.TrimSpace(b)
	enc := encoding(b)
	switch {
	case len(t) == 0:
		return looks{}
	case t[0] == '<' && t[len(t)-1] == '>' && bytes.Contains(t, []byte("</")):
		return looks{"xml", declared(t, enc), "", 30}
	case (t[0] == '{' || t[0] == '[') && json.Valid(t):
		return looks{"json", "utf-8", "", 30}
	case fmlText.Match(b):
		return looks{"fml", enc, "", 25}
	case kvText.Match(t):
		return looks{"kv", enc, "", 25}
	case kvLines.Match(t):
		return looks{"kv", enc, fmt.Sprintf("separator: %q, assign: %q", lineEnd(t), kvLines.FindSubmatch(t)[1]), 22}
	}
	if kind := isoKind(b); kind != "" {
		return looks{"iso8583", "", kind, 25}
	}
	if enc == "" {
		return looks{}
	}
	for i := range len(separators) {
		if n := bytes.Count(b, []byte{separators[i]}); n >= 3 {
			return looks{"delimited", enc, fmt.Sprintf("%q", separators[i:i+1]), 20}
		}
	}
	return looks{"fixed", enc, "", 12}
}

var (
	fmlText = regexp.MustCompile(`^(?:[A-Za-z_][A-Za-z0-9_]*\t[^\t\n]*\n)+\n?$`)
	kvText  = regexp.MustCompile(`^[A-Za-z_][\w.]*=[^=]*(?:[&|;][A-Za-z_][\w.]*=[^=]*)+[&|;]?$`)
	kvLines = regexp.MustCompile(`^[A-Za-z_][\w.]*(=|: ?)[^\r\n]*(?:\r?\n[A-Za-z_][\w.]*(?:=|: ?)[^\r\n]*)+$`)
	xmlDecl = regexp.MustCompile(`^<\?xml[^>]*encoding=["']([A-Za-z0-9-]+)["']`)
)

func lineEnd(b []byte) string {
	if bytes.Contains(b, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

// declared is the encoding that an XML declaration names.
func declared(b []byte, seen string) string {
	if m := xmlDecl.FindSubmatch(b); m != nil {
		return string(bytes.ToLower(m[1]))
	}
	return seen
}

// encoding says in which charset text is, "" when it is no text: control
// characters other than tabs and line ends, or bytes that neither charset has.
func encoding(b []byte) string {
	plain := true
	for _, c := range b {
		if c < ' ' && c != '\t' && c != '\r' && c != '\n' {
			return ""
		}
		plain = plain && c < utf8.RuneSelf
	}
	switch {
	case plain:
		return "ascii"
	case utf8.Valid(b):
		return "utf-8"
	}
	if _, err := text.GB18030.Read(nil, b); err == nil {
		return "gbk"
	}
	return ""
}

// isoKind recognises the beginning of an ISO 8583 message: how message type and
// map are written, "" when it is none.
func isoKind(b []byte) string {
	if len(b) < 10 {
		return ""
	}
	if mti(hex.EncodeToString(b[:2])) && bitmap(b[2:10]) {
		return "MTI bcd, 位图 binary"
	}
	if !mti(string(b[:4])) || len(b) < 12 {
		return ""
	}
	if bitmap(b[4:12]) {
		return "MTI ascii, 位图 binary"
	}
	if len(b) >= 20 {
		if m, err := hex.DecodeString(string(b[4:20])); err == nil && bitmap(m) {
			return "MTI ascii, 位图 hex"
		}
	}
	return ""
}

// mti holds for message types: version 0 or 1, a class, a function and an
// origin.
func mti(s string) bool {
	return (s[0] == '0' || s[0] == '1') && s[1] >= '1' && s[1] <= '8' && s[2] >= '0' && s[2] <= '4' && s[3] >= '0' && s[3] <= '5'
}

// bitmap holds for maps that a message would have: a few bits, not text.
func bitmap(b []byte) bool {
	bits, printable := 0, true
	for _, c := range b {
		for ; c != 0; c &= c - 1 {
			bits++
		}
	}
	for _, c := range b {
		printable = printable && c >= ' ' && c <= '~'
	}
	return bits >= 2 && bits <= 48 && !printable
}
