// Package bench holds the ISO 8583 codec against moov-io/iso8583 on identical
// bytes. It is a module of its own, so that the peer is no dependency of the
// gateway; make bench-codec in the repository's root prints the ratios.
package bench
