// Package keyfile reads keys from files: SM2 keys as PEM or hexadecimal
// digits, certificates as PEM, SM4 keys as 32 hexadecimal digits, and text
// secrets behind "text:". It also keeps many keys in a ring: one file sealed
// under a key-encryption key that two people, files or the environment give in
// two components.
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

// maxSize bounds a key file, and maxRing a key ring, in bytes.
const (
	maxSize = 64 << 10
	maxRing = 4 << 20
)

// errKind never shows the text: it may be a key that was meant for elsewhere.
var errKind = errors.New("want an SM2 private key, an SM2 public key or certificate, 32 hex digits of SM4, or text: with a secret")

// textPrefix begins a file that holds a shared secret which is text.
const textPrefix = "text:"

// Read reads one key; what it is shows in the text. A file with a secret must
// not be readable by others.
func Read(name string) (secure.Key, error) {
	text, mode, err := read(name, maxSize)
	if err != nil {
		return secure.Key{}, err
	}
	key, err := parse(bytes.TrimSpace(text))
	if err != nil {
		return secure.Key{}, fmt.Errorf("%s: %w", name, err)
	}
	if secret := key.Private != nil || key.SM4 != nil || key.Text != nil; secret && mode.Perm()&0o077 != 0 {
		return secure.Key{}, tooOpen(name, mode)
	}
	return key, nil
}

// read reads a whole file; a longer one than limit is an error, never cut.
func read(name string, limit int64) ([]byte, os.FileMode, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		return nil, 0, fmt.Errorf("%s is longer than %d bytes", name, limit)
	}
	return text, info.Mode(), err
}

// kindOf tells from the first characters what a text holds, "" for nothing.
func kindOf(text []byte) string {
	switch {
	case bytes.HasPrefix(text, []byte(textPrefix)):
		return "text"
	case len(text) == 32:
		return "sm4"
	case bytes.HasPrefix(text, []byte("-----BEGIN CERTIFICATE-----")):
		return "certificate"
	case len(text) == 130, bytes.HasPrefix(text, []byte("-----BEGIN PUBLIC")):
		return "public"
	case len(text) == 64, bytes.HasPrefix(text, []byte("-----BEGIN ")):
		return "sm2"
	}
	return ""
}

func parse(text []byte) (key secure.Key, err error) {
	switch kindOf(text) {
	case "text":
		if len(text) == len(textPrefix) {
			return secure.Key{}, errKind
		}
		key.Text = bytes.Clone(text[len(textPrefix):])
	case "sm4":
		if key.SM4, err = hex.DecodeString(string(text)); err != nil {
			return secure.Key{}, errKind
		}
	case "certificate":
		chain, err := gm.ParseCertificates(text)
		if err != nil {
			return secure.Key{}, err
		}
		key.Public = chain[0].Key()
	case "public":
		key.Public, err = gm.ParsePublicKey(text)
	case "sm2":
		if key.Private, err = gm.ParsePrivateKey(text); err == nil {
			key.Public = key.Private.Public()
		}
	default:
		return secure.Key{}, errKind
	}
	return key, err
}
