package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"qianzhi/gateway/access"
	"qianzhi/gateway/pay"
)

// order is one thing that people ask of the daemon.
type order struct {
	pattern string
	right   access.Right
	do      func(w http.ResponseWriter, r *http.Request, p access.Principal)
}

// orders is the whole list, with who may give each. On the socket the daemon's
// own user has the rights of local.
func (s *Server) orders() []order {
	list := []order{
		{"GET /v1/status", access.View, s.status},
		{"GET /v1/journal/waiting", access.View, s.waiting},
		{"POST /v1/day/cut", access.Operate, s.cut},
		{"POST /v1/day/settle", access.Operate, s.settle},
		{"POST /v1/recon/run", access.Operate, s.reconcile},
		{"POST /v1/recon/apply", access.Operate, s.apply},
	}
	if s.o.Users == nil {
		return list
	}
	return append(list,
		order{"GET /v1/acts", access.Inspect, s.acts},
		order{"GET /v1/users", access.Users, s.users},
		order{"POST /v1/users/{act}", access.Users, s.manage},
	)
}

// local is what the operating system's user who may open the socket may do
// without a login: what the command line did before there were users.
func local(r access.Right) bool { return r == access.View || r == access.Operate }

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	st := s.o.Status()
	code := http.StatusOK
	for _, p := range st.Problems {
		if p.Fatal {
			code = http.StatusServiceUnavailable
		}
	}
	s.say(w, code, map[string]any{"problems": st.Problems})
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		s.say(w, http.StatusServiceUnavailable, map[string]any{"problems": []Problem{{Part: "daemon", Text: "正在停止", Fatal: true}}})
		return
	}
	s.health(w, r)
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request, _ access.Principal) {
	s.say(w, http.StatusOK, s.o.Status())
}

// waiting lists the payments that wait for a decision, and why.
func (s *Server) waiting(w http.ResponseWriter, r *http.Request, _ access.Principal) {
	list, err := s.o.Waiting(r.Context())
	if err != nil {
		s.fail(w, http.StatusInternalServerError, err)
		return
	}
	s.say(w, http.StatusOK, map[string]any{"count": len(list), "payments": list[:min(len(list), maxWaiting)]})
}

// maxWaiting is how many payments one answer lists, the first due first.
const maxWaiting = 1000

// dayOrder is the body of an order about a day.
type dayOrder struct {
	Day    string `json:"day"` // YYYYMMDD
	Reason string `json:"reason,omitempty"`
}

func (s *Server) cut(w http.ResponseWriter, r *http.Request, p access.Principal) {
	day, o, ok := s.day(w, r, p)
	if !ok {
		return
	}
	s.o.Log.Info("day cut ordered", "event", "QZ132", "next", day.String(), "by", p.Name())
	err := s.act(r.Context(), p.Act("day.cut", day.String(), o.Reason), func(ctx context.Context) error { return s.o.Control.Cut(ctx, day) })
	s.outcome(w, err, s.o.Status())
}

func (s *Server) settle(w http.ResponseWriter, r *http.Request, p access.Principal) {
	day, o, ok := s.day(w, r, p)
	if !ok {
		return
	}
	var batches []Settled
	err := s.act(r.Context(), p.Act("day.settle", day.String(), o.Reason), func(ctx context.Context) (err error) {
		batches, err = s.o.Control.Settle(ctx, day)
		return err
	})
	s.outcome(w, err, batches)
}

func (s *Server) reconcile(w http.ResponseWriter, r *http.Request, p access.Principal) {
	day, o, ok := s.day(w, r, p)
	if !ok {
		return
	}
	var runs []Run
	err := s.act(r.Context(), p.Act("recon.run", day.String(), o.Reason), func(ctx context.Context) (err error) {
		runs, err = s.o.Control.Reconcile(ctx, day)
		return err
	})
	s.outcome(w, err, runs)
}

