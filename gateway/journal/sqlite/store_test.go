package sqlite

import (
	"testing"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/journal/journaltest"
)

func makeStore(_ testing.TB, dir string) journal.Store { return New(dir) }

func TestContract(t *testing.T) { journaltest.Run(t, makeStore) }
