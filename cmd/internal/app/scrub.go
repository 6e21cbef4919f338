package app

import (
	"fmt"
	"io"
	"log/slog"

	"qianzhi/gateway/pay"
)

// NewLog builds the daemon's log. Every text that goes into it, whoever wrote
// it, is scrubbed of what looks like a card, a citizen's or a telephone number:
// errors quote what was received, and a log has no classes of fields.
func NewLog(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: scrub}))
}

func scrub(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(pay.Scrub(a.Value.String()))
	case slog.KindAny:
		a.Value = slog.StringValue(pay.Scrub(fmt.Sprint(a.Value.Any())))
	}
	return a
}
