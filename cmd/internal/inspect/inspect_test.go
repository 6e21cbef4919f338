package inspect

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"qianzhi/protocol"
	"qianzhi/protocol/spec"
	"qianzhi/protocol/text"
	"qianzhi/protocol/wiretest"
)

func dialect(t *testing.T, file string) *protocol.Dialect {
	t.Helper()
	l, err := spec.Load(file, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Assemble(spec.Parts{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestThereAndBack shows every golden message as JSON and writes it from that:
// the same bytes, whatever form its writer chose.
func TestThereAndBack(t *testing.T) {
	const ship, own = "../../../conf/links/", "../../../testdata/links/"
	for folder, c := range map[string]struct {
		dir     string
		charset text.Charset
	}{
		"pos-cup": {ship, text.GB18030}, "cups-host": {ship, text.GB18030}, "bank-fixed": {ship, text.GB18030}, "bank-http": {ship, text.UTF8}, "mis": {ship, text.UTF8},
		"bank-delimited": {ship, text.GBK}, "bank-xml": {ship, text.GBK}, "kiosk-socket": {ship, text.GBK}, "e2-fixed": {own, text.GB18030},
		"water-xml": {own, text.GBK}, "query-kv": {own, text.GBK}, "string-delimited": {own, text.GBK}, "tuxedo-fml": {own, text.GBK},
	} {
		d := dialect(t, c.dir+folder+".yaml")
		cases := wiretest.Load(t, "../../../testdata/wire/"+folder, c.charset)
		shown := 0
		for _, side := range []string{"request", "reply"} {
			for _, body := range wiretest.Bodies(cases, side) {
				if thereAndBack(t, d, body, Options{Reply: side == "reply", Bare: true, Unmask: true}) {
					shown++
				}
			}
		}
		if shown == 0 {
			t.Errorf("%s: no message was shown", folder)
		}
	}
}

func thereAndBack(t *testing.T, d *protocol.Dialect, body []byte, o Options) bool {
	t.Helper()
	m, err := Decode(d, body, o)
	if err != nil {
		if FaultOf(err) == nil {
			t.Errorf("%s: %v is not located", d.ID, err)
		}
		return false
	}
	j, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var back Message
	if err := json.Unmarshal(j, &back); err != nil {
		t.Fatal(err)
	}
	got, err := back.Encode(d, o)
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("%s: %v\nread  %x\nwrote %x\n%s", d.ID, err, body, got, j)
	}
	return true
}

// A message in a form of its writer's own keeps it until a value is changed.
func TestFormOfTheWriter(t *testing.T) {
	d := dialect(t, "../../../testdata/links/water-xml.yaml")
	body := []byte("<?xml version='1.0' encoding='gbk'?>\r\n<root>\n  <head>\t<serial>7</serial> <txn>query</txn><date><![CDATA[20261125]]></date></head>\n<b:body xmlns:b=\"urn:water:1\"><account>1</account></b:body></root>\n")
	o := Options{Bare: true, Unmask: true}
	m, err := Decode(d, body, o)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Encode(d, o); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%q, %v", got, err)
	}
	m.Fields[0].Value = "8"
	if got, err := m.Encode(d, o); err != nil || !strings.Contains(string(got), "<txn>query</txn><serial>8</serial>") {
		t.Errorf("%q, %v", got, err)
	}
	if m, err = Decode(d, body, Options{Bare: true}); err != nil || m.Form != "" {
		t.Errorf("masked: %+v, %v", m, err)
	}
	m.Form = "zz"
	if _, err := m.Encode(d, o); err == nil {
		t.Error("a form that is no hex, and masked fields")
	}
}

// sale is the public sale message of the vectors, with length, TPDU and header.
const sale = "00A360000005106031000000000210703E02810AD08213166225000000000014000000000000000001000134091947042815120427000100080009584030393139343731343530363030303538343032303031333032343430333830363231313030223930333130303030202020303330323538343020202031353600179F3602031E910A42FE066E2918B088303000132200000700050000034355503531443837343145"

func message(t *testing.T) []byte {
	t.Helper()
	b, err := hex.DecodeString(sale)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMaskedValuesDoNotShow(t *testing.T) {
	d := dialect(t, "../../../conf/links/pos-cup.yaml")
	m, err := Decode(d, message(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	j, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := m.Table(&table); err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{string(j), table.String()} {
		if strings.Contains(shown, "6225000000000014") || !strings.Contains(shown, "622500******0014") {
			t.Errorf("card number: %s", shown)
		}
	}
	if _, err := m.Encode(d, Options{}); err == nil || !strings.Contains(err.Error(), "--unmask") {
		t.Errorf("a masked message was encoded: %v", err)
	}
}

// TestOffsetsCountFromTheFirstByte breaks the message in known places.
func TestOffsetsCountFromTheFirstByte(t *testing.T) {
	d := dialect(t, "../../../conf/links/pos-cup.yaml")
	for _, c := range []struct {
		name, path string
		at         int
		change     func([]byte) []byte
	}{
		{"digit of field 3", "3", 32, func(b []byte) []byte { b[32] = 0x0A; return b }},
		{"second frame", "", 165, func(b []byte) []byte { return append(b, 0) }},
		{"bitmap", "", 15, func(b []byte) []byte { b[15] |= 0x80; return b }},
	} {
		_, err := Decode(d, c.change(message(t)), Options{})
		f := FaultOf(err)
		if f == nil || f.Path != c.path && c.path != "" || f.Offset != c.at {
			t.Errorf("%s: got %+v, want offset %d", c.name, f, c.at)
		}
	}
}

func TestEncodeNamesWhatIsWrong(t *testing.T) {
	d := dialect(t, "../../../conf/links/pos-cup.yaml")
	for name, m := range map[string]*Message{
		"no such field": {Fields: []Field{{ID: "MTI", Value: "0800"}, {ID: "199", Value: "1"}}},
		"two for each":  {Fields: []Field{{ID: "64", Value: "0"}}},
		"unknown value": {Header: map[string]string{"moon": "1"}, Fields: []Field{{ID: "MTI", Value: "0820"}}},
	} {
		if _, err := m.Encode(d, Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %q", err, name)
		}
	}
	var e *protocol.Error
	if _, err := (&Message{Fields: []Field{{ID: "MTI", Value: "08x0"}}}).Encode(d, Options{}); !errors.As(err, &e) {
		t.Errorf("a short MTI: %v", err)
	}
}
