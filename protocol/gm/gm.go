// Package gm is the Chinese national cryptography of the program: SM2
// signatures and encryption (GB/T 32918), SM3 (GB/T 32905), SM4 (GB/T 32907)
// and the MACs built on it. It is the only importer of the two libraries that
// compute them, and it lets neither see input that it has not checked:
//
//   - tjfoc/gmsm gives the SM2 API and the key files. Its curve arithmetic is
//     replaced by that of emmansun/gmsm through the public Curve field of its
//     keys, which is some 15 times faster; see Curve for the switch.
//   - emmansun/gmsm gives the arithmetic, SM3 and SM4.
//   - A public key, and the point in a ciphertext, is used only after a check
//     that it lies on the curve: without it, decryption tells the private key
//     to whoever may ask often enough.
//   - DER is read strictly: what is accepted has exactly one encoding.
//   - A panic of a library becomes an error, and a plaintext that does not
//     prove true is dropped.
//
// Keys, ciphers and nonce sources are safe for concurrent use. SelfTest proves
// the arrangement and is to pass before the program does anything else.
package gm

// guarded runs f and turns a panic into the error given, with no result.
func guarded[T any](failure error, f func() (T, error)) (v T, err error) {
	defer func() {
		if recover() != nil {
			var none T
			v, err = none, failure
		}
	}()
	return f()
}
