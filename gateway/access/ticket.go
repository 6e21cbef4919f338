package access

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Tickets are the logins of a command line, which ends after every command: a
// ticket stands for password and code until it expires. The holder keeps the
// token; the folder keeps one file for each, named by the token's SHA-256.
type Tickets struct {
	Users *Directory
	Dir   string
	Life  time.Duration
}

type ticket struct {
	Name        string    `json:"name"`
	Until       time.Time `json:"until"`
	Credentials string    `json:"credentials"` // SHA-256 over what the login was proved with
}

// Issue gives a ticket to somebody who has just logged in and clears away those
// that have expired.
func (t Tickets) Issue(p Principal) (string, error) {
	u, found, err := t.Users.find(p.name)
	switch {
	case err != nil || !found:
		return "", errors.Join(err, ErrNoSession)
	case p.fresh:
		return "", ErrRight
	}
	if err := os.MkdirAll(t.Dir, 0o700); err != nil {
		return "", err
	}
	if err := t.sweep(); err != nil {
		return "", err
	}
	token := random()
	b, err := json.Marshal(ticket{p.name, t.Users.o.Now().Add(t.Life), proof(&u)})
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(t.file(token), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	return token, errors.Join(err, f.Close())
}

// Redeem returns who a ticket belongs to, as the users' file says now. Somebody
// who was locked, removed or given another password or code has none left.
func (t Tickets) Redeem(token, door string) (Principal, error) {
	b, err := os.ReadFile(t.file(token))
	if errors.Is(err, fs.ErrNotExist) {
		return Principal{}, ErrNoSession
	}
	var k ticket
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err != nil {
		return Principal{}, err
	}
	u, found, err := t.Users.find(k.Name)
	switch {
	case err != nil:
		return Principal{}, err
	case !found, u.Locked != "", !t.Users.o.Now().Before(k.Until), !Same(k.Credentials, proof(&u)):
		return Principal{}, errors.Join(ErrNoSession, t.End(token))
	}
	return t.Users.principal(&u, door), nil
}

// End takes a ticket back.
func (t Tickets) End(token string) error {
	if err := os.Remove(t.file(token)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (t Tickets) file(token string) string {
	sum := sha256.Sum256([]byte(token))
	return filepath.Join(t.Dir, hex.EncodeToString(sum[:])+".json")
}

// sweep removes what has expired.
func (t Tickets) sweep() error {
	names, err := filepath.Glob(filepath.Join(t.Dir, "*.json"))
	for _, n := range names {
		var k ticket
		b, rerr := os.ReadFile(n)
		if rerr == nil && json.Unmarshal(b, &k) == nil && t.Users.o.Now().Before(k.Until) {
			continue
		}
		if rerr := os.Remove(n); !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return err
}

// proof is a digest of what a login is proved with.
func proof(u *User) string {
	sum := sha256.Sum256([]byte("ticket\x00" + string(u.Password) + "\x00" + string(u.TOTP)))
	return hex.EncodeToString(sum[:])
}
