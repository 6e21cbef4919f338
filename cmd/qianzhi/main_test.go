package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"qianzhi/gateway/access"
)

// TestMain makes the test binary stand in for the program, so that scripts and
// kill tests run the real command line.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"qianzhi": main, "totp": authenticator})
}

// authenticator stands in for a telephone: totp FILE N writes the code of the
// enrolment in FILE, N steps of 30 s from now.
func authenticator() {
	text, err := os.ReadFile(os.Args[1])
	steps, err1 := strconv.Atoi(os.Args[2])
	_, secret, found := strings.Cut(string(text), "secret=")
	secret, _, _ = strings.Cut(strings.TrimSpace(secret), "&")
	code, err2 := access.Code(access.Secret(secret), time.Now().Add(time.Duration(steps)*30*time.Second))
	if err := errors.Join(err, err1, err2); err != nil || !found {
		fmt.Fprintln(os.Stderr, "totp:", err)
		os.Exit(1)
	}
	fmt.Print(code)
}

// setenv NAME FILE gives a variable the content of a file; FILE may be stdout.
func setenv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setenv NAME FILE")
	}
	ts.Setenv(args[0], ts.ReadFile(args[1]))
}

// ticket NAME takes the ticket out of what a login has written to LOGIN.
func ticket(ts *testscript.TestScript, neg bool, args []string) {
	_, token, found := strings.Cut(strings.TrimSpace(ts.Getenv("LOGIN")), "=")
	if neg || len(args) != 1 || !found {
		ts.Fatalf("usage: ticket NAME, with LOGIN set")
	}
	ts.Setenv(args[0], token)
}

// trim NAME takes the white space off a variable.
func trim(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: trim NAME")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.Getenv(args[0])))
}

// TestScripts runs the command line's specification.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"setenv": setenv, "ticket": ticket, "trim": trim},
		Setup: func(e *testscript.Env) error {
			if _, err := exec.LookPath("openssl"); err != nil && os.Getenv("CI") != "" {
				return errors.New("openssl is missing, and CI is set: install OpenSSL 3")
			}
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
