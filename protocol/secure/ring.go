// Package secure proves and hides messages: signatures, MACs, envelopes and the
// keys they use. Which algorithm sits where is data of the link.
package secure

import (
	"fmt"

	"qianzhi/protocol/gm"
)

// Key is one party's key as the ring holds it. A party on the far side has a
// Public key only; a shared secret has SM4 or Text only. It prints as its kinds.
type Key struct {
	Private *gm.PrivateKey
	Public  *gm.PublicKey
	SM4     []byte // 16 bytes: an SM4 key, or a double-length DES key
	Text    []byte // a shared secret that is text, as some signatures append it
	Former  *Key   // an SM2 key that this one renewed: still believed and opened with, never signed with or sealed for; nil: none
}

// Format writes which kinds of key there are, whatever the verb: a key never
// reaches a log.
func (k Key) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "key{private:%t public:%t sm4:%t text:%t}", k.Private != nil, k.Public != nil, k.SM4 != nil, k.Text != nil)
}

// Ring holds keys by name. It is filled at start and only read afterwards.
type Ring map[string]Key

// Keys resolves the roles of a link ("bank", "gateway", "master") to the keys
// of the ring that the configuration names for them.
type Keys struct {
	Ring  Ring
	Roles map[string]string
}

// Private returns the signing key of a role.
func (k Keys) Private(role string) (*gm.PrivateKey, bool) {
	key := k.Ring[k.Roles[role]]
	return key.Private, key.Private != nil
}

// Public returns the key that checks a role's signatures.
func (k Keys) Public(role string) (*gm.PublicKey, error) {
	key, ok := k.Ring[k.Roles[role]]
	switch {
	case !ok:
		return nil, k.missing(role)
	case key.Public != nil:
		return key.Public, nil
	case key.Private != nil:
		return key.Private.Public(), nil
	}
	return nil, fmt.Errorf("key %q for role %q is no SM2 key", k.Roles[role], role)
}

// believed returns the keys that check a role's signatures: the present one,
// then those it renewed.
func (k Keys) believed(role string) (out []*gm.PublicKey, err error) {
	if _, err := k.Public(role); err != nil {
		return nil, err
	}
	key := k.Ring[k.Roles[role]]
	for now := &key; now != nil; now = now.Former {
		switch {
		case now.Public != nil:
			out = append(out, now.Public)
		case now.Private != nil:
			out = append(out, now.Private.Public())
		}
	}
	return out, nil
}

// openers returns the private keys that open what was sealed for a role, none at
// the other end.
func (k Keys) openers(role string) (out []*gm.PrivateKey) {
	key := k.Ring[k.Roles[role]]
	for now := &key; now != nil; now = now.Former {
		if now.Private != nil {
			out = append(out, now.Private)
		}
	}
	return out
}

// anyOf runs check with the keys in order and returns nil as soon as one fits,
// else the error of the first.
func anyOf[K any](keys []K, check func(K) error) (err error) {
	for i, k := range keys {
		e := check(k)
		if e == nil {
			return nil
		}
		if i == 0 {
			err = e
		}
	}
	return err
}

// SM4 returns the shared secret of a role, 16 bytes.
func (k Keys) SM4(role string) ([]byte, error) {
	key, ok := k.Ring[k.Roles[role]]
	switch {
	case !ok:
		return nil, k.missing(role)
	case len(key.SM4) != 16:
		return nil, fmt.Errorf("key %q for role %q is no SM4 key", k.Roles[role], role)
	}
	return key.SM4, nil
}

// Secret returns the shared secret of a role as it is put into digests: a text,
// or the 16 bytes of an SM4 key.
func (k Keys) Secret(role string) ([]byte, error) {
	if key := k.Ring[k.Roles[role]]; len(key.Text) > 0 {
		return key.Text, nil
	}
	return k.SM4(role)
}

func (k Keys) missing(role string) error {
	if k.Roles[role] == "" {
		return fmt.Errorf("no key named for role %q", role)
	}
	return fmt.Errorf("key %q for role %q is not in the key list", k.Roles[role], role)
}
