package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"qianzhi/gateway/access"
)

// ask reads a secret: from a file of mode 600, from the environment, or from
// the terminal without showing it. It is never a flag: those are in the process
// list.
func ask(cmd *cobra.Command, what, env, file string) (string, error) {
	if file != "" {
		return secretFile(file)
	}
	if v, ok := os.LookupEnv(env); ok {
		return v, nil
	}
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return "", fmt.Errorf("没有终端可读 %s: 设 %s", what, env)
	}
	fmt.Fprint(cmd.ErrOrStderr(), what+": ")
	b, err := term.ReadPassword(fd)
	fmt.Fprintln(cmd.ErrOrStderr())
	return string(b), err
}

// secretFile reads the first line of a file that nobody else can read.
func secretFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s 可被他人读取 (mode %o), 应为 600", name, info.Mode().Perm())
	}
	line, err := bufio.NewReader(io.LimitReader(f, 4096)).ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return strings.TrimRight(line, "\r\n"), err
}

// newPassword reads a new password, from a terminal twice.
func (o *userFlags) newPassword(cmd *cobra.Command, name string) (string, error) {
	one, err := ask(cmd, name+" 的新密码", "QIANZHI_NEW_PASSWORD", o.passwordFile)
	if err != nil {
		return "", err
	}
	two, err := ask(cmd, "再输一次", "QIANZHI_NEW_PASSWORD", o.passwordFile)
	if err == nil && one != two {
		err = errors.New("两次输入不同")
	}
	return one, err
}

// enrol shows the secret of codes, this once.
func enrol(cmd *cobra.Command, u access.User) {
	fmt.Fprintf(cmd.OutOrStdout(), "动态码登记 (只显示这一次, 交给本人):\n%s\n", access.Enrolment(u))
}

func userAdd(o *userFlags) *cobra.Command {
	c := o.acting(&cobra.Command{
		Use: "add 用户名", Short: "新增用户; 尚无用户时创建第一个管理员",
		Long:    "新增用户。尚无用户时不需要 --as, 只能创建管理员。新用户首次登录须先改密码, 此前没有任何权限。",
		Example: "  qianzhi user add --config qianzhi.yaml --person A001 --role administrator zhang",
		RunE: o.act(func(cmd *cobra.Command, d *access.Directory, by access.Principal, name string) error {
			role, err := access.ParseRole(o.role)
			if err != nil {
				return fmt.Errorf("--role: %w", err)
			}
			if err := o.first(d, by, role); err != nil {
				return err
			}
			password, err := o.newPassword(cmd, name)
			if err != nil {
				return err
			}
			var u access.User
			if by.Role() != access.NoRole {
				u, err = d.Add(cmd.Context(), by, name, o.person, role, password)
			} else {
				u, err = d.First(cmd.Context(), by, name, o.person, password)
			}
			if err == nil {
				enrol(cmd, u)
			}
			return err
		}),
	})
	c.Flags().StringVar(&o.person, "person", "", "工号 (必需)")
	c.Flags().StringVar(&o.role, "role", "", "operator、reviewer、auditor 或 administrator (必需)")
	c.Flags().StringVar(&o.passwordFile, "password-file", "", "新密码所在文件, mode 600")
	must(c.MarkFlagRequired("person"))
	must(c.MarkFlagRequired("role"))
	return c
}

// first says early why somebody who has not logged in may not add this user.
func (o *userFlags) first(d *access.Directory, by access.Principal, role access.Role) error {
	us, err := d.List()
	switch {
	case err != nil || by.Role() != access.NoRole:
		return err
	case len(us) > 0:
		return fmt.Errorf("%w (--as)", access.ErrNotFirst)
	case role != access.Administrator:
		return errors.New("--role: 第一个用户须是 administrator")
	}
	return nil
}

func userPasswd(o *userFlags) *cobra.Command {
	c := o.acting(&cobra.Command{
		Use: "passwd 用户名", Short: "改密码: 自己的, 或由管理员重置",
		Long:    "改密码。由管理员重置的密码只能用来改密码。",
		Example: "  qianzhi user passwd --config qianzhi.yaml --as li li",
		RunE: o.act(func(cmd *cobra.Command, d *access.Directory, by access.Principal, name string) error {
			password, err := o.newPassword(cmd, name)
			if err != nil {
				return err
			}
			return d.SetPassword(cmd.Context(), by, name, password, o.reason)
		}),
	})
	c.Flags().StringVar(&o.passwordFile, "password-file", "", "新密码所在文件, mode 600")
	return c
}

func userTOTP(o *userFlags) *cobra.Command {
	return o.acting(&cobra.Command{
		Use: "totp 用户名", Short: "重新登记动态码",
		Long:    "重新登记动态码: 旧的立即失效。由管理员代为登记的, 本人须随后改密码。",
		Example: "  qianzhi user totp --config qianzhi.yaml --as zhang --reason 手机遗失 li",
		RunE: o.act(func(cmd *cobra.Command, d *access.Directory, by access.Principal, name string) error {
			u, err := d.SetTOTP(cmd.Context(), by, name, o.reason)
			if err == nil {
				enrol(cmd, u)
			}
			return err
		}),
	})
}

func userRole(o *userFlags) *cobra.Command {
	c := o.acting(&cobra.Command{
		Use: "role 用户名", Short: "改角色",
		Long:    "改角色。一个账号只有一个角色。",
		Example: "  qianzhi user role --config qianzhi.yaml --as zhang --role reviewer --reason 转岗 li",
		RunE: o.act(func(cmd *cobra.Command, d *access.Directory, by access.Principal, name string) error {
			role, err := access.ParseRole(o.role)
			if err != nil {
				return fmt.Errorf("--role: %w", err)
			}
			return d.SetRole(cmd.Context(), by, name, role, o.reason)
		}),
	})
	c.Flags().StringVar(&o.role, "role", "", "operator、reviewer、auditor 或 administrator (必需)")
	must(c.MarkFlagRequired("role"))
	return c
}

type reasoned func(d *access.Directory, ctx context.Context, by access.Principal, name, reason string) error

// userReason builds a command that needs no more than a name and a reason.
func userReason(o *userFlags, use, short string, do reasoned) *cobra.Command {
	return o.acting(&cobra.Command{
		Use: use + " 用户名", Short: short, Long: short + "。须管理员办理, 须写原因。",
		Example: "  qianzhi user " + use + " --config qianzhi.yaml --as zhang --reason 离岗 li",
		RunE: o.act(func(cmd *cobra.Command, d *access.Directory, by access.Principal, name string) error {
			return do(d, cmd.Context(), by, name, o.reason)
		}),
	})
}
