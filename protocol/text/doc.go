// Package text holds the append and read pairs that all codecs share: decimal
// lengths, binary integers, digits two to a byte, characters of Chinese
// charsets and padding. Append functions append to dst and return it; read
// functions append what they read. Neither keeps its arguments, and bytes that
// do not fit are reported, never a panic.
package text
