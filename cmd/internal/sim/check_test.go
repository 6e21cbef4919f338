package sim

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"time"

	"qianzhi/conf"
	"qianzhi/gateway/journal"
	"qianzhi/gateway/journal/sqlite"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/report"
	"qianzhi/reconcile/statement"
)

// entries reads every payment of the journal.
func (w *world) entries() map[string]pay.Entry {
	j := w.process().journal
	all := map[string]pay.Entry{}
	for d := today; d <= j.Day(); d = d.Add(1) {
		if !j.Has(d) {
			continue
		}
		w.must(j.Lines(context.Background(), d, ^uint64(0), func(e *pay.Entry) bool {
			key := e.Req.Via.Link + "/" + pay.Find(e.Req.More, pay.FTerminal) + "/" + e.Req.Ref.Serial
			if _, twice := all[key]; twice {
				w.fail("%s is in the journal twice", key)
			}
			all[key] = e.Clone()
			return true
		}))
	}
	return all
}

func keyOf(d *deal) string {
	return d.link + "/" + pay.Find(d.req.More, pay.FTerminal) + "/" + d.req.Ref.Serial
}

// books holds what was told and what happened against each other.
func (w *world) books(deals []*deal) map[string]pay.Entry {
	all := w.entries()
	w.host.mu.Lock()
	w.wrong = append(w.wrong, w.host.wrong...)
	w.host.mu.Unlock()
	w.centre.mu.Lock()
	w.wrong = append(w.wrong, w.centre.wrong...)
	w.centre.mu.Unlock()
	w.purses.mu.Lock()
	w.wrong = append(w.wrong, w.purses.wrong...)
	w.purses.mu.Unlock()
	w.givenBack(deals, all)
	waits := map[pay.ID]bool{} // a person decides whether money of them went back
	for _, e := range all {
		waits[e.Original] = waits[e.Original] || e.Undoes() && e.State == pay.Susp
	}
	for key, e := range all {
		if e.Undoes() {
			continue
		}
		if !waits[e.ID] {
			w.legs(key, &e)
		}
		post := len(e.Legs) - 1
		switch {
		case e.State.Open():
			w.fail("%s is %s although all is calm", key, e.State)
		case e.State != pay.Susp || e.Wanted || post < 0 || e.Legs[post].Kind != pay.LegPost || e.Legs[post].State != pay.LegUnknown:
		case w.proved[e.ID.Serial(1)] && w.o.diskFails == 0 && w.o.crashes == 0:
			w.fail("%s was given up although its approval came: %s", key, e.Note)
		case w.o.status && e.Req.Via.Funds == pay.Untaken:
			w.fail("%s was given up although the host can be asked: %s", key, e.Note)
		}
	}
	for _, d := range deals {
		e, ok := all[keyOf(d)]
		switch {
		case !ok && d.approved:
			w.fail("%s was approved and is not in the journal", keyOf(d))
		case d.approved && !d.asked && e.State != pay.Succ:
			w.fail("%s was approved and is %s", keyOf(d), e.State)
		case d.undone && ok && e.State != pay.Revd && e.State != pay.Fail:
			w.fail("%s was told to be undone and is %s", keyOf(d), e.State)
		case d.declined && !d.asked && ok && e.State != pay.Fail && e.State != pay.Revd:
			w.fail("%s was declined and is %s", keyOf(d), e.State)
		}
	}
	return all
}

// legs holds the books of each host against what the payment has become: never
// twice, once for each leg of a success, and nowhere for a failure.
func (w *world) legs(key string, e *pay.Entry) {
	for i := range e.Legs {
		n, where := w.host.effects(e.ID.Serial(1)), "the MIS"
		switch e.Legs[i].Kind {
		case pay.LegCard:
			n, where = w.meters.effects(e.ID.Serial(1)), "the card-meter system"
		case pay.LegCharge:
			n, where = w.centre.effects(e.ID), "the card centre"
			if e.Req.Via.Link == "qr" {
				n, where = w.purses.effects(e.ID.Serial(1)), "the wallet"
			}
		}
		switch {
		case n > 1:
			w.fail("%s has %d effects at %s", key, n, where)
		case e.State == pay.Succ && n != 1, (e.State == pay.Fail || e.State == pay.Revd) && n != 0:
			w.fail("%s is %s with %d effects at %s", key, e.State, n, where)
		case e.State == pay.Susp && e.Legs[i].Kind != pay.LegPost && n > 0 && !e.Legs[i].State.Effect():
			w.fail("%s is parked, its leg is %d and has effect at %s", key, e.Legs[i].State, where)
		}
	}
}

// counts reads the history of every payment: while its state stays, the number
// of its tries goes up by one, whatever happened to the process.
func (w *world) counts(all map[string]pay.Entry) {
	a, err := journal.OpenArchive(context.Background(), sqlite.New(w.dir), w.journalOptions())
	if err != nil {
		w.fail("archive: %v", err)
		return
	}
	for key, e := range all {
		if len(e.Legs) == 0 {
			continue
		}
		_, steps, err := a.Timeline(context.Background(), e.ID)
		w.must(err)
		state, tries := pay.NoState, uint16(0)
		for _, s := range steps {
			if s.Event.State != state {
				state, tries = s.Event.State, 0
			}
			if s.Event.Kind != pay.EvAttempt {
				if s.Event.Attempt == tries+1 && s.Event.Note == "迟到应答" {
					tries++ // the try that the late answer came into
				}
				continue
			}
			if tries > 0 && s.Event.Attempt != tries+1 {
				w.fail("%s: try %d is followed by try %d", key, tries, s.Event.Attempt)
			}
			tries = s.Event.Attempt
		}
	}
	w.must(a.Close())
}

