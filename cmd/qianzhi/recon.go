package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/app"
	"qianzhi/reconcile/desk"
)

const reconExits = "退出码: 0 平, 1 不平, 2 故障, 3 未齐, 4 拒收或存疑, 5 待核(仅 --strict), 6 另一对账正在进行, 7 该日已复核, 8 修复未完; 多个渠道取最大者。"

func reconCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "recon",
		Short: "对账: 运行, 结果, 差异, 演练, 文件规格",
		Long:  "对账的运行与结果。报告第一行与最后一行即结论; 每次输入变化产生新版本 r1, r2…, 旧版本不变。\n\n" + reconExits,
		Example: "  qianzhi recon run --day 20261120 --journal lines.csv --mis MIS.txt --bank DZ.txt --spec bank=bank-lines\n" +
			"  qianzhi recon show --config run/demo/qianzhi.yaml\n  tail -F run/demo/data/recon/live.log",
	}
	c.AddCommand(reconShow(), reconRun(), reconList(), reconDiff(), reconOpen(), reconStatus(), reconCheck(), reconWait(), reconSpec(), reconDrill())
	c.AddCommand(deskCommands()...)
	return c
}

// reports is where reports lie: of a configuration, or a folder.
type reports struct{ file, dir, day, channel string }

func (r *reports) flags(c *cobra.Command, day string) {
	configOr(c, &r.file)
	c.Flags().StringVar(&r.dir, "dir", "", "报告目录, 代替配置中的目录")
	c.Flags().StringVar(&r.day, "day", "", day)
	c.Flags().StringVar(&r.channel, "channel", "", "渠道, 缺省为全部")
}

// configOr is the configuration of a command that can do without.
func configOr(c *cobra.Command, file *string) {
	c.Flags().StringVar(file, "config", "", "配置文件")
}

func (r *reports) root() (string, error) {
	switch {
	case r.dir != "":
		return r.dir, nil
	case r.file == "":
		return "", errors.New("--config 或 --dir: 必须给出其一")
	}
	c, err := app.Load(r.file)
	if err != nil {
		return "", err
	}
	return c.Reports(), nil
}

// limits returns the limits of a channel's plans: those of the configuration, or
// the usual ones where only a folder is named.
func (r *reports) limits() (func(channel string) desk.Limits, error) {
	if r.file == "" {
		return func(string) desk.Limits { return desk.Usual() }, nil
	}
	c, err := app.Load(r.file)
	if err != nil {
		return nil, err
	}
	return func(channel string) desk.Limits { return c.Standing(channel).Limits }, nil
}

// latest returns the folders <day>/<channel> that have a report, those of the
// newest day when none is named.
func (r *reports) latest() ([]string, error) {
	root, err := r.root()
	if err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(root, orAny(r.day), orAny(r.channel), "latest", "result.json"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, errors.New("没有对账报告")
	}
	sort.Strings(names)
	newest := dayOf(names[len(names)-1])
	var out []string
	for _, n := range names {
		if r.day != "" || dayOf(n) == newest {
			out = append(out, filepath.Dir(filepath.Dir(n)))
		}
	}
	return out, nil
}

// dayOf returns the folder of a report's day.
func dayOf(result string) string { return filepath.Dir(filepath.Dir(filepath.Dir(result))) }

func reconShow() *cobra.Command {
	var r reports
	var version string
	var ahead bool
	c := &cobra.Command{
		Use:     "show",
		Short:   "显示对账报告, 缺省为最近一天的全部渠道",
		Long:    "--ahead 显示当日的预对账: 日间每十分钟与营销系统清单、已到的银行文件核对一次, 不满十分钟的交易不计; 不是对账结论。",
		Example: "  qianzhi recon show --config qianzhi.yaml --day 20261120\n  qianzhi recon show --config qianzhi.yaml --ahead",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if ahead {
				root, err := r.root()
				if err != nil {
					return err
				}
				r.file, r.dir = "", filepath.Join(root, "ahead")
			}
			homes, err := r.latest()
			if err != nil {
				return err
			}
			for _, h := range homes {
				b, err := os.ReadFile(filepath.Join(h, version, "report.txt"))
				if err != nil {
					return err
				}
				fmt.Fprint(cmd.OutOrStdout(), string(b))
			}
			return nil
		},
	}
	r.flags(c, "账务日期 YYYYMMDD")
	c.Flags().BoolVar(&ahead, "ahead", false, "当日的预对账")
	c.Flags().StringVar(&version, "version", "latest", "版本, 例如 r1")
	return c
}

func orAny(s string) string {
	if s == "" {
		return "*"
	}
	return s
}
