package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"qianzhi/cmd/internal/keyfile"
	"qianzhi/protocol/gm"
	"qianzhi/protocol/secure"
)

func keyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "国密密钥: 生成、证书请求、密钥环、签名与加密",
		Long: "国密密钥: 生成、证书请求、密钥环、签名与加密。\n\n" +
			"密钥环是一个文件, 以密钥加密密钥封存; 后者由两个分量异或而成, 由两人各自输入, 或取自文件 (--component, 两次)\n" +
			"或环境变量 QIANZHI_KEK_1 与 QIANZHI_KEK_2 (或 QIANZHI_KEK_1_FILE 与 QIANZHI_KEK_2_FILE 所指文件)。\n" +
			"配置文件 keys 一节的 ring 指向它。私钥与密钥环文件的权限为 600, 宽于此一律拒绝。\n\n" +
			"--key 是密钥文件; 给出 --ring 时是环中的名称。退出码: 0 正常, 1 验证未通过或有须处理之事, 2 用法或其他错误。",
	}
	c.AddCommand(keyNewCommand(), keyCSRCommand(), keyImportCommand(), keyListCommand(), keyRotateCommand(), keySealCommand(), keyCheckCommand(),
		keySignCommand(), keyVerifyCommand(), keyEncryptCommand(), keyDecryptCommand())
	return c
}

// ringFlags say where the key ring is and who opens it.
type ringFlags struct {
	ring       string
	components []string
}

func (o *ringFlags) flags(f *pflag.FlagSet) {
	f.StringVar(&o.ring, "ring", "", "密钥环文件")
	f.StringArrayVar(&o.components, "component", nil, "密钥分量文件, 给两次; 缺省取环境变量, 再无则由两人输入")
}

func (o *ringFlags) kek() (keyfile.KEK, error) {
	return keyfile.Components{Files: o.components, Env: os.Getenv, Prompt: keyfile.Ask}.KEK()
}

// open opens the ring.
func (o *ringFlags) open() (*keyfile.Ring, error) {
	if o.ring == "" {
		return nil, errors.New("--ring: 缺少")
	}
	kek, err := o.kek()
	if err != nil {
		return nil, err
	}
	return keyfile.OpenRing(o.ring, kek)
}

// change opens the ring, changes it and writes it back.
func (o *ringFlags) change(do func(*keyfile.Ring) error) error {
	r, err := o.open()
	if err != nil {
		return err
	}
	if err := do(r); err != nil {
		return err
	}
	return r.Save()
}

// keyFlags name one key: a file, or an entry of a ring.
type keyFlags struct {
	ringFlags
	key string
}

func (o *keyFlags) flags(c *cobra.Command) {
	o.ringFlags.flags(c.Flags())
	c.Flags().StringVar(&o.key, "key", "", "密钥文件, 或密钥环中的名称")
}

func (o *keyFlags) read() (secure.Key, error) {
	if o.key == "" {
		return secure.Key{}, errors.New("--key: 缺少")
	}
	if o.ring == "" {
		return keyfile.Read(o.key)
	}
	r, err := o.open()
	if err != nil {
		return secure.Key{}, err
	}
	return r.Key(o.key, time.Now())
}

// private reads a key that must be an SM2 private key.
func (o *keyFlags) private() (*gm.PrivateKey, error) {
	k, err := o.read()
	if err == nil && k.Private == nil {
		err = fmt.Errorf("%s 不是 SM2 私钥", o.key)
	}
	return k.Private, err
}

// roots reads the certificates that are trusted, none without a file.
func roots(file string) ([]*gm.Certificate, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return gm.ParseCertificates(text)
}