// charged is the bank's own view of a deal: did it take the money for good.
func charged(d *deal) reconcile.Effect {
	switch {
	case d.undone:
		return reconcile.Undone
	case d.approved, d.link == "fixed" && !d.declined:
		return reconcile.Charged
	}
	return reconcile.Absent
}

// night closes the day, writes the bank's file with damage of its own, and
// holds the reconciliation's items against what each payment's three sides say.
func (w *world) night(deals []*deal, all map[string]pay.Entry) {
	w.cut(w.process().journal.Day().Add(1))
	mx := w.matrix()
	last := w.process().journal.Day()
	for day := today; day < last; day = day.Add(1) {
		if !w.process().journal.Has(day) {
			continue
		}
		want := map[string]int{}
		rows, mis := w.files(deals, all, day, mx, want)
		got := w.reconcile(day, rows, mis)
		if got == nil {
			continue
		}
		if !reflect.DeepEqual(got.Codes(), want) && got.Verdict != reconcile.Doubtful {
			w.fail("night of %s found %v, want %v", day, sorted(got.Codes()), sorted(want))
		}
	}
}

func sorted(m map[string]int) string {
	var out []string
	for k, n := range m {
		out = append(out, fmt.Sprintf("%s:%d", k, n))
	}
	sort.Strings(out)
	return fmt.Sprint(out)
}

func (w *world) matrix() *reconcile.Matrix {
	b, err := conf.Files.ReadFile("recon-matrix.json")
	w.must(err)
	mx, err := reconcile.ParseMatrix(b)
	w.must(err)
	return mx
}

// files are the bank's and the host's lines of a day, and the code that each
// payment must come out with.
func (w *world) files(deals []*deal, all map[string]pay.Entry, day pay.Day, mx *reconcile.Matrix, want map[string]int) (rows, mis []statement.Row) {
	by := map[string]*deal{}
	for _, d := range deals {
		by[keyOf(d)] = d
	}
	damage := 0
	for _, key := range keysOf(all) {
		e, d := all[key], by[key]
		if e.ID.Day != day || d == nil || d.link == "cards" || d.link == "public" || d.link == "kiosk" || d.link == "qr" { // their channels are reconciled elsewhere
			continue
		}
		bank, m := charged(d), reconcile.Absent
		amount := e.Req.Amount
		serial := e.ID.Serial(1)
		if p := w.host.find(serial); p != nil {
			m = reconcile.Posted
			if p.returned {
				m = reconcile.Undone
			}
			mis = append(mis, statement.Row{Effect: m, Amount: p.amount, Values: map[string]string{"reference": serial, "host_serial": "H", "channel": e.Req.Via.Link, "account": p.account}})
		}
		state := reconcile.OfState(e.State)
		if state == reconcile.Success && m == reconcile.Posted && bank == reconcile.Charged && damage < 2 {
			if damage++; damage == 1 {
				amount++
				want["AM-3"]++
			} else {
				bank = reconcile.Undone
				want["SH-7"]++
			}
		} else if row := mx.Decide(state, m, bank); row.Grade != reconcile.Flat {
			want[row.Code]++
		}
		if bank != reconcile.Absent {
			rows = append(rows, rowOf(d, &e, bank, amount))
		}
	}
	return rows, mis
}

func keysOf(all map[string]pay.Entry) []string {
	keys := make([]string, 0, len(all))
	for k := range all {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func rowOf(d *deal, e *pay.Entry, effect reconcile.Effect, amount pay.Amount) statement.Row {
	date := ""
	if d.req.Day != 0 {
		date = d.req.Day.String()
	}
	return statement.Row{Effect: effect, Amount: amount, Values: map[string]string{"channel": d.link, "terminal": pay.Find(d.req.More, pay.FTerminal),
		"batch": pay.Find(d.req.More, pay.FBatch), "sender_date": date, "serial": d.req.Ref.Serial, "account": e.Req.Account}}
}

// paper is a party's file, written and read by its shipped specification.
type paper struct {
	spec *statement.Spec
	rows []statement.Row
}

func (p paper) Fetch(_ context.Context, day pay.Day) (reconcile.Input, error) {
	party := reconcile.Bank
	if len(p.spec.Key) == 0 {
		party = reconcile.MIS
	}
	b, err := p.spec.Write(day, p.rows)
	if err != nil {
		return reconcile.Input{}, err
	}
	lines, err := p.spec.Read(b, day, party)
	return reconcile.Input{Name: p.spec.File(day), State: reconcile.Accepted, Raw: b, Lines: lines}, err
}

func (w *world) paper(name string, rows []statement.Row) paper {
	b, err := conf.Files.ReadFile("statements/" + name)
	w.must(err)
	s, err := statement.Parse(name, b)
	w.must(err)
	return paper{s, rows}
}

func (w *world) reconcile(day pay.Day, rows, mis []statement.Row) *reconcile.Result {
	bank := w.paper("bank-lines.yaml", rows)
	run := reconcile.New(reconcile.Options{Dir: filepath.Join(w.dir, "recon"), Node: 1, Books: w.process().journal, Matrix: w.matrix(), Report: report.Files,
		Now: time.Now, Log: slog.New(slog.DiscardHandler), Channels: []reconcile.Channel{{ID: "B", Links: []string{"pos", "fixed", "http"},
			MIS: w.paper("mis-lines.yaml", mis), Bank: bank, Key: bank.spec.Keys()}}})
	res, err := run.Run(context.Background(), day)
	if err != nil || len(res) != 1 {
		w.fail("night of %s: %v", day, err)
		return nil
	}
	if res[0].Verdict == reconcile.Broken {
		w.fail("night of %s: %s %s", day, res[0].Verdict, res[0].Why)
	}
	return res[0]
}

// clean removes the seed's files.
func (w *world) clean() { w.must(os.RemoveAll(w.dir)) }
