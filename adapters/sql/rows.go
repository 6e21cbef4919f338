package sql

import (
	db "database/sql"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"qianzhi/protocol"
)

const (
	maxRows  = 10_000   // of one statement
	maxValue = 64 << 10 // bytes of one value
)

// read moves the rows of a statement into the record of the reply and returns
// how many there were.
func (st *step) read(rows *db.Rows, rec *protocol.Record) (n int, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	slots, err := st.slots(columns, rec.Layout())
	if err != nil {
		return 0, err
	}
	most := st.most(rec.Layout())
	for rows.Next() {
		if n++; n > most {
			return n, fmt.Errorf("more than %d rows", most)
		}
		if err := st.row(rows, columns, slots, rec); err != nil {
			return n, fmt.Errorf("row %d: %w", n, err)
		}
	}
	return n, rows.Err()
}

// most is how many rows the statement may have.
func (st *step) most(l *protocol.Layout) int {
	switch {
	case st.loop < 0:
		return 1
	case l.Fields[st.loop].Max > 0:
		return l.Fields[st.loop].Max
	}
	return maxRows
}

// slots finds the field of each column.
func (st *step) slots(columns []string, l *protocol.Layout) ([]uint16, error) {
	slots := make([]uint16, len(columns))
	for i, name := range columns {
		if st.loop >= 0 {
			name = l.Fields[st.loop].Name + "." + name
		}
		id, ok := l.Lookup(name)
		if !ok || l.Fields[id].Group {
			return nil, &protocol.Error{Class: protocol.ClassField, Path: name, Offset: -1, Want: "a field of the reply", Got: "a column of that name"}
		}
		slots[i] = id
	}
	return slots, nil
}

func (st *step) row(rows *db.Rows, columns []string, slots []uint16, rec *protocol.Record) error {
	vals, to := make([]any, len(columns)), make([]any, len(columns))
	for i := range vals {
		to[i] = &vals[i]
	}
	if err := rows.Scan(to...); err != nil {
		return err
	}
	parent := -1
	if st.loop >= 0 {
		if parent = rec.Put(uint16(st.loop), -1, nil); parent < 0 {
			return errors.New("too many values")
		}
	}
	for i, v := range vals {
		s, ok, err := written(v)
		switch {
		case err != nil:
			return &protocol.Error{Class: protocol.ClassField, Path: columns[i], Offset: -1, Want: err.Error(), Got: fmt.Sprintf("%T", v)}
		case !ok || parent < 0 && rec.Find(slots[i]) >= 0: // a step before said it
		case rec.PutString(slots[i], parent, s) < 0:
			return errors.New("too many values")
		}
	}
	return nil
}

// written returns a value as text; NULL is no value. A float is refused: money
// would be lost in it; and a time, which databases write in too many ways.
func written(v any) (s string, ok bool, err error) {
	switch v := v.(type) {
	case nil:
		return "", false, nil
	case int64:
		return strconv.FormatInt(v, 10), true, nil
	case bool:
		return strconv.FormatBool(v), true, nil
	case string:
		s = v
	case []byte:
		s = string(v)
	default:
		return "", false, errors.New("a text or whole number; cast it in the statement")
	}
	if len(s) > maxValue || !utf8.ValidString(s) {
		return "", false, fmt.Errorf("UTF-8 of at most %d bytes", maxValue)
	}
	return s, true, nil
}
