package iso8583

import (
	"strings"
	"testing"

	"qianzhi/protocol"
	"qianzhi/protocol/wiretest"
)

// Maps and values are read in the case that the link has and written in it. A
// link with any case writes upper case.
func TestHexCase(t *testing.T) {
	const table = `{mti: ascii, bitmap: {code: hex, form: auto}, digits: ascii, length: ascii, hex: CASE, fields: [{name: "2", type: n, len: 3, mask: public},
{name: "52", type: b, len: 4, code: hex, mask: public}, {name: "100", type: b, var: LL, len: 9, code: hex, mask: public}]}`
	const upper = "1100" + "C000000000001000" + "0000000010000000" + "123" + "0A1BCDEF" + "02" + "FE09"
	lower := strings.ToLower(upper)
	for _, k := range []struct {
		hex, body, want string // want is written back, or the error's path
		at              int
	}{
		{"upper", upper, upper, -1}, {"lower", lower, lower, -1}, {"any", upper, upper, -1}, {"any", lower, upper, -1},
		{"any", lower[:40] + upper[40:], upper, -1},
		{"upper", lower, "bitmap", 4}, {"lower", upper, "bitmap", 4},
		{"upper", upper[:40] + lower[40:], "52", 39}, {"lower", lower[:40] + upper[40:], "52", 39},
		{"any", upper[:4] + "G" + upper[5:], "bitmap", 4}, {"any", upper[:40] + "g" + upper[41:], "52", 39}, {"any", upper[:40] + "\x00" + upper[41:], "52", 39},
		{"lower", lower[:4] + "g" + lower[5:], "bitmap", 4}, {"lower", lower[:len(lower)-1], "100", 49},
	} {
		c := specOf(t, strings.Replace(table, "CASE", k.hex, 1))
		var rec protocol.Record
		err := c.Index(protocol.Frame{Body: []byte(k.body)}, &rec)
		wiretest.Laws(t, c, []byte(k.body), k.hex != "any" || !strings.ContainsAny(k.body, "abcdef"))
		if k.at >= 0 {
			e, ok := err.(*protocol.Error)
			if !ok || e.Path != k.want || e.Offset != k.at {
				t.Errorf("%s: %s: got %v, want an error of %s at %d", k.hex, k.body, err, k.want, k.at)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %s: %v", k.hex, k.body, err)
			continue
		}
		if got := strings.Join(wiretest.Lines(&rec), "|"); got != `MTI "1100"|2 "123"|52 "\n\x1b\xcd\xef"|100 "\xfe\t"` {
			t.Errorf("%s: %s: got %s", k.hex, k.body, got)
		}
		if got, err := c.Append(nil, &rec); err != nil || string(got) != k.want {
			t.Errorf("%s: %s: written %s, %v; want %s", k.hex, k.body, got, err, k.want)
		}
	}
}
