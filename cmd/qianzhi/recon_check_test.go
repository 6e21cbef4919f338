package main

import (
	"testing"
	"time"

	"qianzhi/reconcile"
	"qianzhi/reconcile/desk"
)

// TestCheckState: what monitoring is told of one channel.
func TestCheckState(t *testing.T) {
	for _, c := range []struct {
		verdict reconcile.Verdict
		pended  int
		stage   desk.Stage
		late    bool
		want    int
	}{
		{reconcile.Balanced, 0, desk.Matched, false, 0}, {reconcile.Balanced, 0, desk.Matched, true, 1}, {reconcile.Balanced, 0, desk.Prepared, true, 0},
		{reconcile.Balanced, 2, desk.Closed, true, 1}, {reconcile.Incomplete, 0, desk.Matched, false, 1}, {reconcile.Unbalanced, 0, desk.Closed, true, 2},
		{reconcile.Refused, 0, desk.Matched, false, 2}, {reconcile.Doubtful, 0, desk.Matched, false, 2}, {reconcile.Broken, 0, desk.Matched, false, 2},
	} {
		table := &desk.Table{Stage: c.stage, Summary: reconcile.Summary{Exit: c.verdict.Exit(), Pended: c.pended}}
		if got := checkState(table, c.late); got != c.want {
			t.Errorf("%s, %d pended, %s, late %v: %s", c.verdict, c.pended, c.stage, c.late, checkWords[got])
		}
	}
	if stale < 24*time.Hour {
		t.Error("a day is stale before the next is reconciled")
	}
}
