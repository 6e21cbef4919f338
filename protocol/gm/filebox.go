package gm

import (
	"bufio"
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
)

// A sealed file is: the eight bytes of fileMagic; length (2 bytes, big-endian)
// and DER of the SM2 ciphertext of a random SM4 key, as in a digital envelope of
// GB/T 35275; then the content in chunks of fileChunk bytes, the last one
// shorter or of the same length, each sealed with SM4-GCM with a tag of 16
// bytes. The nonce of a chunk is its number (8 bytes), three zero bytes, and 1
// for the last chunk: chunks cannot be exchanged, left out or cut off.
const (
	fileMagic = "QZSM4\x00\x00\x01"
	fileChunk = 64 << 10
	tagSize   = 16
)

// ErrSealedFile is returned for a file that was not sealed for the key, or was
// changed or cut.
var ErrSealedFile = errors.New("gm: sealed file does not open")

// SealFile encrypts everything that r gives for the key, and writes it to w.
// Any length is taken; one chunk is held in memory.
func (p *PublicKey) SealFile(w io.Writer, r io.Reader) error {
	key := make([]byte, BlockSize)
	defer clear(key)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	wrapped, err := p.Encrypt(key)
	if err != nil {
		return err
	}
	aead, err := NewGCM(key)
	if err != nil {
		return err
	}
	head := binary.BigEndian.AppendUint16([]byte(fileMagic), uint16(len(wrapped)))
	if _, err := w.Write(append(head, wrapped...)); err != nil {
		return err
	}
	return eachChunk(r, fileChunk, func(number uint64, last bool, chunk []byte) error {
		_, err := w.Write(aead.Seal(nil, fileNonce(number, last), chunk, nil))
		return err
	})
}

// OpenFile is the reverse of SealFile. What it has written to w is to be thrown
// away unless it returns nil: the end of the file is proved last. Errors of r
// and w come back as they are, all others are ErrSealedFile.
func (p *PrivateKey) OpenFile(w io.Writer, r io.Reader) error {
	aead, err := p.fileKey(r)
	if err != nil {
		return err
	}
	return eachChunk(r, fileChunk+tagSize, func(number uint64, last bool, chunk []byte) error {
		plain, err := aead.Open(nil, fileNonce(number, last), chunk, nil)
		if err != nil {
			return ErrSealedFile
		}
		_, err = w.Write(plain)
		return err
	})
}

// fileKey reads the head of a sealed file.
func (p *PrivateKey) fileKey(r io.Reader) (cipher.AEAD, error) {
	head := make([]byte, len(fileMagic)+2)
	if _, err := io.ReadFull(r, head); err != nil || !bytes.HasPrefix(head, []byte(fileMagic)) {
		return nil, sealedFile(err)
	}
	wrapped := make([]byte, binary.BigEndian.Uint16(head[len(fileMagic):]))
	if _, err := io.ReadFull(r, wrapped); err != nil {
		return nil, sealedFile(err)
	}
	key, err := p.Decrypt(wrapped)
	defer clear(key)
	if err != nil || len(key) != BlockSize {
		return nil, ErrSealedFile
	}
	return NewGCM(key)
}

// sealedFile keeps errors of the reader; the end of the file is none.
func sealedFile(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrSealedFile
	}
	return err
}

func fileNonce(number uint64, last bool) []byte {
	nonce := make([]byte, NonceSize)
	binary.BigEndian.PutUint64(nonce, number)
	if last {
		nonce[NonceSize-1] = 1
	}
	return nonce
}

// eachChunk hands over what r gives in chunks of size bytes. There is always a
// last one, which is empty only if there is nothing at all.
func eachChunk(r io.Reader, size int, do func(number uint64, last bool, chunk []byte) error) error {
	in := bufio.NewReaderSize(r, size)
	buf := make([]byte, size)
	for number := uint64(0); ; number++ {
		n, err := io.ReadFull(in, buf)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		last := err != nil
		if !last {
			_, err := in.Peek(1)
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			last = err != nil
		}
		if err := do(number, last, buf[:n]); err != nil || last {
			return err
		}
	}
}
