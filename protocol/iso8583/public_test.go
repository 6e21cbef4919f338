package iso8583

import (
	"slices"
	"strings"
	"testing"

	"qianzhi/protocol"
	"qianzhi/protocol/wiretest"
)

// Tables of networks other than ours, as their interface documents have them.
const (
	// 1993, all ASCII, maps in hex: what open processors exchange.
	table1993 = `{mti: ascii, bitmap: {code: hex, form: auto}, digits: ascii, length: ascii, charset: ascii, fields: [
{name: "2", type: n, var: LL, len: 19, mask: public}, {name: "3", type: n, len: 6, mask: public}, {name: "4", type: n, len: 12, mask: public},
{name: "5", type: n, len: 12, mask: public}, {name: "7", type: n, len: 10, mask: public}, {name: "11", type: n, len: 6, mask: public},
{name: "12", type: n, len: 12, mask: public}, {name: "18", type: n, len: 4, mask: public}, {name: "22", type: an, len: 12, mask: public},
{name: "24", type: n, len: 3, mask: public}, {name: "26", type: n, len: 4, mask: public}, {name: "28", type: n, len: 6, mask: public},
{name: "30", type: n, len: 24, mask: public}, {name: "32", type: n, var: LL, len: 11, mask: public}, {name: "33", type: n, var: LL, len: 11, mask: public},
{name: "35", type: z, var: LL, len: 37, mask: public}, {name: "37", type: an, len: 12, mask: public}, {name: "39", type: n, len: 3, mask: public},
{name: "41", type: ans, len: 8, mask: public}, {name: "42", type: ans, len: 15, mask: public}, {name: "43", type: ans, var: LL, len: 99, mask: public},
{name: "46", type: ans, var: LLL, len: 204, mask: public}, {name: "49", type: n, len: 3, mask: public}, {name: "52", type: b, len: 8, code: hex, mask: public},
{name: "54", type: ans, var: LLL, len: 120, mask: public}, {name: "62", type: n, var: LLL, len: 6, mask: public}, {name: "63", type: n, var: LLL, len: 4, mask: public},
{name: "100", type: n, var: LL, len: 11, mask: public}, {name: "102", type: ans, var: LL, len: 28, mask: public}]}`
	// 1987, all ASCII, maps in hex: switches of many countries.
	table1987 = `{mti: ascii, bitmap: {code: hex, form: auto}, digits: ascii, length: ascii, charset: ascii, fields: [
{name: "3", type: n, len: 6, mask: public}, {name: "4", type: n, len: 12, mask: public}, {name: "7", type: n, len: 10, mask: public},
{name: "11", type: n, len: 6, mask: public}, {name: "39", type: an, len: 2, mask: public}, {name: "41", type: ans, len: 8, mask: public}, {name: "49", type: n, len: 3, mask: public},
{name: "70", type: n, len: 3, mask: public}]}`
	// ASCII with maps in binary and a chip field with a length of three characters.
	tableMixed = `{mti: ascii, digits: ascii, length: ascii, charset: ascii, fields: [
{name: "3", type: n, len: 6, mask: public}, {name: "4", type: n, len: 12, mask: public}, {name: "11", type: n, len: 6, mask: public},
{name: "55", var: LLL, len: 255, mask: public, parts: {kind: ber}, fields: [{name: "9F26", type: b, min: 8, len: 8}, {name: "82", type: b, min: 2, len: 2}]}]}`
)

