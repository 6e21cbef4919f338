package demo

import (
	"fmt"
	"path/filepath"

	"qianzhi/cmd/internal/peer"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/statement"
)

// The channels of the demo's products: POS支付 with the card centre's list, 公共支付
// with nothing but that, and kiosks with the card-meter system's list of what it
// sold. The MIS's side is asked for, as at the bank's channel.
const moreChannels = `    - id: CARDS
      links: [kiosk-pos]
      mis: statements/mis-lines.yaml
      mis_query: mis
      bank: statements/centre-lines.yaml
    - id: PUBLIC
      links: [public]
      bank: statements/centre-lines.yaml
    - id: KIOSK
      links: [kiosk, kiosk-soap, kiosk-tuxedo, kiosk-sql]
      mis: statements/mis-lines.yaml
      mis_query: mis
      card: statements/meter-lines.yaml

`

// lists has the card centre and the card-meter system write what they did on
// the day.
func (p *products) lists(day pay.Day) error {
	charges := map[string]statement.Row{}
	for _, b := range p.posp.all() {
		channel := "kiosk-pos"
		if b.Account == p.public {
			channel = "public"
		}
		charges[b.Reference] = row(b, reconcile.Charged, map[string]string{"channel": channel, "bank_serial": b.Reference})
	}
	sales := map[string]statement.Row{}
	for _, b := range p.meter.all() {
		sales[b.Serial] = row(b, reconcile.Charged, map[string]string{"reference": b.Serial, "account": b.Account})
	}
	for name, rows := range map[string]map[string]statement.Row{"centre-lines.yaml": charges, "meter-lines.yaml": sales} {
		spec, err := p.r.h.statement(name)
		if err != nil {
			return err
		}
		var list []statement.Row
		for _, r := range rows {
			list = append(list, r)
		}
		b, err := spec.Write(day, list)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := p.r.h.write(filepath.Join("data/inbox", spec.File(day)), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// row is a host's line as its last booking of it left it.
func row(b peer.Booking, effect reconcile.Effect, values map[string]string) statement.Row {
	if b.What == "reversed" {
		effect = reconcile.Undone
	}
	return statement.Row{Effect: effect, Amount: b.Amount, Values: values}
}
