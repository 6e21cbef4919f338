package gm

import (
	"crypto/cipher"
	"crypto/subtle"
	"fmt"
)

// MACCup returns the MAC that POS terminals put in field 64, with SM4: the
// 16-byte blocks of data, the last one filled with zeros, are combined by XOR
// and written as 32 capital hex digits; the first 16 digits are encrypted,
// combined with the last 16 by XOR and encrypted again. The MAC is the first
// eight hex digits of the result, as ASCII.
func MACCup(block cipher.Block, data []byte) [8]byte {
	var x [BlockSize]byte
	for len(data) > 0 {
		data = data[subtle.XORBytes(x[:], x[:], data):]
	}
	digits := fmt.Appendf(nil, "%X", x)
	block.Encrypt(x[:], digits[:BlockSize])
	subtle.XORBytes(x[:], x[:], digits[BlockSize:])
	block.Encrypt(x[:], x[:])
	return [8]byte(fmt.Appendf(nil, "%X", x[:4]))
}

// MACCBC returns the CBC-MAC (GB/T 15852.1, padding method 1) of data with SM4:
// zero IV, the last block filled with zeros. Peers that send fewer bytes take
// the first ones. It is sound only where the length of data cannot be chosen,
// which the formats that use it guarantee. Empty data counts as one block.
func MACCBC(block cipher.Block, data []byte) [BlockSize]byte {
	var x [BlockSize]byte
	for {
		data = data[subtle.XORBytes(x[:], x[:], data):]
		block.Encrypt(x[:], x[:])
		if len(data) == 0 {
			return x
		}
	}
}

// EqualMAC reports whether two MACs are the same, in a time that does not
// depend on where they differ. An empty MAC equals nothing.
func EqualMAC(a, b []byte) bool {
	return len(a) > 0 && subtle.ConstantTimeCompare(a, b) == 1
}
