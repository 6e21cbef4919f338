package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"qianzhi/reconcile"
)

func reconDiff() *cobra.Command {
	var r reports
	c := &cobra.Command{
		Use:     "diff [旧版本 新版本]",
		Short:   "比较一天的两个版本, 缺省为最后两个",
		Example: "  qianzhi recon diff r1 r2 --config qianzhi.yaml --day 20261120",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 0 && len(args) != 2 {
				return fmt.Errorf("应给出两个版本, 例如 r1 r2, 或都不给")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return r.diff(cmd, args) },
	}
	r.flags(c, "账务日期 YYYYMMDD (必需)")
	must(c.MarkFlagRequired("day"))
	return c
}

func (r *reports) diff(cmd *cobra.Command, args []string) error {
	homes, err := r.latest()
	if err != nil {
		return err
	}
	for _, h := range homes {
		old, fresh := "", ""
		if len(args) == 2 {
			old, fresh = args[0], args[1]
		} else {
			s, err := reconcile.ReadSummary(filepath.Join(h, "latest"))
			if err != nil {
				return err
			}
			if s.Version < 2 {
				fmt.Fprintf(cmd.OutOrStdout(), "%s 只有 r1\n", filepath.Base(h))
				continue
			}
			old, fresh = fmt.Sprintf("r%d", s.Version-1), fmt.Sprintf("r%d", s.Version)
		}
		if err := diffVersions(cmd, h, old, fresh); err != nil {
			return err
		}
	}
	return nil
}

func diffVersions(cmd *cobra.Command, home, old, fresh string) error {
	var items [2][]reconcile.Item
	var sums [2]reconcile.Summary
	for i, v := range []string{old, fresh} {
		var err error
		if sums[i], err = reconcile.ReadSummary(filepath.Join(home, v)); err != nil {
			return err
		}
		if items[i], err = readItems(filepath.Join(home, v), "items.jsonl"); err != nil {
			return err
		}
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s %s %s -> %s: %s -> %s\n", sums[0].Day, sums[0].Channel, old, fresh, sums[0].Word, sums[1].Word)
	for _, a := range sums[1].Inputs {
		for _, b := range sums[0].Inputs {
			if a.Party == b.Party && a.Sum != b.Sum {
				fmt.Fprintf(out, "文件 %s: %s %d 行 -> %s %d 行\n", a.Party, b.State, b.Lines, a.State, a.Lines)
			}
		}
	}
	before := map[string]*reconcile.Item{}
	for i := range items[0] {
		before[items[0][i].ID()] = &items[0][i]
	}
	for i := range items[1] {
		it := &items[1][i]
		was := before[it.ID()]
		delete(before, it.ID())
		switch {
		case was == nil:
			fmt.Fprintf(out, "+ %s %s %s %s 流水 %s\n", it.ID(), it.Code, it.Name, it.Size().Yuan(), orNone(it.Serial()))
		case was.Code != it.Code || was.Grade != it.Grade:
			fmt.Fprintf(out, "* %s %s %s -> %s %s\n", it.ID(), was.Code, was.Grade, it.Code, it.Grade)
		case was.Evidence() != it.Evidence():
			fmt.Fprintf(out, "* %s %s 证据已变\n", it.ID(), it.Code)
		}
	}
	for i := range items[0] {
		if it := before[items[0][i].ID()]; it != nil {
			fmt.Fprintf(out, "- %s %s %s %s 流水 %s\n", it.ID(), it.Code, it.Name, it.Size().Yuan(), orNone(it.Serial()))
		}
	}
	return nil
}
