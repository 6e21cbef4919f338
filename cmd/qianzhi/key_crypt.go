package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/keyfile"
	"qianzhi/protocol"
	"qianzhi/protocol/gm"
	"qianzhi/protocol/secure"
)

// cryptFlags are those of encrypt and decrypt.
type cryptFlags struct {
	keyFlags
	in, out, format string
}

func (o *cryptFlags) flags(c *cobra.Command) {
	o.keyFlags.flags(c)
	c.Flags().StringVar(&o.in, "in", "", "输入文件")
	c.Flags().StringVar(&o.out, "out", "", "输出文件, 权限 600")
	c.Flags().StringVar(&o.format, "format", "", "asn1, c1c3c2, c1c2c3, bare-c1c3c2, bare-c1c2c3, envelope, gcm 或 cbc")
}

// crypt turns what r gives into what w gets.
type crypt func(key secure.Key, format string, w io.Writer, r io.Reader) error

// run writes the output whole or not at all.
func (o *cryptFlags) run(do crypt) error {
	key, err := o.read()
	if err != nil {
		return err
	}
	in, err := os.Open(o.in)
	if err != nil {
		return err
	}
	defer in.Close()
	if o.out == "" {
		return errors.New("--out: 缺少")
	}
	out, err := keyfile.Create(o.out)
	if err != nil {
		return err
	}
	defer out.Abandon()
	format := o.format
	switch {
	case format == "" && key.SM4 != nil:
		format = "gcm"
	case format == "":
		format = "asn1"
	}
	if err := do(key, format, out, in); err != nil {
		return err
	}
	return out.Commit()
}

// Limits of files that are held in memory, in bytes.
const (
	maxDirect = 4 << 10  // under SM2 itself
	maxShared = 64 << 20 // under a shared SM4 key
)

func encryptWith(key secure.Key, format string, w io.Writer, r io.Reader) error {
	if _, shared := sm4Options(format); shared {
		return throughLink(key, format, w, r, protocol.Envelope.Seal)
	}
	if key.Public == nil {
		return errors.New("此形式须用 SM2 公钥")
	}
	if format == "envelope" {
		return key.Public.SealFile(w, r)
	}
	plain, err := whole(r, maxDirect)
	if err != nil {
		return err
	}
	sealed, err := key.Public.EncryptAs(gm.CipherForm(format), plain)
	if err == nil {
		_, err = w.Write(sealed)
	}
	return err
}

func decryptWith(key secure.Key, format string, w io.Writer, r io.Reader) error {
	if _, shared := sm4Options(format); shared {
		return refused(throughLink(key, format, w, r, protocol.Envelope.Open))
	}
	if key.Private == nil {
		return errors.New("此形式须用 SM2 私钥")
	}
	if format == "envelope" {
		return refused(key.Private.OpenFile(w, r))
	}
	if !gm.CipherForm(format).Known() {
		return fmt.Errorf("--format: 没有 %q", format)
	}
	sealed, err := whole(r, maxDirect+256)
	if err != nil {
		return err
	}
	plain, err := key.Private.DecryptAs(gm.CipherForm(format), sealed)
	if err != nil {
		return refused(err)
	}
	_, err = w.Write(plain)
	return err
}

// throughLink treats the file as the body of a message.
func throughLink(key secure.Key, format string, w io.Writer, r io.Reader, do func(protocol.Envelope, []byte, *protocol.Frame) ([]byte, error)) error {
	o, _ := sm4Options(format)
	c, err := secure.NewCipher(o, secure.Keys{Ring: secure.Ring{"key": key}, Roles: map[string]string{"key": "key"}}, "")
	if err != nil {
		return err
	}
	body, err := whole(r, maxShared)
	if err != nil {
		return err
	}
	out, err := do(c, nil, &protocol.Frame{Body: body})
	if err == nil {
		_, err = w.Write(out)
	}
	return err
}

// refused gives what does not open its exit status.
func refused(err error) error {
	var e *protocol.Error
	if errors.Is(err, gm.ErrDecrypt) || errors.Is(err, gm.ErrSealedFile) || errors.As(err, &e) {
		return &exitError{code: 1, err: errors.New("解不开: 密钥或形式不对, 或文件被改动")}
	}
	return err
}

func keyEncryptCommand() *cobra.Command {
	var o cryptFlags
	c := &cobra.Command{
		Use:   "encrypt",
		Short: "加密文件",
		Long: "加密文件。--key 是对方的公钥或证书, 或共享的 SM4 密钥; --format:\n" +
			"  asn1 (公钥缺省; 与 openssl pkeyutl 相同), c1c3c2, c1c2c3, bare-c1c3c2, bare-c1c2c3: SM2 加密, 用于短文件\n" +
			"  envelope: 数字信封, SM2 加密随机 SM4 密钥, 分块 SM4-GCM, 文件大小不限\n" +
			"  gcm (SM4 密钥缺省): 随机数 12 字节、密文、校验 16 字节; cbc: 随机 IV 16 字节在前, PKCS7",
		Example: "  qianzhi key encrypt --key bank.pub.pem --format envelope --in day.txt --out day.enc",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return o.run(encryptWith) },
	}
	o.flags(c)
	return c
}

func keyDecryptCommand() *cobra.Command {
	var o cryptFlags
	c := &cobra.Command{
		Use:     "decrypt",
		Short:   "解密文件",
		Long:    "解密文件, 形式与 encrypt 相同; --key 是自己的私钥或共享的 SM4 密钥。解不开时不留任何输出, 退出码 1。",
		Example: "  qianzhi key decrypt --key k.pem --format envelope --in day.enc --out day.txt",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return o.run(decryptWith) },
	}
	o.flags(c)
	return c
}

// sm4Options are the forms under a shared key as a link would have them.
func sm4Options(format string) (secure.CipherOptions, bool) {
	o := secure.CipherOptions{Mode: format, Key: "key"}
	return o, format == "gcm" || format == "cbc"
}

// whole reads a file that is to be held in memory.
func whole(r io.Reader, limit int64) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("文件超过 %d 字节; 用 --format envelope", limit)
	}
	return b.Bytes(), err
}
