package spec

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"qianzhi/conf"
)

// FuzzLink reads any text as a link file, as a variant of one that ships, and
// holds it to the schema: what is refused is refused with a reason, nothing
// panics, and what is a link can be assembled and shown as one file.
func FuzzLink(f *testing.F) {
	schema, err := NewSchema()
	if err != nil {
		f.Fatal(err)
	}
	names, err := filepath.Glob("../../testdata/links/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	shipped, err := fs.Glob(conf.Files, "links/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range shipped {
		b, err := conf.Files.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("extends: mis.yaml\nid: &a [*a]\n"))
	f.Add([]byte("extends: bank-fixed.yaml\nfixed: {request: {bodies: [{when: &a [*a], fields: []}]}}\n"))
	f.Add([]byte("extends: bank-fixed.yaml\nmessages: [{name: 缴费, after: 签到}]\n"))
	f.Add([]byte("extends: bank-fixed.yaml\nframe: &a {max: 99, <<: [*b, {<<: &b {max: 100}}]}\nlimits: {<<: *a}\n"))
	f.Add([]byte("extends: bank-fixed.yaml\nlimits: {<<: &l {in_flight: 3}}\nmessages: [{name: 缴费, request: {map: {sender_time: {at: time, date: hmmss}}}}]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 20_000 {
			t.Skip()
		}
		open := func(name string) ([]byte, error) {
			if name == "links/fuzzed.yaml" {
				return b, nil
			}
			if strings.HasPrefix(name, "links/") {
				return conf.Files.ReadFile(name)
			}
			return nil, errors.New("not there")
		}
		_ = schema.Check("links/fuzzed.yaml", open) // that it comes back is the test
		l, err := Load("links/fuzzed.yaml", open)
		if err == nil {
			_, err = l.Assemble(Parts{})
		}
		if err != nil {
			if !strings.Contains(err.Error(), "fuzzed.yaml") {
				t.Fatalf("no file in %v", err)
			}
			return
		}
		if _, err := Merged("links/fuzzed.yaml", open); err != nil {
			t.Fatalf("a link that cannot be shown: %v", err)
		}
	})
}
