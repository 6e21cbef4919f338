package gm

import (
	"bytes"
	"crypto/cipher"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/emmansun/gmsm/sm4"
)

// BlockSize is the length in bytes of an SM4 block and of an SM4 key.
const BlockSize = 16

// NewSM4 returns SM4 (GB/T 32907) under a key of 16 bytes. The key is copied.
func NewSM4(key []byte) (cipher.Block, error) {
	if len(key) != BlockSize {
		return nil, fmt.Errorf("gm: SM4 key: want %d bytes, got %d", BlockSize, len(key))
	}
	return sm4.NewCipher(key)
}

// NewGCM returns SM4-GCM (RFC 8998) with nonces of 12 and tags of 16 bytes.
// Making one costs as much as sealing a short message: keep it with the key.
// No nonce may serve twice; NonceSource sees to that.
func NewGCM(key []byte) (cipher.AEAD, error) {
	block, err := NewSM4(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// EncryptECB encrypts whole blocks one by one, as keys are wrapped. dst and src
// have the same length, a multiple of 16, and are one slice or do not overlap.
func EncryptECB(block cipher.Block, dst, src []byte) error {
	return eachBlock(block.Encrypt, dst, src)
}

// DecryptECB is the reverse of EncryptECB.
func DecryptECB(block cipher.Block, dst, src []byte) error {
	return eachBlock(block.Decrypt, dst, src)
}

func eachBlock(crypt func(dst, src []byte), dst, src []byte) error {
	if len(src) == 0 || len(src)%BlockSize != 0 || len(dst) != len(src) {
		return fmt.Errorf("gm: ECB: want blocks of %d bytes into as many, got %d into %d", BlockSize, len(src), len(dst))
	}
	for i := 0; i < len(src); i += BlockSize {
		crypt(dst[i:i+BlockSize], src[i:i+BlockSize])
	}
	return nil
}

// PadPKCS7 appends the padding of PKCS #7 (RFC 5652, section 6.3) to a copy of
// plain: 1 to 16 bytes.
func PadPKCS7(plain []byte) []byte {
	pad := BlockSize - len(plain)%BlockSize
	out := make([]byte, 0, len(plain)+pad)
	return append(append(out, plain...), bytes.Repeat([]byte{byte(pad)}, pad)...)
}

// UnpadPKCS7 returns padded, whole blocks, without its padding, all bytes of
// which must be right. What it looks at does not depend on the bytes.
func UnpadPKCS7(padded []byte) ([]byte, error) {
	if len(padded) == 0 || len(padded)%BlockSize != 0 {
		return nil, fmt.Errorf("gm: padding: want blocks of %d bytes, got %d bytes", BlockSize, len(padded))
	}
	pad := int(padded[len(padded)-1])
	good := subtle.ConstantTimeLessOrEq(1, pad) & subtle.ConstantTimeLessOrEq(pad, BlockSize)
	for i := range BlockSize {
		same := subtle.ConstantTimeByteEq(padded[len(padded)-1-i], byte(pad))
		good &= subtle.ConstantTimeSelect(subtle.ConstantTimeLessOrEq(i+1, pad), same, 1)
	}
	if good != 1 {
		return nil, errors.New("gm: wrong padding")
	}
	return padded[:len(padded)-pad], nil
}

// EncryptCBC pads plain as PKCS #7 does and encrypts it in CBC mode under an
// unpredictable iv of 16 bytes. Nothing authenticates the result: where the
// format is free, NewGCM is right.
func EncryptCBC(block cipher.Block, iv, plain []byte) ([]byte, error) {
	if len(iv) != BlockSize {
		return nil, fmt.Errorf("gm: CBC iv: want %d bytes, got %d", BlockSize, len(iv))
	}
	out := PadPKCS7(plain)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, out)
	return out, nil
}

// DecryptCBC is the reverse of EncryptCBC. All bytes of the padding must be
// right. Check the message's MAC first: whether padding is right tells an
// attacker the plaintext.
func DecryptCBC(block cipher.Block, iv, sealed []byte) ([]byte, error) {
	if len(iv) != BlockSize {
		return nil, fmt.Errorf("gm: CBC iv: want %d bytes, got %d", BlockSize, len(iv))
	}
	if len(sealed) == 0 || len(sealed)%BlockSize != 0 {
		return nil, fmt.Errorf("gm: CBC: want blocks of %d bytes, got %d bytes", BlockSize, len(sealed))
	}
	out := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, sealed)
	return UnpadPKCS7(out)
}
