// Package keyfile reads keys from files: SM2 keys as PEM or hexadecimal
// digits, SM4 keys as 32 hexadecimal digits.
package keyfile

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"qianzhi/protocol/gm"
	"qianzhi/protocol/secure"
)

// maxSize bounds a key file, in bytes.
const maxSize = 64 << 10

// errKind never shows the text: it may be a key that was meant for elsewhere.
var errKind = errors.New("want an SM2 private key, an SM2 public key, or 32 hex digits of SM4")

// Read reads one key; what it is shows in the text. A file with a secret must
// not be readable by others.
func Read(name string) (secure.Key, error) {
	text, mode, err := read(name)
	if err != nil {
		return secure.Key{}, err
	}
	key, err := parse(bytes.TrimSpace(text))
	if err != nil {
		return secure.Key{}, fmt.Errorf("%s: %w", name, err)
	}
	if secret := key.Private != nil || key.SM4 != nil; secret && mode.Perm()&0o077 != 0 {
		return secure.Key{}, fmt.Errorf("%s is readable by others (mode %o), want 600", name, mode.Perm())
	}
	return key, nil
}

func read(name string) ([]byte, os.FileMode, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSize))
	return text, info.Mode(), err
}

func parse(text []byte) (key secure.Key, err error) {
	switch {
	case len(text) == 32:
		key.SM4, err = hex.DecodeString(string(text))
		if err != nil {
			return secure.Key{}, errKind
		}
	case len(text) == 130, bytes.HasPrefix(text, []byte("-----BEGIN PUBLIC")):
		key.Public, err = gm.ParsePublicKey(text)
	case len(text) == 64, bytes.HasPrefix(text, []byte("-----BEGIN ")):
		if key.Private, err = gm.ParsePrivateKey(text); err == nil {
			key.Public = key.Private.Public()
		}
	default:
		return secure.Key{}, errKind
	}
	return key, err
}
