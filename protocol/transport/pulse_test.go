package transport

import (
	"testing"
	"time"
)

func TestPulseAnswersOneASecond(t *testing.T) {
	var p Pulse
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{
		{0, true}, {0, false}, {time.Second - 1, false}, {time.Second, true}, // one that is not answered does not push the next one back
		{1500 * time.Millisecond, false}, {2 * time.Second, true}, {time.Minute, true},
	} {
		if got := p.Due(start.Add(c.after)); got != c.want {
			t.Errorf("after %v: answered %v, want %v", c.after, got, c.want)
		}
	}
}
