package bench

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"qianzhi/protocol"
	"qianzhi/protocol/iso8583"
)

// entry is one value of the message: as text, with its bytes in both forms.
type entry struct {
	n          int
	val        string
	bcd, ascii string // hex, text
}

// fields are those of a sale of 204 bytes in BCD.
var fields = []entry{
	{2, "6225000000000014", "166225000000000014", "166225000000000014"},
	{3, "000000", "000000", "000000"},
	{4, "000000012345", "000000012345", "000000012345"},
	{11, "000123", "000123", "000123"},
	{12, "101500", "101500", "101500"},
	{13, "1124", "1124", "1124"},
	{22, "021", "0210", "021"},
	{25, "00", "00", "00"},
	{35, track, "37" + track + "0", "37" + track},
	{37, "123456789012", text("123456789012"), "123456789012"},
	{41, "60120001", text("60120001"), "60120001"},
	{42, "301051249000001", text("301051249000001"), "301051249000001"},
	{48, note, "0058" + text(note), "058" + note},
	{49, "156", text("156"), "156"},
	{60, "2200000100050", "00132200000100050" + "0", "0132200000100050"},
	{62, key, "0028" + text(key), "028" + key},
	{64, "E5805ECB", text("E5805ECB"), "E5805ECB"},
}

const (
	track = "6225000000000014622500000000001412345" // digits only: the peer's BCD has no separator
	note  = "0123456789 0123456789 0123456789 0123456789 0123456789 012"
	key   = "A5A5A5A5A5A5A5A5A5A5A5A5A5A5"
)

func text(s string) string { return hex.EncodeToString([]byte(s)) }

// message returns the bytes of both forms.
func message(tb testing.TB) (bcd, ascii []byte) {
	tb.Helper()
	var packed strings.Builder
	packed.WriteString("02007038048028C18015")
	plain := []byte("02007038048028C18015")
	for _, f := range fields {
		packed.WriteString(f.bcd)
		plain = append(plain, f.ascii...)
	}
	bcd, err := hex.DecodeString(packed.String())
	if err != nil || len(bcd) != 204 {
		tb.Fatalf("%d bytes, %v", len(bcd), err)
	}
	return bcd, plain
}

// ours compiles a table as a link file has it.
func ours(tb testing.TB, name string) protocol.Codec {
	tb.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	var spec iso8583.Spec
	if err := yaml.Unmarshal(b, &spec); err != nil {
		tb.Fatal(err)
	}
	c, err := iso8583.New(&spec)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}
