package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/app"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/desk"
)

// stale is how long after its end the newest reconciled day says something about
// how things are.
const stale = 30 * time.Hour

// The states of a check, as Nagios numbers them.
var checkWords = [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}

func reconCheck() *cobra.Command {
	var r reports
	c := &cobra.Command{
		Use: "check", Short: "供监控调用: 一行结果, 退出码按 Nagios 约定", Args: cobra.NoArgs,
		Long: "退出码: 0 OK 平; 1 WARNING 未齐, 有待核, 或 08:00 后未签; 2 CRITICAL 不平, 拒收, 存疑, 故障, 修复未完; 3 UNKNOWN 无报告,\n" +
			"最近一天结束已逾 30 小时, 或读取失败。不显示户号。",
		Example: "  qianzhi recon check --config qianzhi.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			now, err := r.clock()
			state, text := 3, ""
			if err == nil {
				state, text, err = r.check(now)
			}
			if err != nil {
				state, text = 3, err.Error()
			}
			fmt.Fprintf(cmd.OutOrStdout(), "RECON %s - %s\n", checkWords[state], text)
			return exitOf(state, false)
		},
	}
	r.flags(c, "账务日期 YYYYMMDD, 缺省为最近一天")
	return c
}

// clock is the time in the calendar's zone, or the machine's where only a folder
// is named.
func (r *reports) clock() (time.Time, error) {
	if r.file == "" {
		return time.Now(), nil
	}
	c, err := app.Load(r.file)
	if err != nil {
		return time.Time{}, err
	}
	cal, err := c.Days()
	if err != nil {
		return time.Time{}, err
	}
	return time.Now().In(cal.Location()), nil
}

// check is the worst state of the newest day's channels. What is not known is
// worse than what is bad.
func (r *reports) check(now time.Time) (worst int, text string, err error) {
	homes, err := r.latest()
	if err != nil {
		return 3, "", err
	}
	day, err := pay.ParseDay(filepath.Base(filepath.Dir(homes[0])))
	if err != nil {
		return 3, "", err
	}
	var parts []string
	if end := day.Add(1).Start(now.Location()); now.Sub(end) > stale {
		worst, parts = 3, append(parts, fmt.Sprintf("最近一天 %s 结束已逾 30 小时", day))
	}
	late := now.Hour()*60+now.Minute() >= 8*60 || pay.DayOf(now) > day.Add(1)
	for _, h := range homes {
		t, err := desk.Lay(h)
		if err != nil {
			return 3, "", err
		}
		state := checkState(t, late)
		worst = max(worst, state)
		parts = append(parts, fmt.Sprintf("%s %s %s 待办%d 待核%d %s", t.Summary.Channel, t.Summary.Day, t.Summary.Word, t.Summary.Todo, t.Summary.Pended, t.Stage))
	}
	return worst, strings.Join(parts, "; "), nil
}

func checkState(t *desk.Table, late bool) int {
	switch exit := t.Summary.Exit; {
	case t.Unfinished() > 0, exit != reconcile.Balanced.Exit() && exit != reconcile.Incomplete.Exit():
		return 2
	case exit == reconcile.Incomplete.Exit(), t.Summary.Pended > 0, late && t.Stage == desk.Matched:
		return 1
	}
	return 0
}
