package keyfile

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"qianzhi/protocol/gm"
)

// KEK is the SM4 key-encryption key of a ring: two components of 16 bytes
// combined by XOR, so that neither of two people knows it. It prints as its
// check value only.
type KEK struct{ key [gm.BlockSize]byte }

// Format writes the check value, whatever the verb.
func (k KEK) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "KEK "+k.Check()) }

// Check is the check value: the first three bytes of zeros encrypted under the
// key, as hex digits.
func (k KEK) Check() string { return CheckValue(k.key[:]) }

// CheckValue is the check value of an SM4 key of 16 bytes, or of a component of
// one: six hex digits.
func CheckValue(key []byte) string {
	block, err := gm.NewSM4(key)
	if err != nil {
		return ""
	}
	var out [gm.BlockSize]byte
	block.Encrypt(out[:], out[:])
	return strings.ToUpper(hex.EncodeToString(out[:3]))
}

// NewKEK combines two components of 32 hex digits. Equal ones are refused:
// their sum is known to everybody.
func NewKEK(one, two string) (k KEK, err error) {
	for i, text := range []string{one, two} {
		b, err := hex.DecodeString(strings.TrimSpace(text))
		if err != nil || len(b) != len(k.key) {
			return KEK{}, fmt.Errorf("密钥分量 %d: 应为 32 位十六进制数字", i+1)
		}
		for j := range b {
			k.key[j] ^= b[j]
		}
		clear(b)
	}
	if k.key == [gm.BlockSize]byte{} {
		return KEK{}, errors.New("两个密钥分量相同")
	}
	return k, nil
}

// NewComponent draws a component, as 32 hex digits.
func NewComponent() (string, error) {
	var b [gm.BlockSize]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	return strings.ToUpper(hex.EncodeToString(b[:])), nil
}

// Names of the environment variables that hold the components, or, with _FILE
// behind them, the names of files of mode 600 that do.
const (
	EnvOne = "QIANZHI_KEK_1"
	EnvTwo = "QIANZHI_KEK_2"
)

// Components says where the two components come from: files, else the
// environment, else people at a terminal.
type Components struct {
	Files  []string                          // two, or none
	Env    func(name string) string          // os.Getenv
	Prompt func(what string) (string, error) // Ask; nil: there is nobody to ask
}

// KEK fetches both components and combines them.
func (c Components) KEK() (KEK, error) {
	if len(c.Files) != 0 && len(c.Files) != 2 {
		return KEK{}, errors.New("密钥分量文件应有两个")
	}
	var parts [2]string
	for i, env := range []string{EnvOne, EnvTwo} {
		var err error
		switch {
		case len(c.Files) == 2:
			parts[i], err = secretFile(c.Files[i])
		case c.Env(env) != "":
			parts[i] = c.Env(env)
		case c.Env(env+"_FILE") != "":
			parts[i], err = secretFile(c.Env(env + "_FILE"))
		case c.Prompt != nil:
			parts[i], err = c.Prompt(fmt.Sprintf("密钥分量 %d (32 位十六进制, 不回显): ", i+1))
		default:
			err = fmt.Errorf("没有密钥分量: 设 %s 与 %s, 或 %s_FILE 与 %s_FILE", EnvOne, EnvTwo, EnvOne, EnvTwo)
		}
		if err != nil {
			return KEK{}, err
		}
	}
	return NewKEK(parts[0], parts[1])
}

// secretFile reads a file that nobody else may read.
func secretFile(name string) (string, error) {
	text, mode, err := read(name, maxSize)
	if err == nil && mode.Perm()&0o077 != 0 {
		err = tooOpen(name, mode)
	}
	return string(text), err
}

// Ask reads a line from the terminal without showing it.
func Ask(what string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("没有终端可输入密钥分量: 设 %s 与 %s, 或用 --component", EnvOne, EnvTwo)
	}
	defer tty.Close()
	if _, err := io.WriteString(tty, what); err != nil {
		return "", err
	}
	line, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(tty)
	return string(line), err
}
