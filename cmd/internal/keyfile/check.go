package keyfile

import (
	"fmt"
	"time"

	"qianzhi/protocol/gm"
)

// Finding is something about a ring that a person should do something about.
type Finding struct {
	Name string `json:"name"`
	Text string `json:"text"`
	Bad  bool   `json:"bad"` // it does not work now; else it will not work soon
}

// Check looks at every key of the ring: whether it can be read, whether its
// certificate belongs to it, leads to one of the roots (where there are any) and
// holds, and what ends within warn.
func (r *Ring) Check(now time.Time, warn time.Duration, roots []*gm.Certificate) (out []Finding) {
	for i := range r.Entries {
		e := &r.Entries[i]
		bad := func(format string, a ...any) {
			out = append(out, Finding{Name: e.Name, Text: fmt.Sprintf(format, a...), Bad: true})
		}
		key, err := e.key()
		if err != nil {
			bad("%v", err)
			continue
		}
		if !e.Until.IsZero() && !e.Until.After(now) {
			out = append(out, Finding{Name: e.Name, Text: "旧密钥的并用期已过 (" + date(e.Until) + "), 可由 rotate 清除"})
			continue
		}
		chain, err := e.Certificates()
		switch {
		case err != nil:
			bad("%v", err)
			continue
		case chain == nil:
			continue
		case !chain[0].Key().Equal(key.Public):
			bad("证书不属于此密钥")
		}
		if f := validity(chain[0], now, warn); f != nil {
			f.Name = e.Name
			out = append(out, *f)
		} else if len(roots) > 0 {
			if err := gm.VerifyChain(chain, roots, now); err != nil {
				bad("证书链: %v", err)
			}
		}
	}
	return out
}

// validity reports a certificate that does not hold now, or soon not.
func validity(c *gm.Certificate, now time.Time, warn time.Duration) *Finding {
	from, to := c.Validity()
	switch {
	case now.Before(from):
		return &Finding{Text: "证书 " + date(from) + " 起才有效", Bad: true}
	case now.After(to):
		return &Finding{Text: "证书已于 " + date(to) + " 到期", Bad: true}
	case to.Sub(now) < warn:
		return &Finding{Text: fmt.Sprintf("证书将于 %s 到期, 还有 %d 天", date(to), int(to.Sub(now).Hours()/24))}
	}
	return nil
}

func date(t time.Time) string { return t.Local().Format("2006-01-02") }
