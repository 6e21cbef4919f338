package alert

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/smtp"
	"net/textproto"
	"slices"
	"strings"
	"time"
)

// mailLimit is how long the relay may take.
const mailLimit = 30 * time.Second

// mailbox takes messages to a relay for people.
type mailbox struct {
	o     MailOptions
	trust *tls.Config // nil: what the system trusts
}

func (b *mailbox) name() string { return "mail" }

func (b *mailbox) wants(m *Message) bool {
	if len(b.o.Events) == 0 {
		return m.Event == Alarm
	}
	return slices.Contains(b.o.Events, m.Event)
}

// send speaks to the relay, over TLS when it offers that. A password is only
// given over TLS or to this machine.
func (b *mailbox) send(ctx context.Context, m *Message) error {
	host, _, err := net.SplitHostPort(b.o.Relay)
	if err != nil {
		return final{err}
	}
	ctx, cancel := context.WithTimeout(ctx, mailLimit)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", b.o.Relay)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	if err := b.talk(c, host, m); err != nil {
		var t *textproto.Error
		if errors.As(err, &t) && t.Code/100 == 5 {
			return final{err}
		}
		return err
	}
	return nil
}

func (b *mailbox) talk(c *smtp.Client, host string, m *Message) error {
	if ok, _ := c.Extension("STARTTLS"); ok {
		trust := &tls.Config{MinVersion: tls.VersionTLS12}
		if b.trust != nil {
			trust = b.trust.Clone()
		}
		trust.ServerName = host
		if err := c.StartTLS(trust); err != nil {
			return err
		}
	}
	if b.o.User != "" {
		password, err := secret(b.o.Password)
		if err != nil {
			return err
		}
		if err := c.Auth(smtp.PlainAuth("", b.o.User, password, host)); err != nil {
			return err
		}
	}
	if err := c.Mail(b.o.From); err != nil {
		return err
	}
	to := b.people(m)
	for _, a := range to {
		if err := c.Rcpt(a); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, err = w.Write(b.letter(m, to))
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	_ = c.Quit() // the relay has the message
	return nil
}

// people are who gets a message.
func (b *mailbox) people(m *Message) []string {
	to := slices.Clone(b.o.To)
	if m.Level == Page {
		to = append(to, b.o.Supervisor...)
	}
	slices.Sort(to)
	return slices.Compact(to)
}

// letter writes the message as mail.
func (b *mailbox) letter(m *Message, to []string) []byte {
	sum := sha256.Sum256([]byte(m.ID))
	_, domain, _ := strings.Cut(b.o.From, "@")
	subject := fmt.Sprintf("[%s] %s %s %s", m.Level.chinese(), m.Channel, m.Day, m.Event.chinese())
	text := m.Text + "\n\n" + "节点 " + m.Node + "  时间 " + m.At + "  编号 " + m.ID + "\n"
	body := base64.StdEncoding.EncodeToString([]byte(text))
	var out strings.Builder
	for _, h := range [][2]string{{"From", b.o.From}, {"To", strings.Join(to, ", ")}, {"Subject", mime.BEncoding.Encode("utf-8", subject)},
		{"Message-ID", "<" + hex.EncodeToString(sum[:16]) + "@" + domain + ">"}, {"Auto-Submitted", "auto-generated"}, {"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "base64"}} {
		out.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	if at, err := time.Parse(time.RFC3339, m.At); err == nil {
		out.WriteString("Date: " + at.Format(time.RFC1123Z) + "\r\n")
	}
	out.WriteString("\r\n")
	for len(body) > 76 {
		out.WriteString(body[:76] + "\r\n")
		body = body[76:]
	}
	return []byte(out.String() + body + "\r\n")
}

func (l Level) chinese() string {
	return map[Level]string{Info: "通知", Remind: "提醒", Warn: "警告", Page: "紧急"}[l]
}

func (e Event) chinese() string {
	return map[Event]string{FileRejected: "文件拒收", RunFinished: "对账结束", VerdictChanged: "结论改变", Signed: "签核", Overdue: "文件逾限", Alarm: "告警"}[e]
}
