package night

import (
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// eve leaves two payments that the bank has not listed yet.
func (d *Drill) eve(*reconcile.Matrix) {
	d.flat(200)
	for range 2 {
		d.add(night, reconcile.Success, reconcile.Posted, reconcile.Absent)
		d.want[d.serial()] = "SH-2"
	}
}

// day is the day with everything in it.
func (d *Drill) day(mx *reconcile.Matrix) {
	late := d.n // the eve's last payment stays open, the one before comes today
	d.flat(2000)
	for _, j := range []reconcile.Effect{reconcile.Success, reconcile.Open, reconcile.Failed, reconcile.Pending, reconcile.Reversed, reconcile.None} {
		for _, m := range []reconcile.Effect{reconcile.Posted, reconcile.Absent, reconcile.Undone} {
			for _, b := range []reconcile.Effect{reconcile.Charged, reconcile.Absent, reconcile.Undone} {
				if j == reconcile.None && m == reconcile.Absent && b == reconcile.Absent {
					continue
				}
				d.seen.Rows++
				row := mx.Decide(j, m, b)
				clock := noon
				if row.Grade == reconcile.Pended {
					clock = night
				}
				d.add(clock, j, m, b)
				if row.Grade != reconcile.Flat {
					d.want[d.serial()] = row.Code
				}
			}
		}
	}
	d.amounts()
	d.overlays()
	d.across(late)
}

// amounts plants the eleven cases; an amount of 0 is no line.
func (d *Drill) amounts() {
	for _, c := range []struct {
		j, m, b pay.Amount
		code    string
	}{{500, 500, 500, ""}, {500, 500, 501, "AM-3"}, {500, 501, 500, "AM-2"}, {501, 500, 500, "AM-1"}, {500, 501, 502, "AM-4"},
		{500, 0, 500, "LG-2"}, {500, 0, 501, "AM-5"}, {500, 500, 0, "SH-2"}, {500, 501, 0, "AM-6"}, {0, 500, 500, "LS-1"}, {0, 500, 501, "AM-7"}} {
		d.seen.AmountCases++
		j, m, b := reconcile.Success, reconcile.Posted, reconcile.Charged
		if c.j == 0 {
			j = reconcile.None
		}
		if c.m == 0 {
			m = reconcile.Absent
		}
		if c.b == 0 {
			b = reconcile.Absent
		}
		d.add(night, j, m, b, c.j, c.m, c.b)
		if c.code != "" {
			d.want[d.serial()] = c.code
		}
	}
}

// overlays plants duplicates, a wrong customer, a wrong terminal and a wrong
// date.
func (d *Drill) overlays() {
	again := func(p reconcile.Party, code, name string) {
		rows := d.add(noon, reconcile.Success, reconcile.Posted, reconcile.Charged)
		r := *rows[p]
		r.Values = copied(r.Values)
		r.Values["name"] = name
		d.rows[p] = append(d.rows[p], r)
		d.want[d.serial()] = code
	}
	again(reconcile.MIS, "DU-1", "李堃")
	again(reconcile.Bank, "DU-2", "李堃")
	again(reconcile.Bank, "DU-4", "王㛃") // byte for byte
	for _, c := range []struct{ column, value, code string }{{"account", "051299999999", "ID-1"}, {"terminal", "60120099", "ID-2"},
		{"day", drillDay.Add(1).String(), "XD"}} {
		rows := d.add(night, reconcile.Success, reconcile.Posted, reconcile.Charged)
		rows[reconcile.Bank].Values[c.column] = c.value
		d.want[d.serial()] = c.code
	}
}

// across lets the bank list a payment of the eve today.
func (d *Drill) across(late int) {
	n := d.n
	d.n = late - 2
	rows := d.add(night, reconcile.None, reconcile.Absent, reconcile.Charged, 0, 0, pay.Amount(10000+late-1))
	rows[reconcile.Bank].Values["reference"] = d.serial()
	d.want[d.serial()] = "XD"
	d.n = late
	d.want[d.serial()] = "到期"
	d.n = n
}

// morrow has a serial twice in the journal, which is our own fault.
func (d *Drill) morrow(*reconcile.Matrix) {
	d.pended()
	d.flat(200)
	rows := d.add(noon, reconcile.Success, reconcile.Posted, reconcile.Charged)
	r := *rows[reconcile.Journal]
	d.rows[reconcile.Journal] = append(d.rows[reconcile.Journal], r)
	d.want[d.serial()] = "DU-3"
}

// pended are the day's items that wait for today and find nothing.
func (d *Drill) pended() {
	for _, s := range d.waiting {
		d.want[s] = "到期"
	}
}

func copied(m map[string]string) map[string]string {
	c := map[string]string{}
	for k, v := range m {
		c[k] = v
	}
	return c
}
