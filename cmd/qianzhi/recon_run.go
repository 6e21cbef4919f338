package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/keyfile"
	"qianzhi/cmd/internal/night"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/secure"
	"qianzhi/reconcile"
	"qianzhi/reconcile/desk"
)

type reconRunFlags struct {
	file, day, channel, out, format string
	when                            string
	names                           [4]string
	specs, cuts, keys               []string
	strict                          bool
}

func reconRun() *cobra.Command {
	var o reconRunFlags
	c := &cobra.Command{
		Use:   "run",
		Short: "对一天的账: 请守护进程, 或仅凭文件",
		Long: "有 --journal 时仅凭文件对账, 不需要守护进程; 否则请运行中的守护进程对账, 显示每个渠道的结论与报告位置。\n" +
			"--spec 参与方=规格, 参与方为 journal, mis, bank, card; 只写规格即为 bank。规格为文件, 或随机规格的标识(recon spec list)。\n" + reconExits,
		Example: "  qianzhi recon run --config qianzhi.yaml --day 20261120\n" +
			"  qianzhi recon run --day 20261120 --journal lines.csv --mis MIS_20261120.txt --bank 0002.bil --spec bank=utility-bil --out recon",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	configOr(c, &o.file)
	f := c.Flags()
	f.StringVar(&o.day, "day", "", "账务日期 YYYYMMDD (必需)")
	for p, name := range partyNames() {
		f.StringVar(&o.names[p], name, "", "文件: "+reconcile.Party(p).String())
	}
	f.StringArrayVar(&o.specs, "spec", nil, "参与方=规格, 可多次")
	f.StringArrayVar(&o.cuts, "cut", nil, "参与方=HH:MM, 其日切时刻, 缺省 24:00, 可多次")
	f.StringArrayVar(&o.keys, "key", nil, "角色=密钥文件, 用于验签, 可多次")
	f.StringVar(&o.channel, "channel", "FILES", "报告中的渠道名")
	f.StringVar(&o.out, "out", "recon", "报告目录")
	f.StringVarP(&o.format, "output", "o", "text", "text 或 json")
	f.StringVar(&o.when, "if", "always", "何时重跑: none 尚无版本的渠道, failed 及没有逐笔结论的, always 总是")
	f.BoolVar(&o.strict, "strict", false, "平但有待核时退出码为 5")
	must(c.MarkFlagRequired("day"))
	return c
}

// lean keeps the memory of a run on files near what it needs: little of it is
// garbage.
const lean = 20

func partyNames() (names []string) {
	for p := reconcile.Journal; p <= reconcile.Card; p++ {
		names = append(names, p.ID())
	}
	return names
}

func (o *reconRunFlags) run(cmd *cobra.Command) error {
	day, err := pay.ParseDay(o.day)
	if err != nil {
		return fmt.Errorf("--day: %w", err)
	}
	switch o.when {
	case "none", "failed", "always":
	default:
		return fmt.Errorf("--if: 应为 none, failed 或 always, 而不是 %q", o.when)
	}
	if o.names == [4]string{} {
		return o.daemon(cmd, day)
	}
	if s, ok := o.stands(filepath.Join(o.out, day.String(), o.channel)); ok {
		return o.leave(cmd, s)
	}
	f := night.Files{Day: day, Channel: o.channel, Out: o.out, Names: map[reconcile.Party]string{}}
	for p, name := range o.names {
		f.Names[reconcile.Party(p)] = name
	}
	if f.Specs, err = byParty(o.specs, "--spec", func(s string) (string, error) { return s, nil }); err != nil {
		return err
	}
	if f.Cuts, err = byParty(o.cuts, "--cut", readCut); err != nil {
		return err
	}
	if f.Keys, err = readKeys(o.keys); err != nil {
		return err
	}
	debug.SetGCPercent(lean)
	res, err := f.Run(cmd.Context())
	if errors.Is(err, reconcile.ErrBusy) {
		return &exitError{code: 6, err: err}
	}
	if errors.Is(err, context.Canceled) {
		return &exitError{code: 130, err: errors.New("中断, 未完成的对账已丢弃")}
	}
	if err != nil {
		return err
	}
	if o.format == "json" {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(res.Summary()); err != nil {
			return err
		}
	} else {
		b, err := os.ReadFile(filepath.Join(f.Report(res), "report.txt"))
		if err != nil {
			return err
		}
		fmt.Fprint(cmd.OutOrStdout(), string(b))
	}
	return exitOf(res.Verdict.Exit(), o.strict && res.Word() != res.Verdict.String())
}

// stands reports whether a channel's last version stays as it is: --if says
// when it is made anew.
func (o *reconRunFlags) stands(home string) (reconcile.Summary, bool) {
	if o.when == "always" {
		return reconcile.Summary{}, false
	}
	s, err := reconcile.ReadSummary(filepath.Join(home, "latest"))
	return s, err == nil && (o.when == "none" || s.Exit <= reconcile.Unbalanced.Exit())
}

// leave says the result that stands.
func (o *reconRunFlags) leave(cmd *cobra.Command, all ...reconcile.Summary) error {
	worst, carried := 0, false
	for i := range all {
		s := &all[i]
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s r%d 已有结果, 未重跑 %s\n", s.Word, s.Channel, s.Version, s.Why)
		worst, carried = max(worst, s.Exit), carried || s.Pended > 0
	}
	return exitOf(worst, o.strict && carried)
}

// stand returns the results of a day of which none is to be made anew.
func (o *reconRunFlags) stand(day pay.Day) (all []reconcile.Summary) {
	r := reports{file: o.file, day: day.String()}
	homes, err := r.latest()
	if err != nil {
		return nil // there is no report yet
	}
	for _, h := range homes {
		s, ok := o.stands(h)
		if !ok {
			return nil
		}
		all = append(all, s)
	}
	return all
}

// exitOf ends the command with the published status of a verdict.
func exitOf(code int, carried bool) error {
	if code == 0 && carried {
		code = 5
	}
	if code == 0 {
		return nil
	}
	return &exitError{code: code}
}

// byParty reads values given as party=value; one without a party is the
// bank's.
func byParty[T any](list []string, flag string, read func(string) (T, error)) (map[reconcile.Party]T, error) {
	out := map[reconcile.Party]T{}
	for _, v := range list {
		p := reconcile.Bank
		for i, name := range partyNames() {
			if rest, ok := strings.CutPrefix(v, name+"="); ok {
				p, v = reconcile.Party(i), rest
				break
			}
		}
		got, err := read(v)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", flag, v, err)
		}
		out[p] = got
	}
	return out, nil
}

