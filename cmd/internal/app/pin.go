package app

import (
	"errors"
	"fmt"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/secure"
)

// pinKeys tells the PIN key that a terminal got at its sign-on, still wrapped.
type pinKeys interface {
	PINKey(req *pay.Request) (secure.PINKey, bool)
}

// translatePIN takes a PIN block from the key of the terminal that sent it to
// that of our terminal at the card centre. The PIN is in clear nowhere outside
// the vault.
func (p *Plan) translatePIN(host *door) func(from, to *pay.Request) error {
	vault := secure.NewSoftVault(p.ring)
	return func(from, to *pay.Request) error {
		if pay.Find(to.More, pay.FPIN) == "" {
			return nil
		}
		link := pay.Find(from.More, pay.FChannel)
		for _, d := range p.links {
			if d.opts.ID != link {
				continue
			}
			theirs, ok1 := d.dialect.Request.Auth.(pinKeys)
			ours, ok2 := host.dialect.Request.Auth.(pinKeys)
			if !ok1 || !ok2 {
				return fmt.Errorf("link %s or host %s has no terminal keys", link, host.opts.ID)
			}
			return translate(vault, theirs, ours, from, to)
		}
		return fmt.Errorf("no link %q", link)
	}
}

func translate(v secure.Vault, theirs, ours pinKeys, from, to *pay.Request) error {
	key, ok := theirs.PINKey(from)
	if !ok {
		return errors.New("the terminal has no PIN key")
	}
	next, ok := ours.PINKey(to)
	if !ok {
		return errors.New("our terminal has no PIN key")
	}
	return secure.RelayPIN(v, to, key, next)
}
