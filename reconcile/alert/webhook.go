package alert

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// webhook posts messages as JSON. The header Idempotency-Key is the message's
// ID; with a secret X-Qianzhi-Signature is sha256= and the HMAC-SHA256 of the
// body in hex.
type webhook struct {
	o      WebhookOptions
	client *http.Client
}

func newWebhook(o WebhookOptions) *webhook {
	return &webhook{o: o, client: &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (w *webhook) name() string { return "webhook" }

func (w *webhook) wants(m *Message) bool {
	return len(w.o.Events) == 0 || slices.Contains(w.o.Events, m.Event)
}

func (w *webhook) send(ctx context.Context, m *Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return final{err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.o.URL, bytes.NewReader(body))
	if err != nil {
		return final{errors.New("url cannot be used")}
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Idempotency-Key", m.ID)
	if w.o.Secret != "" {
		key, err := secret(w.o.Secret)
		if err != nil {
			return err
		}
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(body)
		req.Header.Set("X-Qianzhi-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	rep, err := w.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the address, which may hold a secret
		}
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(rep.Body, 1<<16)) // so that the connection can be used again
	if err = errors.Join(err, rep.Body.Close()); err != nil {
		return err
	}
	switch c := rep.StatusCode; {
	case c/100 == 2:
		return nil
	case c/100 == 5 || c == http.StatusRequestTimeout || c == http.StatusTooManyRequests || c == http.StatusConflict:
		return fmt.Errorf("answered %d", c)
	default:
		return final{fmt.Errorf("answered %d", c)}
	}
}

// secret reads a secret from a file that only we can read.
func secret(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", final{fmt.Errorf("%s is open to others (mode %o), want 600", name, info.Mode().Perm())}
	}
	if info.Size() > 4096 {
		return "", final{fmt.Errorf("%s is too long for a secret", name)}
	}
	b, err := os.ReadFile(name)
	text := strings.TrimSpace(string(b))
	if err == nil && text == "" {
		return "", final{fmt.Errorf("%s is empty", name)}
	}
	return text, err
}
