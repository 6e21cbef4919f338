package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/keyfile"
	"qianzhi/protocol/gm"
)

func keyNewCommand() *cobra.Command {
	var o ringFlags
	var name, kind, out string
	c := &cobra.Command{
		Use:   "new",
		Short: "生成密钥, 存入密钥环或文件",
		Long: "生成密钥: sm2 (密钥对), sm4 (共享密钥; 16 字节, 也作双倍长 DES 主密钥) 或 component (密钥分量)。\n" +
			"存入密钥环 (--ring 与 --name), 或写成权限 600 的文件 (--out; 已有的文件不覆盖)。只显示公钥或校验值。",
		Example: "  qianzhi key new --kind component --out kek1\n" +
			"  qianzhi key new --kind sm2 --ring keys.ring --name gateway --component kek1 --component kek2",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if kind == "component" {
				return newComponent(cmd.OutOrStdout(), out)
			}
			e, err := keyfile.Generate(name, kind, time.Now())
			if err != nil {
				return err
			}
			switch {
			case (o.ring == "") == (out == ""):
				return errors.New("--ring 与 --out 应有一个")
			case out != "":
				err = fresh(out, []byte(e.Text+"\n"))
			default:
				err = o.change(func(r *keyfile.Ring) error { return r.Add(e) })
			}
			if err != nil {
				return err
			}
			return showKey(cmd.OutOrStdout(), &e)
		},
	}
	o.flags(c.Flags())
	c.Flags().StringVar(&name, "name", "", "在密钥环中的名称")
	c.Flags().StringVar(&kind, "kind", "sm2", "sm2, sm4 或 component")
	c.Flags().StringVar(&out, "out", "", "写成此文件")
	return c
}

func newComponent(w io.Writer, out string) error {
	text, err := keyfile.NewComponent()
	if err != nil {
		return err
	}
	if out == "" {
		return errors.New("--out: 缺少")
	}
	if err := fresh(out, []byte(text+"\n")); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "密钥分量 %s, 校验值 %s\n", out, componentCheck(text))
	return err
}

func componentCheck(text string) string {
	k, err := keyfile.NewKEK(text, strings.Repeat("0", len(text)))
	if err != nil {
		return ""
	}
	return k.Check()
}

// fresh writes a file that is not there yet.
func fresh(name string, content []byte) error {
	if err := absent(name); err != nil {
		return err
	}
	return keyfile.Write(name, content)
}

func absent(name string) error {
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("%s 已存在, 不覆盖", name)
	}
	return nil
}

// showKey writes what of a key may be shown: the public key, or a check value.
func showKey(w io.Writer, e *keyfile.Entry) error {
	line, err := keyLine(e)
	if err == nil {
		_, err = fmt.Fprintln(w, line)
	}
	return err
}

func keyLine(e *keyfile.Entry) (string, error) {
	r := keyfile.NewRing("", keyfile.KEK{})
	own := *e
	own.Name, own.Until = "x", time.Time{}
	if err := r.Add(own); err != nil {
		return "", err
	}
	k, err := r.Key("x", own.Made)
	switch {
	case err != nil:
		return "", err
	case k.Public != nil:
		pem, err := gm.MarshalPublicKey(k.Public)
		return strings.TrimSpace(string(pem)), err
	case k.SM4 != nil:
		return "校验值 " + keyfile.CheckValue(k.SM4), nil
	}
	return "共享文本", nil
}

func keyImportCommand() *cobra.Command {
	var o ringFlags
	var name, in, ca string
	c := &cobra.Command{
		Use:   "import",
		Short: "把密钥或证书收入密钥环",
		Long: "把密钥文件或证书收入密钥环: SM2 私钥或公钥 (PEM 或十六进制), SM4 密钥 (32 位十六进制), 共享文本 (text: 开头), 证书链 (PEM, 本证书在前)。\n" +
			"名称已有的: 本方私钥的证书附于该密钥; 对方的新公钥或新证书见 rotate。给出 --ca 时先验证证书链。",
		Example: "  qianzhi key import --ring keys.ring --name gateway --in gateway.crt --ca root.crt",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			e, err := keyfile.Import(name, in, time.Now())
			if err != nil {
				return err
			}
			if err := trusted(&e, ca); err != nil {
				return err
			}
			return o.change(func(r *keyfile.Ring) error {
				if old := r.Find(name); old != nil && old.Kind == "sm2" && e.Chain != "" {
					return attach(old, &e)
				}
				return r.Add(e)
			})
		},
	}
	o.flags(c.Flags())
	c.Flags().StringVar(&name, "name", "", "在密钥环中的名称")
	c.Flags().StringVar(&in, "in", "", "密钥或证书文件")
	c.Flags().StringVar(&ca, "ca", "", "根证书文件")
	return c
}

// trusted verifies the chain of an entry that has one, if roots are given.
func trusted(e *keyfile.Entry, ca string) error {
	trust, err := roots(ca)
	if err != nil || trust == nil {
		return err
	}
	chain, err := e.Certificates()
	if err != nil {
		return err
	}
	return gm.VerifyChain(chain, trust, time.Now())
}

// attach gives a private key its certificate, which must be of that key.
func attach(own, with *keyfile.Entry) error {
	chain, err := with.Certificates()
	if err != nil {
		return err
	}
	mine, err := keyLine(own)
	if err != nil {
		return err
	}
	theirs, err := gm.MarshalPublicKey(chain[0].Key())
	if err != nil {
		return err
	}
	if mine != strings.TrimSpace(string(theirs)) {
		return fmt.Errorf("证书不属于密钥 %q", own.Name)
	}
	own.Chain = with.Chain
	return nil
}
