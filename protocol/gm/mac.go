package gm

import (
	"crypto/cipher"
	"crypto/subtle"
	"fmt"

	"github.com/emmansun/gmsm/cbcmac"
)

// MACCup returns the MAC that POS terminals put in field 64 (银联 "ECB"), with DES,
// 3DES or SM4: the blocks of data, the last one filled with zeros, are combined
// by XOR and written as capital hex digits; the first half of the digits is
// encrypted, combined with the second half by XOR and encrypted again. The MAC
// is the first eight hex digits of the result, as ASCII.
func MACCup(block cipher.Block, data []byte) [8]byte {
	size := block.BlockSize()
	x := fold(size, data)
	digits := fmt.Appendf(nil, "%X", x[:size])
	block.Encrypt(x[:size], digits[:size])
	subtle.XORBytes(x[:size], x[:size], digits[size:])
	block.Encrypt(x[:size], x[:size])
	return [8]byte(fmt.Appendf(nil, "%X", x[:4]))
}

// fold combines the blocks of data by XOR, the last one filled with zeros.
func fold(size int, data []byte) (x [BlockSize]byte) {
	for len(data) > 0 {
		data = data[subtle.XORBytes(x[:size], x[:size], data):]
	}
	return x
}

// MACCBC returns the CBC-MAC (GB/T 15852.1, padding method 1; with DES it is
// ANSI X9.9) of data: zero IV, the last block filled with zeros. A cipher with
// blocks of 8 bytes fills the first 8, the rest is zero. Peers that send fewer
// bytes take the first ones. It is sound only where the length of data cannot
// be chosen, which the formats that use it guarantee. Empty data counts as one
// block.
func MACCBC(block cipher.Block, data []byte) (x [BlockSize]byte) {
	size := block.BlockSize()
	for {
		data = data[subtle.XORBytes(x[:size], x[:size], data):]
		block.Encrypt(x[:size], x[:size])
		if len(data) == 0 {
			return x
		}
	}
}

// MACRetail returns the retail MAC (ANSI X9.19; ISO 9797-1 algorithm 3, padding
// method 1) of data under the two halves of a double-length DES key: CBC with
// the left one, then the last block decrypted with the right one and encrypted
// with the left one. 8 bytes.
func MACRetail(left, right cipher.Block, data []byte) [8]byte {
	x := MACCBC(left, data)
	right.Decrypt(x[:8], x[:8])
	left.Encrypt(x[:8], x[:8])
	return [8]byte(x[:8])
}

// MACFolded is MACRetail of one block: the blocks of data combined by XOR. Some
// acquirers want it in place of MACCup. 8 bytes.
func MACFolded(left, right cipher.Block, data []byte) [8]byte {
	x := fold(8, data)
	return MACRetail(left, right, x[:8])
}

// MACCMAC returns the CMAC (GB/T 15852.1 algorithm 5, NIST SP 800-38B) of data
// with SM4, 16 bytes.
func MACCMAC(block cipher.Block, data []byte) [BlockSize]byte {
	return [BlockSize]byte(cbcmac.NewCMAC(block, BlockSize).MAC(data))
}

// EqualMAC reports whether two MACs are the same, in a time that does not
// depend on where they differ. An empty MAC equals nothing.
func EqualMAC(a, b []byte) bool {
	return len(a) > 0 && subtle.ConstantTimeCompare(a, b) == 1
}
