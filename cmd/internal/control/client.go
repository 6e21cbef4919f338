// Package control gives orders to a running daemon over its admin socket.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"qianzhi/gateway/admin"
	"qianzhi/gateway/pay"
)

// Client talks to one daemon.
type Client struct {
	http *http.Client
}

// New builds a client of the daemon whose admin socket is at path.
func New(path string) *Client {
	return &Client{&http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}}}
}

// Status asks for the daemon's state.
func (c *Client) Status(ctx context.Context) (st admin.Status, err error) {
	return st, c.call(ctx, http.MethodGet, "/v1/status", nil, &st)
}

// Cut ends the running accounting day.
func (c *Client) Cut(ctx context.Context, next pay.Day) (st admin.Status, err error) {
	return st, c.call(ctx, http.MethodPost, "/v1/day/cut", map[string]string{"day": next.String()}, &st)
}

// Settle settles the batches of a closed day at the card centres.
func (c *Client) Settle(ctx context.Context, day pay.Day) (batches []admin.Settled, err error) {
	return batches, c.call(ctx, http.MethodPost, "/v1/day/settle", map[string]string{"day": day.String()}, &batches)
}

// Reconcile runs the reconciliation of a day.
func (c *Client) Reconcile(ctx context.Context, day pay.Day) (runs []admin.Run, err error) {
	return runs, c.call(ctx, http.MethodPost, "/v1/recon/run", map[string]string{"day": day.String()}, &runs)
}

// Repair has the daemon do what was decided about an item of a day.
func (c *Client) Repair(ctx context.Context, day pay.Day, channel, item string) (string, error) {
	var done struct {
		Outcome string `json:"outcome"`
	}
	err := c.call(ctx, http.MethodPost, "/v1/recon/apply", map[string]string{"day": day.String(), "channel": channel, "item": item}, &done)
	return done.Outcome, err
}

// Note has the daemon write into its journal what somebody did.
func (c *Client) Note(ctx context.Context, text string) error {
	var done struct{}
	return c.call(ctx, http.MethodPost, "/v1/journal/note", map[string]string{"text": text}, &done)
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://daemon"+path, body)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("守护进程没有应答(是否在运行?): %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		var e struct {
			Error string `json:"error"`
		}
		if err := json.NewDecoder(res.Body).Decode(&e); err != nil || e.Error == "" {
			return fmt.Errorf("守护进程: %s", res.Status)
		}
		return errors.New(e.Error)
	}
	return json.NewDecoder(res.Body).Decode(out)
}
