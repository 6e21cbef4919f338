package app

import (
	"errors"
	"fmt"
	"os"
	"time"

	"qianzhi/cmd/internal/keyfile"
	"qianzhi/protocol/secure"
)

// KeyFile names a key and the file that holds it: PEM for SM2, 32 hex digits
// for SM4, "text:" and a text, or a ring with many keys. Exactly one of the
// files is set.
type KeyFile struct {
	Name    string `yaml:"name"`
	Private string `yaml:"private"`
	Public  string `yaml:"public"` // or a certificate
	SM4     string `yaml:"sm4"`
	Text    string `yaml:"text"`
	Ring    string `yaml:"ring"`  // sealed; its two components come from the environment or people at the terminal
	Entry   string `yaml:"entry"` // ring: its name there, empty: name
}

// file returns the only file that is set.
func (k *KeyFile) file() (string, error) {
	var out string
	for _, f := range []string{k.Private, k.Public, k.SM4, k.Text, k.Ring} {
		if f != "" && out != "" {
			return "", errors.New("want exactly one of private, public, sm4, text, ring")
		}
		out += f
	}
	if out == "" || k.Entry != "" && k.Ring == "" {
		return "", errors.New("want exactly one of private, public, sm4, text, ring; entry is for a ring")
	}
	return out, nil
}

// keyReader reads the keys of a configuration; a ring is opened once.
type keyReader struct {
	c     *Config
	kek   *keyfile.KEK
	rings map[string]*keyfile.Ring
}

// ring reads all keys.
func (c *Config) ring() (secure.Ring, error) {
	ring, r := secure.Ring{}, keyReader{c: c, rings: map[string]*keyfile.Ring{}}
	for i, k := range c.Keys {
		key, err := r.read(k)
		if err != nil {
			return nil, c.file.Wrong(err, "keys", i)
		}
		if _, twice := ring[k.Name]; twice || k.Name == "" {
			return nil, c.file.Wrong(fmt.Errorf("name: %q is empty or stands twice", k.Name), "keys", i)
		}
		ring[k.Name] = key
	}
	return ring, nil
}

// KeysNamed reads some of the keys, for tools that need no others.
func (c *Config) KeysNamed(names ...string) (secure.Ring, error) {
	ring, r := secure.Ring{}, keyReader{c: c, rings: map[string]*keyfile.Ring{}}
	for _, name := range names {
		for i, k := range c.Keys {
			if k.Name != name {
				continue
			}
			key, err := r.read(k)
			if err != nil {
				return nil, c.file.Wrong(err, "keys", i)
			}
			ring[name] = key
		}
		if _, ok := ring[name]; !ok {
			return nil, fmt.Errorf("keys: 没有名为 %q 的密钥", name)
		}
	}
	return ring, nil
}

func (r *keyReader) read(k KeyFile) (key secure.Key, err error) {
	file, err := k.file()
	if err != nil {
		return key, err
	}
	if k.Ring != "" {
		return r.fromRing(k)
	}
	if key, err = keyfile.Read(r.c.Path(file)); err != nil {
		return key, err
	}
	if (k.Private != "") != (key.Private != nil) || (k.SM4 != "") != (key.SM4 != nil) || (k.Text != "") != (key.Text != nil) {
		return secure.Key{}, fmt.Errorf("%s holds another kind of key", file)
	}
	return key, nil
}

func (r *keyReader) fromRing(k KeyFile) (secure.Key, error) {
	ring, ok := r.rings[k.Ring]
	if !ok {
		if r.kek == nil {
			kek, err := keyfile.Components{Env: os.Getenv, Prompt: keyfile.Ask}.KEK()
			if err != nil {
				return secure.Key{}, err
			}
			r.kek = &kek
		}
		var err error
		if ring, err = keyfile.OpenRing(r.c.Path(k.Ring), *r.kek); err != nil {
			return secure.Key{}, err
		}
		r.rings[k.Ring] = ring
	}
	name := k.Entry
	if name == "" {
		name = k.Name
	}
	return ring.Key(name, time.Now())
}
