package access

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Cost is what one password check takes (RFC 9106).
type Cost struct {
	Memory uint32 // KiB
	Passes uint32
	Lanes  uint8
}

// usual is the cost of RFC 9106's recommendation for little memory.
var usual = Cost{Memory: 64 << 10, Passes: 3, Lanes: 4}

// limits of what a hash in the file may ask for.
const (
	maxMemory = 1 << 20 // KiB
	maxPasses = 16
	saltSize  = 16
	hashSize  = 32
)

func (c Cost) check() error {
	if c.Memory < 8 || c.Memory > maxMemory || c.Passes < 1 || c.Passes > maxPasses || c.Lanes < 1 {
		return fmt.Errorf("argon2id cost out of range: %d KiB, %d passes, %d lanes", c.Memory, c.Passes, c.Lanes)
	}
	return nil
}

// hash makes the text that is stored of a password, in the PHC string format.
func (c Cost) hash(password string) (Secret, error) {
	salt := make([]byte, saltSize)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	sum := argon2.IDKey([]byte(password), salt, c.Passes, c.Memory, c.Lanes, hashSize)
	b64 := base64.RawStdEncoding.EncodeToString
	return Secret(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.Memory, c.Passes, c.Lanes, b64(salt), b64(sum))), nil
}

var errHash = errors.New("not an argon2id hash")

// parseHash takes a stored text apart.
func parseHash(s Secret) (c Cost, salt, sum []byte, err error) {
	part := strings.Split(string(s), "$")
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" || part[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, errHash
	}
	if n, err := fmt.Sscanf(part[3], "m=%d,t=%d,p=%d", &c.Memory, &c.Passes, &c.Lanes); err != nil || n != 3 {
		return c, nil, nil, errHash
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(part[4])
	sum, err2 := base64.RawStdEncoding.DecodeString(part[5])
	if errors.Join(err1, err2) != nil || len(salt) < 8 || len(salt) > 64 || len(sum) != hashSize {
		return c, nil, nil, errHash
	}
	return c, salt, sum, c.check()
}

// matches reports whether the password is the stored one; it compares in
// constant time.
func matches(stored Secret, password string) bool {
	c, salt, sum, err := parseHash(stored)
	if err != nil {
		return false
	}
	got := argon2.IDKey([]byte(password), salt, c.Passes, c.Memory, c.Lanes, hashSize)
	return subtle.ConstantTimeCompare(got, sum) == 1
}

// the lengths of a password in characters.
const (
	minPassword = 12
	maxPassword = 128
)

// goodPassword refuses what is short, plain or the user's own name.
func goodPassword(password string, u *User) error {
	n := utf8.RuneCountInString(password)
	switch {
	case !utf8.ValidString(password) || n < minPassword || n > maxPassword:
		return fmt.Errorf("密码应为 %d 至 %d 个字符", minPassword, maxPassword)
	case classes(password) < 3:
		return errors.New("密码应含大写、小写、数字、符号中的至少三类")
	case holds(password, u.Name), holds(password, u.Person):
		return errors.New("密码不得含用户名或工号")
	}
	return nil
}

// holds reports whether a password is made of a name. A name of two or three
// letters stands in many words.
func holds(password, name string) bool {
	name = fold(name)
	return len(name) > 3 && strings.Contains(fold(password), name)
}

func classes(s string) int {
	var seen [4]bool
	for _, r := range s {
		switch {
		case unicode.IsUpper(r):
			seen[0] = true
		case unicode.IsLower(r):
			seen[1] = true
		case unicode.IsDigit(r):
			seen[2] = true
		default:
			seen[3] = true
		}
	}
	n := 0
	for _, has := range seen {
		if has {
			n++
		}
	}
	return n
}
