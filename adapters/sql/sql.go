package sql

import (
	"context"
	db "database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver registers itself as pgx
	_ "github.com/mattn/go-sqlite3"    // the driver registers itself as sqlite3

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// Options are the parts and limits of one counterparty.
type Options struct {
	Name    string
	Source  string // data source name, as the driver wants it; passwords belong into a passfile
	Script  *Script
	Dialect *protocol.Dialect
	Conns   int           // calls at once, each on a connection of its own
	Idle    time.Duration // a connection unused for so long is closed, 0: never
	Now     func() time.Time
}

// Adapter is a gateway adapter over a database. It is safe for concurrent use.
// Nothing can arrive late: who is not answered asks by serial.
type Adapter struct {
	o        Options
	db       *db.DB
	messages [][]step
}

// New builds an adapter; nothing is connected until the first call.
func New(o Options) (*Adapter, error) {
	if o.Conns <= 0 || o.Idle < 0 || o.Now == nil {
		return nil, errors.New("sql: connections must be positive, idle not negative")
	}
	messages, err := o.Script.compile(o.Dialect)
	if err != nil {
		return nil, fmt.Errorf("sql: %w", err)
	}
	d := drivers[o.Script.Driver]
	if !slices.Contains(db.Drivers(), d.name) {
		return nil, fmt.Errorf("sql: driver: this program was built without %s (go build -tags %s)", o.Script.Driver, o.Script.Driver)
	}
	pool, err := db.Open(d.name, o.Source)
	if err != nil {
		return nil, errors.New("sql: the data source name is not understood") // the driver's text repeats it, with a password
	}
	pool.SetMaxOpenConns(o.Conns)
	pool.SetMaxIdleConns(o.Conns)
	pool.SetConnMaxIdleTime(o.Idle)
	return &Adapter{o: o, db: pool, messages: messages}, nil
}

// Run closes the connections when ctx ends.
func (a *Adapter) Run(ctx context.Context) error {
	<-ctx.Done()
	return a.db.Close()
}

// Up returns how many connections are open.
func (a *Adapter) Up() int { return a.db.Stats().OpenConnections }

// Do runs the statements of one message as one transaction. The error is a
// *pay.Fault: not sent when the transaction did not begin or its rollback was
// confirmed, else in doubt.
func (a *Adapter) Do(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	c := call{a: a, now: a.o.Now()}
	c.in.Reset(a.o.Dialect.Request.Codec.Layout())
	c.out.Reset(a.o.Dialect.Reply.Codec.Layout())
	var err error
	if c.msg, err = a.o.Dialect.Map.AppendRequest(numbered(req), c.now, &c.in, &c.head); err != nil {
		return pay.Reply{}, &pay.Fault{Code: pay.CodeFormat, Err: err}
	}
	tx, err := a.db.BeginTx(ctx, &db.TxOptions{Isolation: isolations[a.o.Script.Isolation]})
	if err != nil {
		return pay.Reply{}, &pay.Fault{Code: pay.CodeUnreachable, Err: err}
	}
	keep, err := c.run(ctx, tx)
	var rep pay.Reply
	if err == nil {
		rep, err = c.reply(req)
	}
	switch {
	case err != nil:
		return pay.Reply{}, a.undone(tx, err)
	case !keep:
		if err := tx.Rollback(); err != nil {
			return pay.Reply{}, &pay.Fault{Code: pay.CodeUnknown, Sent: true, Err: fmt.Errorf("rollback: %w", err)}
		}
		return rep, nil
	}
	if err := tx.Commit(); err != nil {
		return pay.Reply{}, &pay.Fault{Code: pay.CodeUnknown, Sent: true, Err: fmt.Errorf("commit: %w", err)}
	}
	return rep, nil
}

// numbered gives the request the number that link files for shared connections
// want; answers of a database need none.
func numbered(req *pay.Request) *pay.Request {
	r := *req
	r.More = append(slices.Clip(r.More), pay.Field{ID: pay.FCorrelation, Val: req.Ref.Serial})
	return &r
}

// undone rolls back and says what that proves.
func (a *Adapter) undone(tx *db.Tx, cause error) error {
	if err := tx.Rollback(); err != nil || !a.o.Script.RollsBack {
		return &pay.Fault{Code: pay.CodeUnknown, Sent: true, Err: errors.Join(cause, err)}
	}
	return &pay.Fault{Code: pay.CodeNotAccepted, Err: cause}
}

// call is one message under way.
type call struct {
	a       *Adapter
	now     time.Time
	msg     int // number in the mapping
	head    protocol.Frame
	in, out protocol.Record
}

// run executes the steps; keep is false when what they did is to be undone.
func (c *call) run(ctx context.Context, tx *db.Tx) (keep bool, err error) {
	for i := range c.a.messages[c.msg] {
		st := &c.a.messages[c.msg][i]
		met, err := c.step(ctx, tx, st)
		switch {
		case err != nil:
			return false, fmt.Errorf("step %d: %w", i+1, err)
		case met && st.Done:
			return true, nil
		case met && st.Refuse:
			return false, nil
		case !met && st.Else != "":
			c.refuse(st.Else)
			return false, nil
		}
	}
	return true, nil
}

// step executes one statement and reports whether it had a row or changed as
// many as it has to.
func (c *call) step(ctx context.Context, tx *db.Tx, st *step) (met bool, err error) {
	if st.Read != "" {
		rows, err := tx.QueryContext(ctx, st.text, c.args(st, -1)...)
		if err != nil {
			return false, err
		}
		n, err := st.read(rows, &c.out)
		return n > 0, err
	}
	if st.each < 0 {
		return c.exec(ctx, tx, st, -1)
	}
	for i, n := range c.in.Nodes() {
		if n.ID != uint16(st.each) {
			continue
		}
		if met, err := c.exec(ctx, tx, st, i); err != nil || !met {
			return met, err
		}
	}
	return true, nil
}

func (c *call) exec(ctx context.Context, tx *db.Tx, st *step, parent int) (met bool, err error) {
	res, err := tx.ExecContext(ctx, st.text, c.args(st, parent)...)
	if err != nil || st.Affects == nil {
		return err == nil, err
	}
	n, err := res.RowsAffected()
	return n == *st.Affects, err
}

// args are the values of the parameters; what the request does not carry is
// NULL. Parent is the number of the loop's entry, -1: none.
func (c *call) args(st *step, parent int) []any {
	args := make([]any, len(st.params))
	for i, id := range st.params {
		n := c.in.Find(id)
		if parent >= 0 {
			if in := c.in.Child(parent, id); in >= 0 {
				n = in
			}
		}
		if n >= 0 {
			args[i] = string(c.in.Value(n))
		}
	}
	return args
}

// refuse makes a response code the whole answer.
func (c *call) refuse(wire string) {
	c.out.Reset(c.a.o.Dialect.Reply.Codec.Layout())
	for _, mv := range c.a.o.Dialect.Map.Messages[c.msg].Reply.Moves {
		if mv.Field == pay.FCode && mv.Slot.Head == protocol.HeadNone {
			c.out.PutString(mv.Slot.ID, -1, wire)
		}
	}
}

// reply reads the answer. Which message it answers is known.
func (c *call) reply(req *pay.Request) (pay.Reply, error) {
	d := c.a.o.Dialect
	for _, k := range d.Map.Messages[c.msg].Reply.Consts {
		if k.Slot.Head == protocol.HeadNone && c.out.Find(k.Slot.ID) < 0 {
			c.out.PutString(k.Slot.ID, -1, k.Val)
		}
	}
	rep, err := d.Map.Reply(c.msg, &c.head, &c.out, c.now)
	if err == nil {
		err = echoes(req, &rep)
	}
	return rep, err
}

// ErrEcho reports rows that are about another payment than the request is.
var ErrEcho = errors.New("rows name another serial or amount")

// echoes compares what the rows say with what was asked.
func echoes(req *pay.Request, rep *pay.Reply) error {
	back := pay.Find(rep.More, pay.FSerial)
	switch {
	case back != "" && back != req.Ref.Serial:
		return ErrEcho
	case req.Op.Collects() && rep.Verdict == pay.Approved && rep.Amount != req.Amount:
		return ErrEcho
	}
	return nil
}
