package spec

import (
	"os"
	"strings"
	"testing"

	"qianzhi/conf"
)

func schema(t *testing.T) *Schema {
	t.Helper()
	s, err := NewSchema()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The library that check uses takes every link file, as the program does.
func TestSchemaTakesLinks(t *testing.T) {
	s := schema(t)
	for name := range documents(t) {
		open := os.ReadFile
		if strings.HasPrefix(name, "links/") {
			open = conf.Files.ReadFile
		}
		if err := s.Check(name, open); err != nil {
			t.Errorf("%v", err)
		}
		if _, err := Load(name, open); err != nil {
			t.Errorf("%v", err)
		}
	}
}

// What the schema refuses the program refuses as well, and the other way
// round; the schema says where.
func TestSchemaAndProgramRefuse(t *testing.T) {
	s := schema(t)
	for _, k := range []struct{ from, to, want string }{
		{"transport: tcp", "transport: pigeon", "x.yaml:1: transport: "},
		{"funds: taken", "funds: maybe", ": funds: "},
		{"authority: bank", "authority: nobody", ": authority: "},
		{"serial_scope: sender-date", "serial_scope: moon", ": identity.serial_scope: "},
		{"allow: [", "allow: [fly, ", ": allow.0: "},
		{"op: query", "op: fly", ": messages."},
		{"code: ok,", "code: okay,", ": codes."},
		{"funds: taken", "fundz: taken", ": "},
		{"{serial: ", "{moon: x, serial: ", ".map.moon: "},
		{"limits: {", "limits: {moon: 1, ", ": limits.moon: "},
		{"in_flight: 256", "in_flight: many", ": limits.in_flight: "},
		{"channel: 30s", "channel: 30", ": timeouts.channel: "},
	} {
		b, err := conf.Files.ReadFile("links/bank-fixed.yaml")
		if err != nil {
			t.Fatal(err)
		}
		text := "transport: tcp\n" + strings.Replace("\n"+string(b), "\ntransport: tcp\n", "\n", 1)
		if !strings.Contains(text, k.from) {
			t.Errorf("%q does not stand in the file", k.from)
			continue
		}
		open := func(string) ([]byte, error) { return []byte(strings.Replace(text, k.from, k.to, 1)), nil }
		if err := s.Check("x.yaml", open); err == nil || !strings.HasPrefix(err.Error(), "x.yaml:") || !strings.Contains(err.Error(), k.want) {
			t.Errorf("%q: the schema says %v, want %q", k.to, err, k.want)
		}
		if l, err := Load("x.yaml", open); err == nil {
			if _, err = l.Assemble(Parts{}); err == nil {
				t.Errorf("%q: the program takes it", k.to)
			}
		}
	}
}

func TestSchemaFollowsExtends(t *testing.T) {
	s := schema(t)
	files := map[string]string{"a.yaml": "extends: b.yaml\nid: x\n", "b.yaml": "extends: c.yaml\n", "c.yaml": "extends: a.yaml\n", "d.yaml": "extends: e.yaml\n",
		"e.yaml": "extends: d.yaml\nfunds: 3\n"}
	open := func(name string) ([]byte, error) { return []byte(files[name]), nil }
	for name, want := range map[string]string{"a.yaml": "more than", "d.yaml": "e.yaml:2: funds: "} {
		if err := s.Check(name, open); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}
