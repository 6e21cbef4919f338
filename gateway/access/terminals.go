package access

import (
	"fmt"
	"sync"

	"qianzhi/gateway/pay"
)

// Terminal is one device that a link knows, and whose it is.
type Terminal struct {
	Terminal string `yaml:"terminal"`
	Merchant string `yaml:"merchant"` // empty: any
	Disabled bool   `yaml:"disabled"` // may finish what it began, nothing new
}

// MaxTerminals bounds the table of one link.
const MaxTerminals = 1 << 20

// Terminals is the table of one link and who of it has signed on since the
// start. It is safe for concurrent use.
type Terminals struct {
	signOn bool

	mu     sync.RWMutex
	by     map[string]Terminal
	signed map[string]bool
}

// NewTerminals builds a table. With signOn a terminal signs on before anything
// else; the table then knows who did. A nil table and no signOn lets everybody
// pass.
func NewTerminals(list []Terminal, signOn bool) (*Terminals, error) {
	t := &Terminals{signOn: signOn, signed: map[string]bool{}}
	return t, t.Replace(list)
}

// Replace takes another list; who has signed on and is still there stays signed
// on. A list that is wrong changes nothing.
func (t *Terminals) Replace(list []Terminal) error {
	if len(list) == 0 || len(list) > MaxTerminals {
		return fmt.Errorf("want 1 to %d terminals, got %d", MaxTerminals, len(list))
	}
	by := make(map[string]Terminal, len(list))
	for i, e := range list {
		if _, twice := by[e.Terminal]; e.Terminal == "" || twice {
			return fmt.Errorf("[%d]: terminal %q is empty or stands twice", i, e.Terminal)
		}
		by[e.Terminal] = e
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.by = by
	for name := range t.signed {
		if e, there := by[name]; !there || e.Disabled {
			delete(t.signed, name)
		}
	}
	return nil
}

// Allow says why a terminal may not ask for something, CodeUnknown if it may.
// A disabled one still reverses, asks and settles: what it began must end.
func (t *Terminals) Allow(req *pay.Request) pay.Code {
	name := pay.Find(req.More, pay.FTerminal)
	t.mu.RLock()
	e, there := t.by[name]
	signed := t.signed[name]
	t.mu.RUnlock()
	merchant := pay.Find(req.More, pay.FMerchant)
	switch {
	case req.Op == pay.Echo && name == "":
	case !there, e.Merchant != "" && merchant != "" && merchant != e.Merchant, e.Disabled && begins(req.Op):
		return pay.CodeTerminal
	case t.signOn && !signed && !e.Disabled && req.Op != pay.SignOn && req.Op != pay.Echo:
		return pay.CodeSignOn
	}
	return pay.CodeUnknown
}

// begins reports whether the operation starts something new.
func begins(op pay.Op) bool {
	switch op {
	case pay.Reverse, pay.Status, pay.SignOff, pay.Settle, pay.BatchUpload, pay.UploadEnd, pay.Echo:
		return false
	}
	return true
}

// Done notes who has signed on and off.
func (t *Terminals) Done(req *pay.Request, rep *pay.Reply) {
	if rep.Verdict != pay.Approved || req.Op != pay.SignOn && req.Op != pay.SignOff {
		return
	}
	name := pay.Find(req.More, pay.FTerminal)
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, there := t.by[name]; there && req.Op == pay.SignOn {
		t.signed[name] = true
	} else {
		delete(t.signed, name)
	}
}
