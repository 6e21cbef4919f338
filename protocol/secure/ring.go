// Package secure proves and hides messages: signatures, MACs, envelopes and the
// keys they use. Which algorithm sits where is data of the link.
package secure

import (
	"fmt"

	"qianzhi/protocol/gm"
)

// Key is one party's key as the ring holds it. A party on the far side has a
// Public key only; a shared secret has SM4 only.
type Key struct {
	Private *gm.PrivateKey
	Public  *gm.PublicKey
	SM4     []byte // 16 bytes
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

func (k Keys) missing(role string) error {
	if k.Roles[role] == "" {
		return fmt.Errorf("no key named for role %q", role)
	}
	return fmt.Errorf("key %q for role %q is not in the key list", k.Roles[role], role)
}
