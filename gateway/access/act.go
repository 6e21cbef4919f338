package access

import (
	"context"
	"encoding/json"
	"strings"
)

// Act is one administrative act: who did what to what, why, and whether it
// failed after it was recorded.
type Act struct {
	By     string `json:"by"`
	Person string `json:"person,omitempty"`
	Role   string `json:"role,omitempty"`
	Door   string `json:"door"`
	What   string `json:"what"`
	On     string `json:"on,omitempty"`
	Reason string `json:"reason,omitempty"`
	Failed string `json:"failed,omitempty"` // why it was not done
}

// Audit takes acts. Record returns when the act is durable; what it fails for
// must not be done.
type Audit interface {
	Record(ctx context.Context, a Act) error
}

// Act says what the principal does.
func (p Principal) Act(what, on, reason string) Act {
	role := ""
	if p.role != NoRole {
		role = p.role.String()
	}
	return Act{By: p.name, Person: p.person, Role: role, Door: p.door, What: what, On: on, Reason: reason}
}

// prefix tells acts from other notes of the journal.
const prefix = "act "

// maxText bounds every text of an act, in bytes.
const maxText = 500

// Text writes an act as one line for the journal.
func (a Act) Text() (string, error) {
	for _, s := range []*string{&a.By, &a.Person, &a.Role, &a.Door, &a.What, &a.On, &a.Reason, &a.Failed} {
		if len(*s) > maxText {
			*s = strings.ToValidUTF8((*s)[:maxText], "") + "…"
		}
	}
	b, err := json.Marshal(a)
	return prefix + string(b), err
}

// ParseAct reads what Text wrote; ok is false for other notes.
func ParseAct(text string) (a Act, ok bool) {
	body, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return Act{}, false
	}
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a); err != nil || a.By == "" || a.What == "" {
		return Act{}, false
	}
	return a, true
}
