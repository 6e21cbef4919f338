package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/keyfile"
	"qianzhi/protocol/gm"
	"qianzhi/protocol/secure"
)

func keyCSRCommand() *cobra.Command {
	var o keyFlags
	var subject, out string
	c := &cobra.Command{
		Use:     "csr",
		Short:   "写证书请求 (PKCS #10, SM2 与 SM3)",
		Example: "  qianzhi key csr --key gateway.pem --subject /C=CN/O=供电公司/CN=qianzhi --out gateway.csr",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := o.private()
			if err != nil {
				return err
			}
			request, err := gm.NewRequest(key, subject)
			if err != nil {
				return err
			}
			if out == "" {
				_, err = cmd.OutOrStdout().Write(request)
				return err
			}
			return keyfile.Write(out, request)
		},
	}
	o.flags(c)
	c.Flags().StringVar(&subject, "subject", "", "主体, 如 /C=CN/O=…/CN=…")
	c.Flags().StringVar(&out, "out", "", "输出文件; 缺省为标准输出")
	return c
}

// signFlags are those of sign and verify.
type signFlags struct {
	keyFlags
	in, sig, format, id string
}

func (o *signFlags) flags(c *cobra.Command) {
	o.keyFlags.flags(c)
	c.Flags().StringVar(&o.in, "in", "", "文件")
	c.Flags().StringVar(&o.format, "format", "der", "签名的形式: der, 或 raw (r 与 s 共 64 字节)")
	c.Flags().StringVar(&o.id, "id", gm.DefaultID, "用户标识 (OpenSSL 的 distid)")
}

func (o *signFlags) check() error {
	if o.format != "der" && o.format != "raw" {
		return fmt.Errorf("--format: 应为 der 或 raw, 而不是 %q", o.format)
	}
	return nil
}

func keySignCommand() *cobra.Command {
	var o signFlags
	c := &cobra.Command{
		Use:   "sign",
		Short: "对文件作 SM2 签名 (SM3 摘要)",
		Example: "  qianzhi key sign --key k.pem --in day.txt --out day.sig\n" +
			"  openssl pkeyutl -verify -rawin -digest sm3 -pkeyopt distid:1234567812345678 -inkey k.pem -in day.txt -sigfile day.sig",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := o.check(); err != nil {
				return err
			}
			key, err := o.private()
			if err != nil {
				return err
			}
			f, err := os.Open(o.in)
			if err != nil {
				return err
			}
			defer f.Close()
			sig, err := key.SignReader([]byte(o.id), f)
			if err == nil && o.format == "raw" {
				sig, err = gm.RawSignature(sig)
			}
			if err != nil {
				return err
			}
			return os.WriteFile(o.sig, sig, 0o644)
		},
	}
	o.flags(c)
	c.Flags().StringVar(&o.sig, "out", "", "签名文件")
	return c
}

func keyVerifyCommand() *cobra.Command {
	var o signFlags
	c := &cobra.Command{
		Use:     "verify",
		Short:   "验证文件的 SM2 签名",
		Long:    "验证文件的 SM2 签名。--key 可以是公钥、证书或私钥。退出码: 0 签名正确, 1 不正确, 2 其他错误。",
		Example: "  qianzhi key verify --key bank.pub.pem --in day.txt --sig day.sig --format raw",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			key, err := o.read()
			if err != nil {
				return err
			}
			err = o.verify(key)
			if errors.Is(err, gm.ErrSignature) {
				return &exitError{code: 1, err: errors.New("签名不正确")}
			}
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), "签名正确")
			}
			return err
		},
	}
	o.flags(c)
	c.Flags().StringVar(&o.sig, "sig", "", "签名文件")
	return c
}

// verify checks the signature with the key, then with those it renewed.
func (o *signFlags) verify(key secure.Key) error {
	sig, err := os.ReadFile(o.sig)
	if err != nil {
		return err
	}
	if o.format == "raw" {
		if sig, err = gm.DERSignature(sig); err != nil {
			return err
		}
	}
	f, err := os.Open(o.in)
	if err != nil {
		return err
	}
	defer f.Close()
	err = fmt.Errorf("%s 不是 SM2 密钥", o.key)
	for k := &key; k != nil && k.Public != nil; k = k.Former {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err = k.Public.VerifyReader([]byte(o.id), f, sig); err == nil {
			return nil
		}
	}
	return err
}
