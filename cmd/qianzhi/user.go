package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/app"
	"qianzhi/cmd/internal/books"
	"qianzhi/gateway/access"
)

const userLong = `用户与角色: operator 操作员, reviewer 复核员(第二人), auditor 审计员, administrator 管理员。一人(工号)一个账号, 一个账号一个角色。
第一个管理员在尚无用户的机器上创建; 此后增改用户须管理员用 --as 登录。每次变更先记入流水, 记不下则不做。

密码与动态码从终端读入, 不能写在命令行上。无终端时从环境变量或文件读入:
  QIANZHI_AS_PASSWORD, QIANZHI_AS_CODE       办理人的密码与动态码
  QIANZHI_NEW_PASSWORD 或 --password-file    被办理账号的新密码`

func userCommand() *cobra.Command {
	o := &userFlags{}
	c := &cobra.Command{Use: "user", Short: "用户、角色、锁定与动态码", Long: userLong,
		Example: "  qianzhi user add --config qianzhi.yaml --person A001 --role administrator zhang\n" +
			"  qianzhi user add --config qianzhi.yaml --as zhang --person B001 --role operator li\n" +
			"  qianzhi user passwd --config qianzhi.yaml --as li li\n" +
			"  qianzhi user lock --config qianzhi.yaml --as zhang --reason 离岗 li\n" +
			"  eval \"$(qianzhi user login --config qianzhi.yaml li)\""}
	c.PersistentFlags().StringVarP(&o.file, "config", "c", "", "配置文件 (必需)")
	must(c.MarkPersistentFlagRequired("config"))
	c.AddCommand(userLogin(o), userLogout(o), userList(o), userAdd(o), userPasswd(o), userTOTP(o), userRole(o),
		userReason(o, "lock", "锁定: 拒绝登录并结束会话", (*access.Directory).Lock),
		userReason(o, "unlock", "解锁, 并清除登录失败次数", (*access.Directory).Unlock),
		userReason(o, "remove", "删除账号", (*access.Directory).Remove))
	return c
}

type userFlags struct{ file, as, reason, role, person, passwordFile, output string }

// people opens the users' file of a configuration; acts go into the journal,
// through the running daemon where there is one.
func people(file string) (*app.Config, books.Audit, *access.Directory, error) {
	c, err := app.Load(file)
	if err != nil {
		return nil, books.Audit{}, nil, err
	}
	b, err := books.New(c)
	if err != nil {
		return nil, books.Audit{}, nil, err
	}
	for _, dir := range []string{c.Path(c.Node.Data), b.Options.Dir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, books.Audit{}, nil, err
		}
	}
	audit := books.Audit{Books: b}
	d, err := c.Users(audit)
	return c, audit, d, err
}

// act opens the file, has who acts log in, and acts.
func (o *userFlags) act(do func(cmd *cobra.Command, d *access.Directory, by access.Principal, name string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, _, d, err := people(o.file)
		if err != nil {
			return err
		}
		by := access.Local(os.Getuid(), "cli")
		if o.as != "" || os.Getenv(ticketEnv) != "" {
			if by, err = whoActs(cmd, c, d, o.as); err != nil {
				return &exitError{code: 1, err: err}
			}
		}
		if err := do(cmd, d, by, args[0]); err != nil {
			return &exitError{code: 1, err: err}
		}
		return nil
	}
}

// acting adds the flags of a command that acts.
func (o *userFlags) acting(c *cobra.Command) *cobra.Command {
	c.Args = cobra.ExactArgs(1)
	c.Flags().StringVar(&o.as, "as", "", "办理人的用户名")
	c.Flags().StringVar(&o.reason, "reason", "", "原因")
	return c
}

// ticketEnv names the variable that holds the ticket of a login.
const ticketEnv = "QIANZHI_TICKET"

// ticketLife is how long a login on the command line lasts.
const ticketLife = 30 * time.Minute

func tickets(c *app.Config, d *access.Directory) access.Tickets {
	return access.Tickets{Users: d, Dir: filepath.Join(c.Path(c.Node.Data), "tickets"), Life: ticketLife}
}

