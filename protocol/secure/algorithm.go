package secure

import (
	"crypto/cipher"
	"crypto/des"
	"fmt"
	"math/bits"

	"qianzhi/protocol/gm"
)

// fullCode is room for the longest code of any algorithm.
type fullCode [32]byte

// coder computes the code of data under one key; one of fewer bytes fills the
// first. It is safe for concurrent use.
type coder func(data []byte) fullCode

// algorithm is one way to compute a message authentication code.
type algorithm struct {
	des  bool // work keys are DES keys, else SM4 keys
	hex  bool // the code is hex digits by definition
	full int  // bytes that are computed
	make func(block cipher.Block, key []byte) coder
}

// algorithmOf finds the algorithm that link files call by the name. A DES key
// of 16 bytes is a double-length one: 3DES stands for DES.
func algorithmOf(name string) (algorithm, bool) {
	a, ok := map[string]algorithm{
		"cup-ecb":   {des: true, hex: true, full: 8, make: cupCoder},
		"x9.9":      {des: true, full: 8, make: chainCoder},
		"x9.19":     {des: true, full: 8, make: retailCoder(gm.MACRetail)},
		"xor-x9.19": {des: true, full: 8, make: retailCoder(gm.MACFolded)},
		"sm4-cup":   {hex: true, full: 8, make: cupCoder},
		"sm4-cbc":   {full: 16, make: chainCoder},
		"sm4-cmac":  {full: 16, make: cmacCoder},
		"hmac-sm3":  {full: 32, make: hmacCoder},
	}[name]
	return a, ok
}

func cupCoder(block cipher.Block, _ []byte) coder {
	return func(data []byte) (out fullCode) {
		c := gm.MACCup(block, data)
		copy(out[:], c[:])
		return out
	}
}

func chainCoder(block cipher.Block, _ []byte) coder {
	return func(data []byte) (out fullCode) {
		c := gm.MACCBC(block, data)
		copy(out[:], c[:])
		return out
	}
}

func cmacCoder(block cipher.Block, _ []byte) coder {
	return func(data []byte) (out fullCode) {
		c := gm.MACCMAC(block, data)
		copy(out[:], c[:])
		return out
	}
}

func hmacCoder(_ cipher.Block, key []byte) coder {
	h := gm.NewHMAC(key)
	return func(data []byte) fullCode { return h.Sum(data) }
}

// retailCoder splits a double-length key into its halves; with a single-length
// one both are the same, which makes the code that of X9.9.
func retailCoder(mac func(left, right cipher.Block, data []byte) [8]byte) func(cipher.Block, []byte) coder {
	return func(block cipher.Block, key []byte) coder {
		left, right := block, block
		if len(key) == 16 {
			left, _ = des.NewCipher(key[:8]) // the length is right
			right, _ = des.NewCipher(key[8:])
		}
		return func(data []byte) (out fullCode) {
			c := mac(left, right, data)
			copy(out[:], c[:])
			return out
		}
	}
}

// blockOf is the cipher of a work key or master key: DES of 8 bytes, 3DES of 16
// or 24, or SM4 of 16.
func blockOf(isDES bool, key []byte) (cipher.Block, error) {
	switch {
	case !isDES:
		return gm.NewSM4(key)
	case len(key) == 8:
		return des.NewCipher(key)
	case len(key) == 16:
		return des.NewTripleDESCipher(append(append(make([]byte, 0, 24), key...), key[:8]...))
	case len(key) == 24:
		return des.NewTripleDESCipher(key)
	}
	return nil, fmt.Errorf("DES key: want 8, 16 or 24 bytes, got %d", len(key))
}

// oddParity sets the lowest bit of each byte of a DES key so that the number of
// ones is odd, as terminals may check.
func oddParity(key []byte) {
	for i, b := range key {
		key[i] = b&^1 | byte(bits.OnesCount8(b>>1)+1)&1
	}
}
