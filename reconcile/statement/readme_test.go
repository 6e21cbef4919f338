package statement

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestReadme holds the manual to the language: it names every key, and its
// examples can be used.
func TestReadme(t *testing.T) {
	b, err := os.ReadFile("../../conf/statements/README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, v := range []any{Spec{}, Rec{}, Field{}, Total{}, Status{}, Checksum{}, Signature{}} {
		for i := range reflect.TypeOf(v).NumField() {
			key := reflect.TypeOf(v).Field(i).Tag.Get("yaml")
			if key != "" && !strings.Contains(text, key) {
				t.Errorf("%T: nothing is said of %q", v, key)
			}
		}
	}
	n := 0
	for _, part := range strings.Split(text, "```yaml\n")[1:] {
		example, _, _ := strings.Cut(part, "```")
		if _, err := Parse("README.md", []byte(example)); err != nil {
			t.Error(err)
		}
		n++
	}
	if n == 0 {
		t.Error("no examples")
	}
	names, err := os.ReadDir("../../conf/statements")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range names {
		if !strings.Contains(text, e.Name()) && e.Name() != "README.md" {
			t.Errorf("%s is not listed", e.Name())
		}
	}
}
