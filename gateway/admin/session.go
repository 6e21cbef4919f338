package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"

	"qianzhi/gateway/access"
	"qianzhi/gateway/limit"
)

// The names of what a session travels in.
const (
	cookie     = "qianzhi_session"
	csrfHeader = "X-CSRF-Token"
)

// logins bounds how often anybody may try to log in, over all accounts: each
// try takes memory and a row of the journal.
func logins() *limit.Bucket {
	return limit.NewBucket(limit.Rate{Events: 30, Per: time.Minute, Burst: 10}, time.Now)
}

type uidKey struct{}

// known notes which user of the operating system opened a socket connection.
func known(ctx context.Context, c net.Conn) context.Context {
	if u, ok := c.(*net.UnixConn); ok {
		if uid, err := peerUID(u); err == nil {
			return context.WithValue(ctx, uidKey{}, uid)
		}
	}
	return ctx
}

var (
	errCSRF = errors.New("缺少或不符的 " + csrfHeader)
	errHost = errors.New("unknown host name")
	errBusy = errors.New("登录过于频繁, 请稍后再试")
)

// guarded lets an order through to those who may give it.
func (s *Server) guarded(o order, unix bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, err := s.principal(r, unix)
		switch {
		case errors.Is(err, errCSRF):
			s.fail(w, http.StatusForbidden, err)
		case err != nil:
			s.fail(w, http.StatusUnauthorized, err)
		case !p.May(o.right) && !(unix && p.Role() == access.NoRole && local(o.right)):
			s.fail(w, http.StatusForbidden, access.ErrRight)
		default:
			o.do(w, r, p)
		}
	}
}

// principal establishes who asks: by the session, on the socket also by the
// operating system.
func (s *Server) principal(r *http.Request, unix bool) (access.Principal, error) {
	c, err := r.Cookie(cookie)
	if err != nil || s.o.Users == nil {
		if uid, ok := r.Context().Value(uidKey{}).(int); unix && ok {
			return access.Local(uid, "socket"), nil
		}
		return access.Principal{}, access.ErrNoSession
	}
	p, csrf, err := s.o.Sessions.Get(c.Value)
	if err != nil {
		return access.Principal{}, err
	}
	if r.Method != http.MethodGet && !access.Same(csrf, r.Header.Get(csrfHeader)) {
		return access.Principal{}, errCSRF
	}
	return p, nil
}

// who is what a client is told of its own session.
type who struct {
	Name  string      `json:"name"`
	Role  access.Role `json:"role"`
	Fresh bool        `json:"fresh"` // the password has to be changed first
	CSRF  string      `json:"csrf"`  // to be sent with every change as X-CSRF-Token
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	var c struct {
		Name     string `json:"name"`
		Password string `json:"password"`
		Code     string `json:"code"`
	}
	if err := decode(r, &c); err != nil {
		s.fail(w, http.StatusBadRequest, errors.New("want name, password and code")) // the text of a bad body may be a password
		return
	}
	if !s.logins.Take() {
		s.fail(w, http.StatusTooManyRequests, errBusy)
		return
	}
	p, err := s.o.Users.Login(r.Context(), c.Name, c.Password, c.Code, "web")
	if err == nil {
		err = s.begin(w, r, p)
	}
	if err != nil {
		s.o.Log.Warn("login refused", "event", "QZ510", "peer", r.RemoteAddr)
		s.fail(w, http.StatusUnauthorized, err)
	}
}

func (s *Server) begin(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	token, csrf, err := s.o.Sessions.Open(p)
	if err != nil {
		return err
	}
	s.setCookie(w, r, token, 0)
	s.say(w, http.StatusOK, who{p.Name(), p.Role(), p.Fresh(), csrf})
	return nil
}

// setCookie gives the token to the browser alone: no script reads it, no other
// site sends it, and over TLS it travels only there.
func (s *Server) setCookie(w http.ResponseWriter, r *http.Request, token string, age int) {
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: token, Path: "/", MaxAge: age, HttpOnly: true, Secure: r.TLS != nil,
		SameSite: http.SameSiteStrictMode})
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if _, err := s.principal(r, false); err != nil {
		s.fail(w, http.StatusUnauthorized, err)
		return
	}
	if c, err := r.Cookie(cookie); err == nil {
		s.o.Sessions.End(c.Value)
	}
	s.setCookie(w, r, "", -1)
	s.say(w, http.StatusOK, struct{}{})
}

func (s *Server) me(w http.ResponseWriter, r *http.Request) {
	p, err := s.principal(r, false)
	if err != nil {
		s.fail(w, http.StatusUnauthorized, err)
		return
	}
	c, _ := r.Cookie(cookie) // there, or there would be no principal
	_, csrf, err := s.o.Sessions.Get(c.Value)
	s.outcome(w, err, who{p.Name(), p.Role(), p.Fresh(), csrf})
}

// own changes the own password; it ends the sessions.
func (s *Server) own(w http.ResponseWriter, r *http.Request) {
	p, err := s.principal(r, false)
	if err != nil {
		s.fail(w, http.StatusUnauthorized, err)
		return
	}
	var c struct {
		Password string `json:"password"`
	}
	if decode(r, &c) != nil {
		s.fail(w, http.StatusBadRequest, errors.New("want a password"))
		return
	}
	s.outcome(w, s.o.Users.SetPassword(context.WithoutCancel(r.Context()), p, p.Name(), c.Password, ""), struct{}{})
}

// shield sets what browsers are to keep to, and refuses other sites and names:
// a page elsewhere that resolves its own name to this address is not served.
func (s *Server) shield(h http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		for k, v := range map[string]string{"Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"} {
			head.Set(k, v)
		}
		if r.TLS != nil {
			head.Set("Strict-Transport-Security", "max-age=31536000")
		} else if !loopbackHost(r.Host) {
			s.fail(w, http.StatusMisdirectedRequest, errHost)
			return
		}
		if err := cross.Check(r); err != nil {
			s.fail(w, http.StatusForbidden, err)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
