package soap

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"time"

	"qianzhi/protocol"
)

// Security is a user name token of WS-Security 1.0 (OASIS 200401). With Digest
// the password itself does not leave: base64 of SHA-1 over nonce, time and
// password does, as that standard has it.
type Security struct {
	User     string
	Password string
	Digest   bool
}

const (
	oasis   = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
	wsse    = oasis + "wssecurity-secext-1.0.xsd"
	wsu     = oasis + "wssecurity-utility-1.0.xsd"
	profile = oasis + "username-token-profile-1.0#"
	base64n = oasis + "soap-message-security-1.0#Base64Binary"
)

// secured is a codec that puts a token into the header of every envelope.
type secured struct {
	protocol.Codec
	token Security
	now   func() time.Time
}

// Append writes the record with the token in it.
func (s *secured) Append(dst []byte, rec *protocol.Record) ([]byte, error) {
	start := len(dst)
	dst, err := s.Codec.Append(dst, rec)
	if err != nil {
		return dst, err
	}
	at, prefix, header, err := place(dst[start:])
	if err != nil {
		return dst, err
	}
	part, err := s.element(prefix)
	if err != nil {
		return dst, err
	}
	if !header {
		part = "<" + prefix + "Header>" + part + "</" + prefix + "Header>"
	}
	nodes := rec.Nodes()
	for i := range nodes {
		if int(nodes[i].From) >= at {
			nodes[i].From += uint32(len(part))
		}
	}
	tail := append([]byte(part), dst[start+at:]...)
	return append(dst[:start+at], tail...), nil
}

// place returns where the token goes in an envelope that our own codec wrote,
// the prefix of its names with a colon, and whether a header is there.
func place(body []byte) (at int, prefix string, header bool, err error) {
	_, root, _ := bytes.Cut(body, []byte("?><"))
	name, _, ok := bytes.Cut(root, []byte("Envelope"))
	end := bytes.IndexByte(root, '>')
	if !ok || end < 0 || bytes.ContainsAny(name, " <>") || root[end-1] == '/' {
		return 0, "", false, errors.New("soap: security: the root of the link's messages is no envelope")
	}
	at = len(body) - len(root) + end + 1
	open := []byte("<" + string(name) + "Header>")
	if bytes.HasPrefix(body[at:], open) {
		return at + len(open), string(name), true, nil
	}
	return at, string(name), false, nil
}

func (s *secured) element(prefix string) (string, error) {
	var b bytes.Buffer
	b.WriteString(`<wsse:Security xmlns:wsse="` + wsse + `" xmlns:wsu="` + wsu + `" ` + prefix + `mustUnderstand="1"><wsse:UsernameToken><wsse:Username>`)
	if err := xml.EscapeText(&b, []byte(s.token.User)); err != nil {
		return "", err
	}
	if !s.token.Digest {
		b.WriteString(`</wsse:Username><wsse:Password Type="` + profile + `PasswordText">`)
		err := xml.EscapeText(&b, []byte(s.token.Password))
		b.WriteString(`</wsse:Password></wsse:UsernameToken></wsse:Security>`)
		return b.String(), err
	}
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return "", err
	}
	created := s.now().UTC().Format("2006-01-02T15:04:05.000Z")
	b.WriteString(`</wsse:Username><wsse:Password Type="` + profile + `PasswordDigest">` + digest(nonce, created, s.token.Password) +
		`</wsse:Password><wsse:Nonce EncodingType="` + base64n + `">` + base64.StdEncoding.EncodeToString(nonce) + `</wsse:Nonce><wsu:Created>` + created +
		`</wsu:Created></wsse:UsernameToken></wsse:Security>`)
	return b.String(), nil
}

// digest is the password as the profile digests it.
func digest(nonce []byte, created, password string) string {
	h := sha1.New()
	h.Write(nonce)
	h.Write([]byte(created + password))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// ascii reports whether s is written the same way in every encoding of a link.
func ascii(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