func readCut(s string) (int, error) {
	h, m, ok := strings.Cut(s, ":")
	hour, err1 := strconv.Atoi(h)
	minute, err2 := strconv.Atoi(m)
	if !ok || err1 != nil || err2 != nil || hour < 0 || minute < 0 || minute > 59 || hour*60+minute > 1440 || hour+minute == 0 {
		return 0, errors.New("应为 HH:MM, 00:01 至 24:00")
	}
	return hour*60 + minute, nil
}

func readKeys(list []string) (secure.Keys, error) {
	keys := secure.Keys{Ring: secure.Ring{}, Roles: map[string]string{}}
	for _, k := range list {
		role, name, ok := strings.Cut(k, "=")
		if !ok {
			return keys, fmt.Errorf("--key: 应为 角色=文件, 而不是 %q", k)
		}
		key, err := keyfile.Read(name)
		if err != nil {
			return keys, err
		}
		keys.Ring[role], keys.Roles[role] = key, role
	}
	return keys, nil
}

// closed refuses a day all of whose channels are countersigned.
func (o *reconRunFlags) closed(day pay.Day) error {
	r := reports{file: o.file, day: day.String()}
	homes, err := r.latest()
	if err != nil {
		return nil // there is no report yet
	}
	for _, h := range homes {
		if is, err := desk.IsClosed(h); err != nil || !is {
			return err
		}
	}
	return &exitError{code: 7, err: reconcile.ErrClosed}
}

// daemon asks the running daemon.
func (o *reconRunFlags) daemon(cmd *cobra.Command, day pay.Day) error {
	if o.file == "" {
		return errors.New("--config 或 --journal: 必须给出其一")
	}
	client, err := daemon(o.file)
	if err != nil {
		return err
	}
	if err := o.closed(day); err != nil {
		return err
	}
	if all := o.stand(day); len(all) > 0 {
		return o.leave(cmd, all...)
	}
	runs, err := client.Reconcile(cmd.Context(), day)
	if err != nil {
		return err
	}
	worst := 0
	for _, r := range runs {
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s r%d %s %s\n", r.Verdict, r.Channel, r.Version, r.Report, r.Why)
		if r.Exit == 0 && o.strict {
			if s, err := reconcile.ReadSummary(filepath.Dir(r.Report)); err != nil || s.Pended > 0 {
				r.Exit = 5
			}
		}
		worst = max(worst, r.Exit)
	}
	return exitOf(worst, false)
}