// TestPublic reads messages that the makers of other systems published, to the
// last byte, and writes them again.
func TestPublic(t *testing.T) {
	for _, k := range []struct{ table, body, want string }{
		{table1993, "1100700000000000000003123000011000000000012", `MTI "1100"|2 "123"|3 "000011"|4 "000000000012"`},
		{table1993, "1200F230040102A0000000000000040000001048468112122012340000100000001107221800000001161204171926FABCDE123ABD06414243000termid1210Community11112341234234",
			`MTI "1200"|2 "4846811212"|3 "201234"|4 "000010000000"|7 "1107221800"|11 "000001"|12 "161204171926"|22 "FABCDE123ABD"|32 "414243"|39 "000"|41 "termid12"|43 "Community1"|102 "12341234234"`},
		{table1993, "11006230450120E0900014000000000000003120000108204503007530950108144500601121120121014C10011101111111182656258101223070=99120041947NY030400               58NJ NEWARK          123 PINE STREET      USWRIGHT AID DRUGS840CD2C09CDCA80244C",
			`MTI "1100"|2 "00000000000000"|3 "312000"|7 "0108204503"|11 "007530"|12 "950108144500"|18 "6011"|22 "21120121014C"|24 "100"|32 "10111111118"|35 "56258101223070=99120041947"|41 "NY030400"|42 ""|43 "NJ NEWARK          123 PINE STREET      USWRIGHT AID DRUGS"|49 "840"|52 "\xcd,\t\xcdʀ$L"`},
		{table1993, "1110E23000010200040000000000040000001400000000000000312000010820450600753095010814450011101111111180000402001840C0000007000002002840C0000006000001400000012456184",
			`MTI "1110"|2 "00000000000000"|3 "312000"|7 "0108204506"|11 "007530"|12 "950108144500"|32 "10111111118"|39 "000"|54 "2001840C0000007000002002840C000000600000"|102 "00000012456184"`},
		{table1993, "1210FA304555AAE4800600000000100000001600000000000000000920000000000150000000000150000123205001030402950123154952591221010121314C2005912950123000000020000000000020000111007640125111101111111182954212248887288158=99120010109012401      002NJ02011173420          58NJ NEWARK          123 PINE STREET      USWRIGHT AID DRUGS00300084000677700100401231110222222226", ""},
		{table1987, "02003220000000808000000010000000001500120604120000000112340001840", `MTI "0200"|3 "000010"|4 "000000001500"|7 "1206041200"|11 "000001"|41 "12340001"|49 "840"`},
		{table1987, "0800822000000000000004000000000000000904072533101033001", `MTI "0800"|7 "0904072533"|11 "101033"|70 "001"`},
		{table1987, "0800822000000000000004000000000000000903185110022466301", `MTI "0800"|7 "0903185110"|11 "022466"|70 "301"`},
		{table1987, "0800822000000000000004000000000000000224200936083503002", `MTI "0800"|7 "0224200936"|11 "083503"|70 "002"`},
	} {
		c := specOf(t, k.table)
		wiretest.Laws(t, c, []byte(k.body), true)
		var rec protocol.Record
		if err := c.Index(protocol.Frame{Body: []byte(k.body)}, &rec); err != nil {
			t.Errorf("%s\n%v", k.body, err)
			continue
		}
		if got := wiretest.Lines(&rec); k.want != "" && !slices.Equal(got, strings.Split(k.want, "|")) {
			t.Errorf("%s\ngot  %s\nwant %s", k.body, strings.Join(got, "|"), k.want)
		}
	}
}

// TestPublicBroken breaks such messages: each is refused with the field and
// the byte that are wrong.
func TestPublicBroken(t *testing.T) {
	const sale, echo = "02003220000000808000000010000000001500120604120000000112340001840", "0800822000000000000004000000000000000904072533101033001"
	chip := "0200" + string(unhexed("3020000000000200")) + "000000" + "000000001000" + "000888" + "017" + string(unhexed("9F2608FD19D0F54D38DFB982023900")) + "\x00\x00"
	for _, k := range []struct {
		table, body, path string
		at                int
	}{
		{table1987, sale[:64], "49", 62},
		{table1987, sale + "1", "", 65},
		{table1987, sale[:30] + "x" + sale[31:], "4", 30},
		{table1987, "0200322000000080800g" + sale[20:], "bitmap", 19},
		{table1987, "0200322000000080C000" + sale[20:], "50", 4},
		{table1987, "02A0" + sale[4:], "MTI", 0},
		{table1987, echo[:20], "bitmap", 20},
		{table1987, echo[:20] + "0000000000000000" + echo[36:], "1", 4},
		{table1987, echo[:53], "70", 52},
		{tableMixed, strings.Replace(chip, "\x9f\x26\x08", "\x9f\x26\x07", 1), "55.9F26", 39},
		{tableMixed, strings.Replace(chip, "\x82\x02", "\x82\x7f", 1), "55.82", 50},
		{tableMixed, strings.Replace(chip, "017", "018", 1), "55", 39},
		{tableMixed, strings.Replace(chip, "017", "256", 1), "55", 36},
	} {
		c := specOf(t, k.table)
		wiretest.Laws(t, c, []byte(k.body), true)
		err := c.Index(protocol.Frame{Body: []byte(k.body)}, new(protocol.Record))
		e, ok := err.(*protocol.Error)
		if !ok || e.Path != k.path || e.Offset != k.at {
			t.Errorf("%q\ngot %v at %+v, want %s at %d", k.body, err, e, k.path, k.at)
		}
	}
	wiretest.Laws(t, specOf(t, tableMixed), []byte(chip), true)
}
