package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"qianzhi/gateway/access"
)

// account is a user as others may see it.
type account struct {
	Name     string      `json:"name"`
	Person   string      `json:"person"`
	Role     access.Role `json:"role"`
	Fresh    bool        `json:"fresh"`
	Failures int         `json:"failures"`
	Until    time.Time   `json:"until,omitzero"`
	Locked   string      `json:"locked,omitempty"`
}

func (s *Server) users(w http.ResponseWriter, _ *http.Request, _ access.Principal) {
	us, err := s.o.Users.List()
	list := make([]account, 0, len(us))
	for _, u := range us {
		list = append(list, account{u.Name, u.Person, u.Role, u.Fresh, u.Failures, u.Until, u.Locked})
	}
	s.outcome(w, err, list)
}

// change is the body of an order about a user.
type change struct {
	Name     string      `json:"name"`
	Person   string      `json:"person,omitempty"`
	Role     access.Role `json:"role,omitempty"`
	Password string      `json:"password,omitempty"`
	Reason   string      `json:"reason,omitempty"`
}

// enrolled is what the owner of an account is told once.
type enrolled struct {
	Enrolment string `json:"enrolment,omitempty"` // otpauth URI
}

// manage changes users; the directory records each change and checks the right
// to it once more, as of the moment of the change.
func (s *Server) manage(w http.ResponseWriter, r *http.Request, p access.Principal) {
	var c change
	if err := decode(r, &c); err != nil {
		s.fail(w, http.StatusBadRequest, err)
		return
	}
	out, err := s.changed(context.WithoutCancel(r.Context()), r.PathValue("act"), p, c)
	if errors.Is(err, errNoAct) {
		s.fail(w, http.StatusNotFound, err)
		return
	}
	s.outcome(w, err, out)
}

var errNoAct = errors.New("no such act")

func (s *Server) changed(ctx context.Context, act string, p access.Principal, c change) (out enrolled, err error) {
	d := s.o.Users
	var u access.User
	switch act {
	case "add":
		u, err = d.Add(ctx, p, c.Name, c.Person, c.Role, c.Password)
	case "totp":
		u, err = d.SetTOTP(ctx, p, c.Name, c.Reason)
	case "passwd":
		err = d.SetPassword(ctx, p, c.Name, c.Password, c.Reason)
	case "role":
		err = d.SetRole(ctx, p, c.Name, c.Role, c.Reason)
	case "lock":
		err = d.Lock(ctx, p, c.Name, c.Reason)
	case "unlock":
		err = d.Unlock(ctx, p, c.Name, c.Reason)
	case "remove":
		err = d.Remove(ctx, p, c.Name, c.Reason)
	default:
		return out, errNoAct
	}
	if err == nil && u.Name != "" {
		out.Enrolment = access.Enrolment(u)
	}
	return out, err
}
