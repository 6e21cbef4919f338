package tuxedo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"qianzhi/protocol"
)

// Errno is an XATMI error, tperrno; the numbers are those of Oracle Tuxedo and
// Enduro/X.
type Errno int

// The errors that are told apart.
const (
	TPEBLOCK   Errno = 3
	TPEINVAL   Errno = 4
	TPELIMIT   Errno = 5
	TPENOENT   Errno = 6
	TPEPERM    Errno = 8
	TPESVCERR  Errno = 10
	TPESVCFAIL Errno = 11
	TPESYSTEM  Errno = 12
	TPETIME    Errno = 13
	TPEITYPE   Errno = 17
)

var errnoNames = strings.Fields("0 TPEABORT TPEBADDESC TPEBLOCK TPEINVAL TPELIMIT TPENOENT TPEOS TPEPERM TPEPROTO TPESVCERR TPESVCFAIL TPESYSTEM " +
	"TPETIME TPETRAN TPGOTSIG TPERMERR TPEITYPE TPEOTYPE TPERELEASE TPEHAZARD TPEHEURISTIC TPEEVENT TPEMATCH TPEDIAGNOSTIC TPEMIB")

// Error returns the name.
func (e Errno) Error() string {
	if e >= 0 && int(e) < len(errnoNames) {
		return errnoNames[e]
	}
	return "tperrno " + strconv.Itoa(int(e))
}

// undone reports whether the error proves that no service ran. TPEINVAL and
// TPEITYPE do so only where the answering side is known to look before it
// calls; for what moves money that has to be promised.
func (e Errno) undone(checks, money bool) bool {
	switch e {
	case TPENOENT, TPELIMIT, TPEPERM, TPEBLOCK:
		return true
	case TPEINVAL, TPEITYPE:
		return checks || !money
	}
	return false
}

// Buffer is the type of a message's buffer.
type Buffer string

// The buffer types.
const (
	STRING Buffer = "STRING" // no NUL inside
	CARRAY Buffer = "CARRAY" // any bytes
	FML32  Buffer = "FML32"  // printed form over TCP, JSON over HTTP
)

// kind is the letter of the buffer in an envelope.
func (b Buffer) kind() byte {
	switch b {
	case STRING:
		return 'S'
	case FML32:
		return 'T'
	}
	return 'C'
}

// Envelope is the fixed head of a message on a stream, as widths in bytes; 0 is
// a part that is not there. A request has the kind of buffer (S, C or T), the
// service, padded with blanks, and a correlation number; a reply has these, and
// tperrno and tpurcode as digits. The zero value is no head at all.
type Envelope struct {
	Kind    int `yaml:"kind"` // 0 or 1
	Service int `yaml:"service"`
	Corr    int `yaml:"corr"`
	Errno   int `yaml:"tperrno"`
	Urcode  int `yaml:"tpurcode"`
}

// Check reports the first width that cannot work.
func (e *Envelope) Check() error {
	switch {
	case *e == Envelope{}:
		return nil
	case e.Kind < 0 || e.Kind > 1 || e.Service < 1 || e.Service > maxService || e.Corr < 4 || e.Corr > 18 || e.Errno < 2 || e.Errno > 8 || e.Urcode < 0 || e.Urcode > 10:
		return errors.New("envelope: want kind 0 or 1, service 1 to 127, corr 4 to 18, tperrno 2 to 8, tpurcode 0 to 10")
	}
	return nil
}

// on reports whether there is a head.
func (e *Envelope) on() bool { return *e != Envelope{} }

const (
	maxService  = 127 // characters, Oracle Tuxedo 22c
	safeService = 15  // in old releases, which cut the rest off without a word
)

func checkService(name string) error {
	if name == "" || len(name) > maxService || name[0] == '.' {
		return fmt.Errorf("service %.130q: want 1 to 127 characters, no dot in front", name)
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' {
			return fmt.Errorf("service %q: want printable characters", name)
		}
	}
	return nil
}

// key writes the correlation number of call n.
func (e *Envelope) key(n uint64) string {
	wrap := uint64(1)
	for range e.Corr {
		wrap *= 10
	}
	return fmt.Sprintf("%0*d", e.Corr, n%wrap)
}

// seal puts the head in front of a body.
func (e *Envelope) seal(b Buffer, service, key string, body []byte) []byte {
	out := make([]byte, 0, e.Kind+e.Service+e.Corr+len(body))
	if e.Kind == 1 {
		out = append(out, b.kind())
	}
	return append(fmt.Appendf(out, "%-*s%s", e.Service, service, key), body...)
}

// answer is a reply without its head.
type answer struct {
	key, service string
	errno        Errno
	urcode       string // digits without zeros in front
	body         []byte
}

// open reads the head of a reply.
func (e *Envelope) open(b []byte) (a answer, err error) {
	var part func(n int) string
	part = func(n int) string {
		v := b[:n]
		b = b[n:]
		return string(v)
	}
	if need := e.Kind + e.Service + e.Corr + e.Errno + e.Urcode; len(b) < need {
		return a, fmt.Errorf("envelope: want at least %d bytes, got %d", need, len(b))
	}
	part(e.Kind)
	a.service, a.key = strings.TrimRight(part(e.Service), " "), part(e.Corr)
	n, err := strconv.ParseUint(strings.TrimSpace(part(e.Errno)), 10, 16)
	if err != nil {
		return a, errors.New("envelope: tperrno is no number")
	}
	a.errno = Errno(n)
	if a.urcode = strings.TrimLeft(strings.TrimSpace(part(e.Urcode)), "0"); a.urcode == "" {
		a.urcode = "0"
	}
	a.body = b
	return a, nil
}

// named is a framer whose errors say what else listens at the address.
type named struct{ protocol.Framer }

// Next cuts the first frame.
func (n named) Next(buf []byte) (protocol.Frame, int, error) {
	f, used, err := n.Framer.Next(buf)
	if err != nil {
		if what := foreign(buf); what != "" {
			err = fmt.Errorf("%w: this is %s, no socket gateway", err, what)
		}
	}
	return f, used, err
}

// foreign names a protocol by its first bytes, "" when it is none of those that
// are met here by mistake.
func foreign(b []byte) string {
	switch {
	case len(b) >= 4 && (binary.BigEndian.Uint32(b) == 0x91039858 || binary.BigEndian.Uint32(b) == 0x73903842):
		return "a Tuxedo domain or workstation port"
	case bytes.HasPrefix(b, []byte("HTTP/")):
		return "an HTTP server"
	case len(b) >= 2 && (b[0] == 0x15 || b[0] == 0x16) && b[1] == 3:
		return "TLS"
	}
	return ""
}
