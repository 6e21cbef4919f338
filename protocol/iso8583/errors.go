package iso8583

import (
	"fmt"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

func headerError(path string, at int, want, got, hint string) error {
	return &protocol.Error{Class: protocol.ClassHeader, Path: path, Offset: at, Want: want, Got: got, Hint: hint}
}

func fieldError(path string, at int, want, got, hint string) error {
	return &protocol.Error{Class: protocol.ClassField, Path: path, Offset: at, Want: want, Got: got, Hint: hint}
}

// show writes bytes of a value for an error: only of public values.
func (f *field) show(b []byte) string {
	if f.mask != pay.Public {
		return fmt.Sprintf("%d bytes, not shown", len(b))
	}
	return "bytes " + protocol.Hex(b, 8)
}

func (f *field) short(at, want, left int) error {
	return fieldError(f.name, at, fmt.Sprintf("%d bytes", want), fmt.Sprintf("%d left", left),
		"the message ends early, or the length of an earlier field is wrong")
}

// unfit is the error of a value that is not of the field's type.
func (f *field) unfit(raw []byte, from int) error {
	at, hint := from, ""
	switch f.form {
	case formPacked:
		hint = "the field may be ASCII, or aligned to the other side"
		for i, b := range raw {
			if _, ok := f.set.ReadPacked(nil, raw[i:i+1]); !ok && (b>>4 > 9 || b&15 > 9) {
				at = from + i
				break
			}
		}
	case formZoned:
		hint = "the field may be BCD"
		at += f.first(raw)
	case formText:
		hint = "the charset may be another"
		at += f.first(raw)
	case formSigned:
		hint = "the first byte is C or D"
	}
	return fieldError(f.name, at, f.want(), f.show(raw), hint)
}

// first returns the index of the first byte outside the field's class.
func (f *field) first(raw []byte) int {
	for i := range raw {
		if !f.class.holds(raw[i:i+1]) && (raw[i] < 0x80 || f.class != classANS) {
			return i
		}
	}
	return 0
}

// want says in words what the wire should hold.
func (f *field) want() string {
	unit := "bytes"
	switch f.form {
	case formPacked:
		unit = f.set.String() + ", two to a byte"
	case formZoned, formText:
		unit = classNames[f.class]
	case formSigned:
		unit = "digits after C or D"
	case formHex:
		unit = "bytes in " + f.hex.String()
	}
	if f.fixed {
		return fmt.Sprintf("%d %s", f.len, unit)
	}
	return fmt.Sprintf("%d to %d %s", f.min, f.len, unit)
}

// full is the error of a record that takes no more fields.
func (f *field) full(at int) error {
	return fieldError(f.name, at, "fewer fields in one message", "", "")
}
