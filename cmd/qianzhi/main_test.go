package main

import (
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary stand in for the program, so that scripts and
// kill tests run the real command line.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"qianzhi": main})
}

// TestScripts runs the command line's specification.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			conf, err := os.Getwd()
			e.Setenv("CONF", conf+"/../../conf")
			e.Setenv("SHARED", conf+"/../../testdata")
			return err
		}})
}

// Until polls cond until it holds or the deadline is over. It is for tests that
// watch another process; nothing else waits on the wall clock.
func Until(t *testing.T, within time.Duration, what string, cond func() bool) {
	t.Helper()
	end := time.NewTimer(within)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("%s: not within %s", what, within)
		}
	}
}
