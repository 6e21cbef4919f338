package statement

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/gm"
	"qianzhi/protocol/secure"
	"qianzhi/reconcile"
)

// Inbox is a folder in which a party's files arrive, as a reconcile.Source.
type Inbox struct {
	Spec  *Spec
	Dir   string
	Party reconcile.Party
	Keys  secure.Keys             // that signatures are checked with
	Limit func(pay.Day) time.Time // when the day's file is due; nil: no limit
	Name  string                  // of one given file, instead of the day's
}

// Fetch finds the file of the day. A file whose marker is missing is still
// arriving.
func (i *Inbox) Fetch(_ context.Context, day pay.Day) (in reconcile.Input, err error) {
	name := i.Name
	if name == "" {
		found, err := i.Spec.Find(i.Dir, day)
		if err != nil {
			return in, err
		}
		name = filepath.Join(i.Dir, i.Spec.File(day))
		if len(found) > 0 {
			name = found[len(found)-1]
		}
	}
	in = reconcile.Input{Name: name, Path: name}
	if i.Limit != nil {
		in.Limit = i.Limit(day)
	}
	if i.Spec.Marker != "" {
		if _, err := os.Stat(beside(i.Spec.Marker, name)); errors.Is(err, fs.ErrNotExist) {
			in.Path = ""
			if _, err := os.Stat(name); err == nil {
				in.State = reconcile.Arriving
			}
			return in, nil
		}
	}
	if in.Attested, err = attested(name, day); err != nil {
		return in, err
	}
	in.Open = func(path string) (reconcile.Opened, error) { return i.open(path, name, day) }
	return in, nil
}

// open verifies what stands beside the file, then believes what is in it.
func (i *Inbox) open(path, name string, day pay.Day) (o reconcile.Opened, err error) {
	if o.Warning, err = i.Spec.trust(path, name, i.Keys); err != nil {
		return o, err
	}
	t, err := i.Spec.Open(path, day, i.Party)
	if err != nil {
		return o, err
	}
	o.Table, o.Count, o.Empty, o.Checks = t, t.Lines(), t.Empty(), i.Spec.Checks()
	return o, nil
}

// beside names a file that belongs to a statement.
func beside(pattern, name string) string {
	base := filepath.Base(name)
	stem := strings.TrimSuffix(base, filepath.Ext(base))
	return filepath.Join(filepath.Dir(name), strings.NewReplacer("{name}", base, "{stem}", stem).Replace(pattern))
}

// attested returns who vouches that a day is empty: the file NAME.attest says
// the day and a name.
func attested(name string, day pay.Day) (string, error) {
	b, err := os.ReadFile(name + ".attest")
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	date, who, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	if date != day.String() || strings.TrimSpace(who) == "" {
		return "", nil
	}
	return strings.TrimSpace(who), nil
}

// trust checks checksum and signature of a copy against what came beside the
// original.
func (s *Spec) trust(path, name string, keys secure.Keys) (warning string, err error) {
	if c := s.Checksum; c != nil {
		claim, err := os.ReadFile(beside(c.File, name))
		if err != nil {
			return "", untrusted("checksum", c.Kind+" in "+beside(c.File, name), "none")
		}
		sum, err := sumOf(c.Kind, path)
		if err != nil {
			return "", err
		}
		first, _, _ := strings.Cut(strings.TrimSpace(string(claim)), " ")
		if !strings.EqualFold(first, sum) {
			return "", untrusted("checksum", "the "+c.Kind+" that was sent", sum)
		}
	}
	if s.Signature == nil {
		return "", nil
	}
	sig, err := os.ReadFile(beside(s.Signature.File, name))
	if errors.Is(err, fs.ErrNotExist) && s.Signature.Unsigned {
		return "无签名", nil
	}
	if err != nil {
		return "", untrusted("signature", "a signature in "+beside(s.Signature.File, name), "none")
	}
	return "", s.Signature.verify(path, sig, keys)
}

func untrusted(field, want, got string) error {
	return &protocol.Error{Class: protocol.ClassAuth, Path: field, Offset: -1, Want: want, Got: got}
}

func sumOf(kind, path string) (string, error) {
	h := map[string]func() hash.Hash{"md5": md5.New, "sha1": sha1.New, "sha256": sha256.New, "sm3": gm.NewSM3}[kind]()
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// verify checks an SM2 signature over the file.
func (g *Signature) verify(path string, sig []byte, keys secure.Keys) error {
	var err error
	switch g.Encoding {
	case "hex":
		sig, err = hex.DecodeString(string(bytes.TrimSpace(sig)))
	case "base64":
		sig, err = base64.StdEncoding.DecodeString(string(bytes.TrimSpace(sig)))
	}
	if err != nil {
		return untrusted("signature", g.Encoding, "other text")
	}
	key, err := keys.Public(g.Key)
	if err != nil {
		return err
	}
	msg, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	user := []byte(g.User)
	if g.User == "" {
		user = []byte("1234567812345678")
	}
	check := key.Verify
	if g.Form == "raw" {
		check = key.VerifyRaw
	}
	if err := check(user, msg, sig); err != nil {
		return untrusted("signature", "the signature of "+g.Key, "another one")
	}
	return nil
}

// Test reads a file as a night run would and says what it found.
func (s *Spec) Test(name string, day pay.Day, keys secure.Keys) (string, error) {
	i := Inbox{Spec: s, Name: name, Party: reconcile.Bank, Keys: keys}
	o, err := i.open(name, name, day)
	if err != nil {
		return "", err
	}
	t := o.Table.(*Table)
	defer t.Close()
	lines, err := t.All()
	if err != nil {
		return "", err
	}
	var total pay.Amount
	n := 0
	for i := range lines {
		if lines[i].Effect == reconcile.Charged {
			n++
			if total += lines[i].Amount; lines[i].Out {
				total -= 2 * lines[i].Amount
			}
		}
	}
	return fmt.Sprintf("%d 行, 有效 %d 笔 %s 元, %s", len(lines), n, total.Yuan(), strings.TrimSpace(s.Checks()+" "+o.Warning)), nil
}