// apply does what people have decided about an item; the decision, with its two
// names, is in the files of the day, and is looked at there.
func (s *Server) apply(w http.ResponseWriter, r *http.Request, p access.Principal) {
	var o struct {
		Day     string `json:"day"`
		Channel string `json:"channel"`
		Item    string `json:"item"`
	}
	err := decode(r, &o)
	var day pay.Day
	if err == nil {
		day, err = pay.ParseDay(o.Day)
	}
	if err != nil {
		s.fail(w, http.StatusBadRequest, err)
		return
	}
	var done string
	err = s.act(r.Context(), p.Act("recon.carry-out", o.Day+" "+o.Channel+" "+o.Item, ""), func(ctx context.Context) (err error) {
		done, err = s.o.Control.Apply(ctx, day, o.Channel, o.Item)
		return err
	})
	s.outcome(w, err, map[string]string{"outcome": done})
}

// act does what was ordered after its record is durable. A failure is recorded
// too. Once it has begun the end of ctx is not heeded.
func (s *Server) act(ctx context.Context, a access.Act, do func(context.Context) error) error {
	ctx = context.WithoutCancel(ctx)
	if err := s.o.Audit.Record(ctx, a); err != nil {
		return errors.Join(errUnrecorded, err)
	}
	err := do(ctx)
	if err != nil {
		a.Failed = err.Error()
		err = errors.Join(err, s.o.Audit.Record(ctx, a))
	}
	return err
}

var errUnrecorded = errors.New("没有留下记录, 因此不执行")

// outcome answers an order.
func (s *Server) outcome(w http.ResponseWriter, err error, v any) {
	switch {
	case err == nil:
		s.say(w, http.StatusOK, v)
	case errors.Is(err, errUnrecorded):
		s.fail(w, http.StatusServiceUnavailable, err)
	case errors.Is(err, access.ErrRight):
		s.fail(w, http.StatusForbidden, err)
	default:
		s.fail(w, http.StatusConflict, err)
	}
}

// note takes an act that people answer for; it is done only after the note is
// durable. It is for the socket: who may open it may write the journal's keys.
func (s *Server) note(w http.ResponseWriter, r *http.Request) {
	var n struct {
		Text string `json:"text"`
	}
	if err := decode(r, &n); err != nil || n.Text == "" {
		s.fail(w, http.StatusBadRequest, errors.Join(err, errors.New("want a text")))
		return
	}
	if err := s.o.Control.Note(r.Context(), n.Text); err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	s.say(w, http.StatusOK, struct{}{})
}

// acts shows what was done on a day.
func (s *Server) acts(w http.ResponseWriter, r *http.Request, _ access.Principal) {
	day, err := pay.ParseDay(r.URL.Query().Get("day"))
	if err != nil {
		s.fail(w, http.StatusBadRequest, err)
		return
	}
	list, err := s.o.Acts(r.Context(), day)
	s.outcome(w, err, list)
}

// decode reads the body of an order to its end.
func decode(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more after the end")
	}
	return nil
}

// day reads an order about a day. Who is logged in says why; on the socket the
// command line says it where it has something to say.
func (s *Server) day(w http.ResponseWriter, r *http.Request, p access.Principal) (pay.Day, dayOrder, bool) {
	var o dayOrder
	err := decode(r, &o)
	var day pay.Day
	if err == nil {
		day, err = pay.ParseDay(o.Day)
	}
	if err == nil && o.Reason == "" && p.Role() != access.NoRole {
		err = access.ErrReason
	}
	if err != nil {
		s.fail(w, http.StatusBadRequest, err)
	}
	return day, o, err == nil
}

func (s *Server) fail(w http.ResponseWriter, code int, err error) {
	s.say(w, code, map[string]string{"error": err.Error()})
}

// say answers. A client that does not read is left after a while.
func (s *Server) say(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patient)) // a recorder in tests has none
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.o.Log.Debug("admin: asker is gone", "err", err)
	}
}
