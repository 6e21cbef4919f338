package mis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"qianzhi/gateway/pay"
)

// Customer is one customer with open bills, as Seed made it.
type Customer struct {
	Account, Name, Address string
	Bills                  []pay.Bill
}

const (
	surnames = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾萧田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
	given    = "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂兰凤玉建国志华文斌红梅春燕晓琳子轩浩宇欣怡梓涵雨泽思远嘉懿佳琪㛃堃喆"
	roads    = "人民路,解放路,中山路,建设路,和平街,新华路,光明路,文化路,胜利街,朝阳路,滨江大道,学府路,长江路,黄河路"
	towns    = "城关镇,东城街道,西城街道,南湖街道,北门街道,开发区,河东新区,临港镇"
)

// Seed fills an empty ledger with n customers of one to four open bills each;
// the same source of randomness gives the same customers.
func (l *Ledger) Seed(ctx context.Context, r *rand.Rand, n int) ([]Customer, error) {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	list := make([]Customer, n)
	for i := range list {
		c := customer(r, i)
		list[i] = c
		if _, err := tx.ExecContext(ctx, `INSERT INTO customer(account, name, address) VALUES(?,?,?)`, c.Account, c.Name, c.Address); err != nil {
			return nil, err
		}
		for _, b := range c.Bills {
			if _, err := tx.ExecContext(ctx, `INSERT INTO bill(id, account, month, principal, penalty) VALUES(?,?,?,?,?)`,
				b.ID, c.Account, b.Month, int64(b.Principal), int64(b.Penalty)); err != nil {
				return nil, err
			}
		}
	}
	return list, tx.Commit()
}

func customer(r *rand.Rand, i int) Customer {
	pick := func(s string) string { rs := []rune(s); return string(rs[r.IntN(len(rs))]) }
	of := func(list []string) string { return list[r.IntN(len(list))] }
	c := Customer{Account: fmt.Sprintf("0512%06d", i*37%1000000+1), Name: pick(surnames) + pick(given)}
	if r.IntN(3) > 0 {
		c.Name += pick(given)
	}
	c.Address = fmt.Sprintf("%s%s%d号%d幢%d室", of(strings.Split(towns, ",")), of(strings.Split(roads, ",")), r.IntN(400)+1, r.IntN(30)+1, (r.IntN(28)+1)*100+r.IntN(4)+1)
	for m := range r.IntN(4) + 1 {
		b := pay.Bill{ID: fmt.Sprintf("9%09d%02d", i+1, 10-m), Month: fmt.Sprintf("2026%02d", 10-m), Principal: pay.Amount(r.IntN(40000) + 100)}
		if m > 0 {
			b.Penalty = b.Principal * pay.Amount(m) / 1000
		}
		b.Amount = b.Principal + b.Penalty
		c.Bills = append(c.Bills, b)
	}
	return c
}
