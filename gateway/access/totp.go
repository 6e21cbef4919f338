package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" // RFC 6238 as every authenticator implements it
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"time"
)

// the parameters that every authenticator knows (RFC 6238).
const (
	stepSeconds = 30
	digits      = 6
	modulus     = 1_000_000
	skew        = 1 // steps before and after now that are accepted
	secretSize  = 20
)

func newTOTP() (Secret, error) {
	b := make([]byte, secretSize)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return Secret(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b)), nil
}

// Code returns the six digits of a secret (base32 without padding) at a time.
func Code(secret Secret, at time.Time) (string, error) {
	key, err := totpKey(secret)
	if err != nil {
		return "", err
	}
	return hotp(key, step(at)), nil
}

func totpKey(secret Secret) ([]byte, error) {
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(secret))
	if err != nil || len(key) < 16 || len(key) > 64 {
		return nil, fmt.Errorf("not a TOTP secret of 16 to 64 bytes in base32")
	}
	return key, nil
}

func step(at time.Time) int64 { return at.Unix() / stepSeconds }

// hotp is RFC 4226.
func hotp(key []byte, counter int64) string {
	m := hmac.New(sha1.New, key)
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(counter)))
	sum := m.Sum(nil)
	at := sum[len(sum)-1] & 0x0f
	n := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", digits, n%modulus)
}

// accept finds the step whose code was given. A step that was accepted before,
// or is older than one that was, is not accepted again.
func accept(secret Secret, code string, at time.Time, last int64) (int64, bool) {
	key, err := totpKey(secret)
	if err != nil || len(code) != digits {
		return 0, false
	}
	found := int64(-1)
	for s := step(at) - skew; s <= step(at)+skew; s++ {
		if same := subtle.ConstantTimeCompare([]byte(hotp(key, s)), []byte(code)) == 1; same && s > last {
			found = s
		}
	}
	return found, found >= 0
}

// Enrolment is the text that authenticators read, as it is or as a QR code.
func Enrolment(u User) string {
	v := url.Values{"secret": {string(u.TOTP)}, "issuer": {"qianzhi"}, "digits": {fmt.Sprint(digits)}, "period": {fmt.Sprint(stepSeconds)}}
	return "otpauth://totp/" + url.PathEscape("qianzhi:"+u.Name) + "?" + v.Encode()
}
