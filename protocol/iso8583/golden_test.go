package iso8583

import (
	"os"
	"testing"

	"go.yaml.in/yaml/v3"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
	"qianzhi/protocol/wiretest"
)

const root = "../../"

// links are the shipped and the tests' own tables with their golden messages.
var links = map[string]string{
	"pos-cup":     "conf/links/pos-cup.yaml",
	"cups-host":   "conf/links/cups-host.yaml",
	"gz-iso8583":  "testdata/links/gz-iso8583.yaml",
	"all-iso8583": "testdata/links/all-iso8583.yaml",

	"agent-iso8583":  "testdata/links/agent-iso8583.yaml",
	"as2805-iso8583": "testdata/links/as2805-iso8583.yaml",
	"ascii-iso8583":  "testdata/links/ascii-iso8583.yaml",
	"gas-1993":       "testdata/links/gas-1993.yaml",
}

func codecOf(tb testing.TB, link string) protocol.Codec {
	tb.Helper()
	b, err := os.ReadFile(root + links[link])
	if err != nil {
		tb.Fatal(err)
	}
	var file struct {
		ISO8583 Spec `yaml:"iso8583"`
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		tb.Fatalf("%s: %v", link, err)
	}
	return compiled(tb, &file.ISO8583)
}

func golden(tb testing.TB, link string) []wiretest.Case {
	tb.Helper()
	return wiretest.Load(tb, root+"testdata/wire/"+link, text.GB18030)
}

func TestGolden(t *testing.T) {
	for _, link := range []string{"pos-cup", "cups-host", "gz-iso8583", "agent-iso8583", "as2805-iso8583", "ascii-iso8583"} {
		t.Run(link, func(t *testing.T) {
			wiretest.Run(t, golden(t, link), map[string]protocol.Codec{"request": codecOf(t, link)})
		})
	}
}
