package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"qianzhi/adapters/tuxedo"
	"qianzhi/cmd/internal/peer"
)

// MISDoor is one more door of the embedded MIS, over the same ledger. Its
// database door needs none: a host of kind sql opens the ledger's file.
type MISDoor struct {
	ID       string          `yaml:"id"`
	Kind     string          `yaml:"kind"` // soap or tuxedo
	File     string          `yaml:"file"` // link file
	Listen   string          `yaml:"listen"`
	Envelope tuxedo.Envelope `yaml:"envelope"` // tuxedo
}

// Check reports the first setting that cannot work.
func (d *MISDoor) Check() error {
	switch {
	case d.ID == "" || d.File == "" || d.Listen == "":
		return errors.New("doors: id, file and listen are needed")
	case d.Kind != "soap" && d.Kind != "tuxedo":
		return fmt.Errorf("doors: kind: want soap or tuxedo, got %q", d.Kind)
	case d.Kind == "tuxedo" && d.Envelope == tuxedo.Envelope{}:
		return errors.New("doors: envelope: missing")
	}
	if err := d.Envelope.Check(); err != nil {
		return fmt.Errorf("doors: %w", err)
	}
	return address(d.Listen)
}

// misDoors reads the links of the MIS's other doors.
func (p *Plan) misDoors() error {
	for i := range p.Config.MIS.Doors {
		o := &p.Config.MIS.Doors[i]
		if err := o.Check(); err != nil {
			return p.wrong(err, "mis", "doors", i)
		}
		d, err := p.door(LinkOptions{ID: o.ID, File: o.File})
		if err != nil {
			return p.wrong(err, "mis", "doors", i, "file")
		}
		p.misMore = append(p.misMore, d)
	}
	return nil
}

// openMISDoors opens them.
func (a *App) openMISDoors() error {
	for i, d := range a.plan.misMore {
		o := a.plan.Config.MIS.Doors[i]
		ln, err := net.Listen("tcp", o.Listen)
		if err != nil {
			return fmt.Errorf("mis door %s: %w", o.ID, err)
		}
		a.opened(o.ID, ln.Addr().String(), nil)
		h := &peer.Host{Dialect: d.dialect, Handler: a.ledger, Script: new(peer.Script), Now: a.plan.now, Note: func(line string) { a.log.Debug("mis", "door", o.ID, "note", line) },
			Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
		run := func(ctx context.Context) error { return h.ServeGate(ctx, ln, o.Envelope, tuxedo.FML32) }
		if o.Kind == "soap" {
			run = func(ctx context.Context) error { return h.ServeSOAP(ctx, ln, d.link) }
		}
		a.stack.push(task{name: "mis door " + o.ID, run: run})
	}
	return nil
}
