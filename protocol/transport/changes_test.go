package transport_test

import (
	"testing"
	"testing/synctest"
	"time"

	"qianzhi/protocol/transport"
)

// TestChanges has a connection that is down for an hour say so once a minute,
// and one that flaps say a pair a minute.
func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c transport.Changes
		if _, say := c.Up(); say {
			t.Error("up was said of a connection that was never down")
		}
		said, failures := 0, 0
		for range 3600 {
			if n, say := c.Down(); say {
				said++
				failures += n
			}
			time.Sleep(time.Second)
		}
		if said != 60 || failures != 3541 {
			t.Errorf("said %d times, %d failures; want 60 and 3541", said, failures)
		}
		if d, say := c.Up(); !say || d != time.Hour {
			t.Errorf("up: %v %v, want after an hour, said", d, say)
		}
		said = 0
		for range 600 {
			_, down := c.Down()
			_, up := c.Up()
			if down != up {
				t.Fatal("down and up are not said in pairs")
			}
			if down {
				said++
			}
			time.Sleep(time.Second)
		}
		if said != 10 {
			t.Errorf("said %d times in ten minutes, want 10", said)
		}
	})
}
