package books

import (
	"context"

	"qianzhi/gateway/access"
)

// Audit takes acts of the command line; the type exists because Record of Books
// takes a text.
type Audit struct{ *Books }

// Record writes an act into the journal.
func (a Audit) Record(ctx context.Context, act access.Act) error {
	text, err := act.Text()
	if err != nil {
		return err
	}
	return a.Books.Record(ctx, text)
}
