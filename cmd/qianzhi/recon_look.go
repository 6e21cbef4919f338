package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/desk"
)

// readItems reads one version's items.
func readItems(dir, name string) ([]reconcile.Item, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	return reconcile.ReadRecords(b)
}

func reconStatus() *cobra.Command {
	var r reports
	var strict bool
	c := &cobra.Command{
		Use:   "status",
		Short: "最近一天各渠道一行, 退出码为其中最大者; 其后为当日的预对账",
		Long:  "预对账是日间的核对, 不是结论, 不影响退出码(qianzhi recon show --ahead)。\n" + reconExits,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			homes, err := r.latest()
			if err != nil {
				return err
			}
			worst := 0
			for _, h := range homes {
				t, err := desk.Lay(h)
				if err != nil {
					return err
				}
				s, money := &t.Summary, ""
				if s.Exit < 2 {
					money = fmt.Sprintf(" 差%s", pay.Amount(s.LongFen+s.ShortFen+s.AmtFen).Yuan())
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s r%d 待办%d%s 待核%d 遗留%d %s %s\n", s.Word, s.Channel, s.Day, s.Version, s.Todo, money, s.Pended, s.Carried, signature(t), s.Why)
				worst = max(worst, exitStatus(t, strict))
			}
			if err := r.ahead(cmd); err != nil {
				return err
			}
			return exitOf(worst, false)
		},
	}
	r.flags(c, "账务日期 YYYYMMDD, 缺省为最近一天")
	c.Flags().BoolVar(&strict, "strict", false, "平但有待核时退出码为 5")
	return c
}

// ahead shows how far the running day agrees, where that is looked at.
func (r *reports) ahead(cmd *cobra.Command) error {
	root, err := r.root()
	if err != nil || r.day != "" {
		return err
	}
	names, err := filepath.Glob(filepath.Join(root, "ahead", "[0-9]*", orAny(r.channel), "latest"))
	if err != nil {
		return err
	}
	for _, n := range names {
		s, err := reconcile.ReadSummary(n)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it is being replaced
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "预对账 %s %s 截至 %s 待查%d %s\n", s.Channel, s.Day, s.At, s.Items, s.Why)
	}
	return nil
}

// exitStatus is the published status of a channel's day.
func exitStatus(t *desk.Table, strict bool) int {
	switch s := &t.Summary; {
	case s.Exit <= reconcile.Unbalanced.Exit() && t.Unfinished() > 0:
		return 8
	case s.Exit == reconcile.Balanced.Exit() && strict && s.Pended > 0:
		return 5
	default:
		return s.Exit
	}
}

func reconOpen() *cobra.Command {
	var r reports
	c := &cobra.Command{
		Use:   "open",
		Short: "列出未结的差异与待核, 前日遗留在内",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			homes, err := r.latest()
			if err != nil {
				return err
			}
			for _, h := range homes {
				t, err := desk.Lay(h)
				if err != nil {
					return err
				}
				for i := range t.Open {
					it := &t.Open[i]
					from := ""
					if it.From != 0 {
						from = " 来自 " + it.From.String()
					}
					if it.Due != 0 {
						from += " 到期 " + it.Due.String()
					}
					fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s %s %s %s 流水 %s 银行 %s%s %s\n", it.ID(), filepath.Base(h), it.Grade, it.Code, it.Name, it.Size().Yuan(),
						orNone(it.Serial()), orNone(it.Key()), from, t.Standing(it))
				}
			}
			return nil
		},
	}
	r.flags(c, "账务日期 YYYYMMDD, 缺省为最近一天")
	return c
}

func orNone(s string) string {
	if s == "" {
		return "无"
	}
	return s
}

func reconWait() *cobra.Command {
	var r reports
	var within, every time.Duration
	c := &cobra.Command{
		Use:   "wait",
		Short: "等到一天的文件齐了、有了结论为止",
		Long:  "等到每个渠道的结论不再是未齐, 或时限已到; 然后同 status。",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tick := time.NewTicker(every)
			defer tick.Stop()
			end := time.NewTimer(within)
			defer end.Stop()
			for {
				worst, text := r.standing()
				if worst != reconcile.Incomplete.Exit() {
					fmt.Fprint(cmd.OutOrStdout(), text)
					return exitOf(worst, false)
				}
				select {
				case <-tick.C:
				case <-end.C:
					fmt.Fprint(cmd.OutOrStdout(), text)
					return exitOf(worst, false)
				case <-cmd.Context().Done():
					return &exitError{code: 130, err: cmd.Context().Err()}
				}
			}
		},
	}
	r.flags(c, "账务日期 YYYYMMDD (必需)")
	must(c.MarkFlagRequired("day"))
	c.Flags().DurationVar(&within, "within", time.Hour, "最长等待")
	c.Flags().DurationVar(&every, "every", 2*time.Second, "查看间隔")
	return c
}

// standing is the worst verdict of the day; without a report it is incomplete.
func (r *reports) standing() (worst int, text string) {
	homes, err := r.latest()
	if err != nil {
		return reconcile.Incomplete.Exit(), err.Error() + "\n"
	}
	for _, h := range homes {
		s, err := reconcile.ReadSummary(filepath.Join(h, "latest"))
		if err != nil {
			return reconcile.Broken.Exit(), err.Error() + "\n"
		}
		worst = max(worst, s.Exit)
		text += strings.Join([]string{s.Word, s.Channel, s.Day, "r" + strconv.Itoa(s.Version), s.Why}, " ") + "\n"
	}
	return worst, text
}
