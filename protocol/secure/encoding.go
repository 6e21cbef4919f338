package secure

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// encoding is how bytes are written where text is wanted.
type encoding string

// The encodings. All are read strictly: what is accepted has one form.
const (
	encRaw      encoding = "raw"
	encBase64   encoding = "base64"    // RFC 4648, padded
	encHex      encoding = "hex"       // small digits
	encHexUpper encoding = "hex-upper" // capital digits
)

// check reports an encoding that is none; raw only where allowed.
func (e encoding) check(raw bool) error {
	switch {
	case e == encBase64 || e == encHex || e == encHexUpper || e == encRaw && raw:
		return nil
	case raw:
		return fmt.Errorf("encoding: want raw, base64, hex or hex-upper, got %q", string(e))
	}
	return fmt.Errorf("encoding: want base64, hex or hex-upper, got %q", string(e))
}

// encode appends b to dst.
func (e encoding) encode(dst, b []byte) []byte {
	switch e {
	case encBase64:
		return base64.StdEncoding.AppendEncode(dst, b)
	case encHex:
		return hex.AppendEncode(dst, b)
	case encHexUpper:
		return append(dst, strings.ToUpper(hex.EncodeToString(b))...)
	}
	return append(dst, b...)
}

// size is how long n bytes are when encoded.
func (e encoding) size(n int) int {
	switch e {
	case encBase64:
		return base64.StdEncoding.EncodedLen(n)
	case encHex, encHexUpper:
		return 2 * n
	}
	return n
}

// decode is the reverse of encode. The result may alias text. The error never
// shows the text.
func (e encoding) decode(text []byte) ([]byte, error) {
	if e == encRaw {
		return text, nil
	}
	out := make([]byte, len(text))
	var n int
	var err error
	if e == encBase64 {
		n, err = base64.StdEncoding.Decode(out, text)
	} else {
		n, err = hex.Decode(out, text)
	}
	if err != nil || !bytes.Equal(e.encode(nil, out[:n]), text) {
		return nil, authError("text in "+string(e), strconv.Itoa(len(text))+" other characters", "")
	}
	return out[:n], nil
}