// whoActs takes the ticket of a login, or has somebody log in.
func whoActs(cmd *cobra.Command, c *app.Config, d *access.Directory, name string) (access.Principal, error) {
	token := os.Getenv(ticketEnv)
	if token == "" {
		if name == "" {
			return access.Principal{}, errors.New("--as: 须写明办理人, 或先 eval \"$(qianzhi user login ...)\"")
		}
		return logIn(cmd, d, name)
	}
	p, err := tickets(c, d).Redeem(token, "cli")
	if err == nil && name != "" && name != p.Name() {
		err = fmt.Errorf("%s 是 %s 的登录, 不是 %s 的", ticketEnv, p.Name(), name)
	}
	return p, err
}

func logIn(cmd *cobra.Command, d *access.Directory, name string) (access.Principal, error) {
	password, err := ask(cmd, name+" 的密码", "QIANZHI_AS_PASSWORD", "")
	if err != nil {
		return access.Principal{}, err
	}
	code, err := ask(cmd, name+" 的动态码", "QIANZHI_AS_CODE", "")
	if err != nil {
		return access.Principal{}, err
	}
	return d.Login(cmd.Context(), name, password, code, "cli")
}

func userLogin(o *userFlags) *cobra.Command {
	return &cobra.Command{
		Use: "login 用户", Short: "登录一次, 办理多次: 输出一个 30 分钟有效的凭据", Args: cobra.ExactArgs(1),
		Long:    "核对密码与动态码后输出 export " + ticketEnv + "=…, 供本终端此后的命令使用; 锁定、改密码或 qianzhi user logout 使其失效。",
		Example: "  eval \"$(qianzhi user login --config qianzhi.yaml li)\"\n  qianzhi recon sign --config qianzhi.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, d, err := people(o.file)
			if err != nil {
				return err
			}
			p, err := logIn(cmd, d, args[0])
			if err != nil {
				return &exitError{code: 1, err: err}
			}
			token, err := tickets(c, d).Issue(p)
			if err != nil {
				return &exitError{code: 1, err: err}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "export %s=%s\n", ticketEnv, token)
			return nil
		},
	}
}

func userLogout(o *userFlags) *cobra.Command {
	return &cobra.Command{
		Use: "logout", Short: "使 " + ticketEnv + " 失效", Args: cobra.NoArgs,
		Example: "  qianzhi user logout --config qianzhi.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := app.Load(o.file)
			if err != nil {
				return err
			}
			return tickets(c, nil).End(os.Getenv(ticketEnv))
		},
	}
}

func userList(o *userFlags) *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "列出用户", Args: cobra.NoArgs,
		Long:    "列出用户: 工号、角色、是否锁定、登录失败次数。密码与动态码密钥从不显示。",
		Example: "  qianzhi user list --config qianzhi.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, _, d, err := people(o.file)
			if err != nil {
				return err
			}
			us, err := d.List()
			if err != nil {
				return err
			}
			return showUsers(cmd, us, o.output)
		},
	}
	c.Flags().StringVarP(&o.output, "output", "o", "text", "text 或 json")
	return c
}

func showUsers(cmd *cobra.Command, us []access.User, output string) error {
	type line struct {
		Name, Person, Role, State string
		Failures                  int
	}
	list := make([]line, 0, len(us))
	for _, u := range us {
		state := "正常"
		switch {
		case u.Locked != "":
			state = "锁定: " + u.Locked
		case time.Now().Before(u.Until):
			state = "暂停登录至 " + u.Until.Local().Format("15:04:05")
		case u.Fresh:
			state = "须先改密码"
		}
		list = append(list, line{u.Name, u.Person, u.Role.String(), state, u.Failures})
	}
	if output == "json" {
		return writeJSON(cmd.OutOrStdout(), list)
	}
	t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "用户\t工号\t角色\t失败\t状态")
	for _, l := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", l.Name, l.Person, l.Role, l.Failures, l.State)
	}
	return t.Flush()
}
