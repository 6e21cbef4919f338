//go:build !mutant_reply_before_commit

package app

import "qianzhi/gateway"

// mutate is where a build tag plants a fault that the crash test must find.
func mutate(j gateway.Journal) gateway.Journal { return j }
