package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"sort"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/night"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

type reconListFlags struct {
	reports
	combined      bool
	version, spec string
}

func reconList() *cobra.Command {
	var o reconListFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "列出各日各渠道的全部版本; 或一个版本的逐笔结果",
		Long: "--combined 每笔交易一行: J 本机流水, M 营销MIS, B 银行, C 卡表各自计入该笔款项者, - 为未计入, * 为金额不符; 其后为流水号、银行参考、金额、户号与差异码。\n" +
			"例如 JMB 三方一致, J-B 营销系统未销账, --B 仅银行扣款, --- 为各方均未计入的失败交易。",
		Example: "  qianzhi recon list --config qianzhi.yaml\n  qianzhi recon list --config qianzhi.yaml --day 20261120 --channel ICBC01 --combined | grep -v ^JMB",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.combined {
				return o.payments(cmd)
			}
			return o.versions(cmd)
		},
	}
	o.flags(c, "账务日期 YYYYMMDD, 缺省为全部")
	c.Flags().BoolVar(&o.combined, "combined", false, "逐笔列出 --day 的一个版本")
	c.Flags().StringVar(&o.version, "version", "latest", "--combined 的版本, 例如 r1")
	c.Flags().StringVar(&o.spec, "spec", "journal-lines", "--combined 所读流水文件的规格(仅凭文件所作的对账)")
	return c
}

func (o *reconListFlags) versions(cmd *cobra.Command) error {
	root, err := o.root()
	if err != nil {
		return err
	}
	names, err := filepath.Glob(filepath.Join(root, orAny(o.day), orAny(o.channel), "r*", "result.json"))
	if err != nil {
		return err
	}
	var all []reconcile.Summary
	for _, n := range names {
		s, err := reconcile.ReadSummary(filepath.Dir(n))
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	sort.SliceStable(all, func(a, b int) bool {
		x, y := &all[a], &all[b]
		return x.Day < y.Day || x.Day == y.Day && (x.Channel < y.Channel || x.Channel == y.Channel && x.Version < y.Version)
	})
	for i := range all {
		s := &all[i]
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s r%d %s 待办 %d %s 待核 %d %s\n", s.Day, s.Channel, s.Version, s.Word, s.Todo, pay.Amount(s.TodoFen).Yuan(), s.Pended, s.Why)
	}
	return nil
}

// payments lists one version of each channel's day, a payment a line.
func (o *reconListFlags) payments(cmd *cobra.Command) error {
	if o.day == "" {
		return errors.New("--combined 需要 --day")
	}
	homes, err := o.latest()
	if err != nil {
		return err
	}
	for _, h := range homes {
		if len(homes) > 1 {
			fmt.Fprintln(cmd.OutOrStdout(), "#", filepath.Base(h))
		}
		if err := o.told(cmd, filepath.Join(h, o.version)); err != nil {
			return fmt.Errorf("%s %s: %w", filepath.Base(h), o.version, err)
		}
	}
	return nil
}

func (o *reconListFlags) told(cmd *cobra.Command, dir string) error {
	s, err := reconcile.ReadSummary(dir)
	if err != nil {
		return err
	}
	day, err := pay.ParseDay(s.Day)
	if err != nil {
		return err
	}
	open := func(path string) (reconcile.Table, error) {
		spec, err := night.Spec(o.spec)
		if err != nil {
			return nil, err
		}
		t, err := spec.Open(path, day, reconcile.Journal)
		if err != nil {
			return nil, err
		}
		return t, nil
	}
	var failed error
	err = reconcile.Combined(dir, open, func(t *reconcile.Told) bool {
		code := ""
		if t.Item != nil {
			code = " " + t.Item.Code + " " + t.Item.Name
		}
		_, failed = fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s %s %s%s\n", t.Sides, orNone(t.Line.Serial), orNone(t.Line.Key), t.Line.Amount.Yuan(),
			pay.Account.Masked(t.Line.Account), code)
		return failed == nil
	})
	return errors.Join(err, failed)
}
