package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/keyfile"
)

func keyListCommand() *cobra.Command {
	var o ringFlags
	var output string
	c := &cobra.Command{
		Use:     "list",
		Short:   "列出密钥环中的密钥, 不显示任何秘密",
		Example: "  qianzhi key list --ring keys.ring -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := o.open()
			if err != nil {
				return err
			}
			rows, err := keyRows(r)
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), rows)
			}
			return listKeys(cmd.OutOrStdout(), rows)
		},
	}
	o.flags(c.Flags())
	c.Flags().StringVarP(&output, "output", "o", "text", "text 或 json")
	return c
}

// keyRow is a key as list shows it.
type keyRow struct {
	Name    string    `json:"name"`
	Kind    string    `json:"kind"`
	Made    time.Time `json:"made"`
	Until   time.Time `json:"until,omitzero"`       // of a renewed key
	Subject string    `json:"subject,omitempty"`    // of its certificate
	Expires time.Time `json:"expires,omitzero"`     // of its certificate
	Check   string    `json:"check,omitempty"`      // check value of a shared key
	Public  string    `json:"public_key,omitempty"` // PEM
}

func keyRows(r *keyfile.Ring) ([]keyRow, error) {
	rows := []keyRow{}
	for i := range r.Entries {
		e := &r.Entries[i]
		row := keyRow{Name: e.Name, Kind: e.Kind, Made: e.Made, Until: e.Until}
		line, err := keyLine(e)
		if err != nil {
			return nil, err
		}
		if check, ok := strings.CutPrefix(line, "校验值 "); ok {
			row.Check = check
		} else if strings.HasPrefix(line, "-----BEGIN PUBLIC") {
			row.Public = line
		}
		chain, err := e.Certificates()
		if err != nil {
			return nil, err
		}
		if chain != nil {
			row.Subject = chain[0].Subject()
			_, row.Expires = chain[0].Validity()
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func listKeys(w io.Writer, rows []keyRow) error {
	for _, r := range rows {
		notes := []string{r.Made.Local().Format("2006-01-02")}
		if r.Check != "" {
			notes = append(notes, "校验值 "+r.Check)
		}
		if r.Subject != "" {
			notes = append(notes, r.Subject, "证书至 "+r.Expires.Local().Format("2006-01-02"))
		}
		if !r.Until.IsZero() {
			notes = append(notes, "旧密钥, 并用至 "+r.Until.Local().Format("2006-01-02 15:04"))
		}
		if _, err := fmt.Fprintf(w, "%-20s %-8s %s\n", r.Name, r.Kind, strings.Join(notes, "  ")); err != nil {
			return err
		}
	}
	return nil
}

func keyRotateCommand() *cobra.Command {
	var o ringFlags
	var name, in, ca string
	var overlap time.Duration
	c := &cobra.Command{
		Use:   "rotate",
		Short: "换新密钥; SM2 的旧密钥在并用期内仍可验签与解密",
		Long: "换新密钥: 生成同种类的新密钥, 或用 --in 给出 (对方的新公钥或证书)。SM2 的旧密钥在 --overlap 之内仍用于验签与解密,\n" +
			"签名与加密只用新密钥。共享密钥同一时刻只有一个, 立即更换。并用期已过的旧密钥同时清除。\n运行中的前置机重新启动后使用新密钥。",
		Example: "  qianzhi key rotate --ring keys.ring --name bank --in bank-2027.crt --ca root.crt --overlap 720h",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			now := time.Now()
			return o.change(func(r *keyfile.Ring) error {
				old := r.Find(name)
				if old == nil {
					return fmt.Errorf("没有密钥 %q", name)
				}
				next, err := renewal(old, in, ca, now)
				if err != nil {
					return err
				}
				r.Prune(now)
				if err := r.Renew(next, now.Add(overlap)); err != nil {
					return err
				}
				return showKey(cmd.OutOrStdout(), &next)
			})
		},
	}
	o.flags(c.Flags())
	c.Flags().StringVar(&name, "name", "", "在密钥环中的名称")
	c.Flags().StringVar(&in, "in", "", "新密钥或新证书的文件; 缺省生成")
	c.Flags().StringVar(&ca, "ca", "", "根证书文件")
	c.Flags().DurationVar(&overlap, "overlap", 30*24*time.Hour, "新旧并用多久")
	return c
}

func renewal(old *keyfile.Entry, in, ca string, now time.Time) (keyfile.Entry, error) {
	if in == "" {
		if old.Kind != "sm2" && old.Kind != "sm4" {
			return keyfile.Entry{}, fmt.Errorf("密钥 %q 是对方的或共享文本, 用 --in 给出新的", old.Name)
		}
		return keyfile.Generate(old.Name, old.Kind, now)
	}
	next, err := keyfile.Import(old.Name, in, now)
	if err != nil {
		return next, err
	}
	return next, trusted(&next, ca)
}

func keyCheckCommand() *cobra.Command {
	var o ringFlags
	var ca string
	var warn time.Duration
	c := &cobra.Command{
		Use:     "check",
		Short:   "检查密钥环: 权限、完整、证书链与有效期",
		Long:    "检查密钥环: 权限、完整、每个密钥可用、证书属于密钥并由 --ca 中的根签发、有效期。\n退出码: 0 无事, 1 有须处理之事 (含即将到期), 2 打不开。",
		Example: "  qianzhi key check --ring keys.ring --ca root.crt --warn 1440h",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			trust, err := roots(ca)
			if err != nil {
				return err
			}
			r, err := o.open()
			if err != nil {
				return err
			}
			found := r.Check(time.Now(), warn, trust)
			for _, f := range found {
				word := "提醒"
				if f.Bad {
					word = "错误"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s  %s: %s\n", word, f.Name, f.Text)
			}
			if len(found) > 0 {
				return &exitError{code: 1}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "密钥环正确: %d 个密钥\n", len(r.Entries))
			return nil
		},
	}
	o.flags(c.Flags())
	c.Flags().StringVar(&ca, "ca", "", "根证书文件")
	c.Flags().DurationVar(&warn, "warn", 30*24*time.Hour, "到期前多久提醒")
	return c
}

func keySealCommand() *cobra.Command {
	var o, next ringFlags
	c := &cobra.Command{
		Use:   "seal [名称=密钥文件 ...]",
		Short: "新建密钥环并收入密钥文件, 或换用新的密钥分量",
		Long: "密钥环不存在时新建, 并收入各密钥文件; 已存在时须给 --new-component 两次, 改以新的分量封存。\n" +
			"收入后请销毁原文件。显示密钥加密密钥的校验值, 供两位分量持有人各自核对。",
		Example: "  qianzhi key seal --ring keys.ring --component kek1 --component kek2 bank=bank.pub.pem session=session.sm4",
		RunE: func(cmd *cobra.Command, args []string) error {
			var r *keyfile.Ring
			var err error
			if len(next.components) > 0 {
				r, err = reseal(&o, &next, args)
			} else {
				r, err = sealNew(&o, args)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "已封存 %d 个密钥, %s\n", len(r.Entries), r.KEK())
			return nil
		},
	}
	o.flags(c.Flags())
	c.Flags().StringArrayVar(&next.components, "new-component", nil, "新的密钥分量文件, 给两次")
	return c
}

func reseal(o, next *ringFlags, args []string) (*keyfile.Ring, error) {
	if len(args) > 0 {
		return nil, errors.New("换分量时不收密钥文件")
	}
	r, err := o.open()
	if err != nil {
		return nil, err
	}
	kek, err := next.kek()
	if err != nil {
		return nil, err
	}
	r.Reseal(kek)
	return r, r.Save()
}

func sealNew(o *ringFlags, args []string) (*keyfile.Ring, error) {
	if o.ring == "" {
		return nil, errors.New("--ring: 缺少")
	}
	if err := absent(o.ring); err != nil {
		return nil, err
	}
	kek, err := o.kek()
	if err != nil {
		return nil, err
	}
	r := keyfile.NewRing(o.ring, kek)
	for _, arg := range args {
		name, file, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, fmt.Errorf("应为 名称=密钥文件, 而不是 %q", arg)
		}
		e, err := keyfile.Import(name, file, time.Now())
		if err != nil {
			return nil, err
		}
		if err := r.Add(e); err != nil {
			return nil, err
		}
	}
	return r, r.Save()
}
