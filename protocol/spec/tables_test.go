package spec

import (
	"strings"
	"testing"
)

const tableLink = `
id: t
title: t
transport: tcp
frame: {length: {kind: binary, bytes: 4, counts: body}, max: 1000}
fml:
  request: {encoding: gbk, table_file: tables/power.fd, fields: [{name: SERIAL}, {name: AMT}]}
  reply: {encoding: gbk, table_file: tables/power.h, fields: [{name: CODE}, {name: AMT}]}
identity: {institution: gateway, serial_scope: none}
funds: untaken
authority: biller
allow: [echo]
limits: {max_amount: "1.00", in_flight: 1, connections: 1}
timeouts: {channel: 1s, terminal: 2s}
codes: [{code: ok, wire: OK}]
messages:
  - {name: 线路测试, op: echo, request: {when: {"@header": ECHO}, map: {serial: SERIAL}}, reply: {map: {code: CODE}}}
`

// TestTablesOfTheirOwn reads field tables next to a link file: the source that
// mkfldhdr32 reads and the header that it writes. A name is relative to the file
// in which it stands, also where another file extends that.
func TestTablesOfTheirOwn(t *testing.T) {
	files := shelf{"links/t.yaml": tableLink, "v.yaml": "extends: links/t.yaml\nid: v\n",
		"links/tables/power.fd": "*base 20000\nSERIAL 1 string - \xc1\xf7\xcb\xae\nAMT 2 long - -\n",
		"links/tables/power.h":  "#define CODE\t((FLDID32)167792163)\t/* number: 20003 type: string */\n#define AMT ((FLDID32)33574434)\n"}
	for _, name := range []string{"links/t.yaml", "v.yaml"} {
		l, err := Load(name, files.open)
		if err == nil {
			_, err = l.Assemble(Parts{})
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for want, change := range map[string][2]string{
		"links/t.yaml:7: fml.request.table_file": {"links/tables/power.fd", ""},
		"tables/power.fd: table line 2":          {"links/tables/power.fd", "*base 20000\nSERIAL one string -\n"},
		"want table or table_file":               {"links/t.yaml", strings.Replace(tableLink, "encoding: gbk, table_file", "encoding: gbk, table: x, table_file", 1)},
		"want the name of a file":                {"links/t.yaml", strings.Replace(tableLink, "tables/power.fd", "[1]", 1)},
	} {
		broken := shelf{}
		for k, v := range files {
			broken[k] = v
		}
		if broken[change[0]] = change[1]; change[1] == "" {
			delete(broken, change[0])
		}
		if _, err := Load("links/t.yaml", broken.open); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := Parse("t.yaml", []byte(tableLink)); err == nil {
		l, _ := Parse("t.yaml", []byte(tableLink))
		if _, err := l.Assemble(Parts{}); err == nil || !strings.Contains(err.Error(), "table_file") {
			t.Errorf("without its file: %v", err)
		}
	}
}
