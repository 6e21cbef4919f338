package reconcile

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Grade is the weight of one difference.
type Grade string

// The grades, as the matrix writes them. Warned is said and costs nothing.
const (
	Flat    Grade = "平"
	Warned  Grade = "提示"
	Fixable Grade = "补平" // money agrees, only our own record lags
	Pended  Grade = "待核" // may belong to the neighbouring day
	Uneven  Grade = "不平"
)

// Row is one decision of the matrix.
type Row struct {
	J     string `json:"j"`
	M     string `json:"m,omitempty"`
	B     string `json:"b,omitempty"`
	X     string `json:"x,omitempty"` // of a table of two: the other party
	Code  string `json:"code"`
	Name  string `json:"name"`
	Grade Grade  `json:"verdict"`
	Auto  string `json:"auto"`
	Op    string `json:"op"`
}

// Matrix decides a combination of journal, MIS and bank, and, for channels of
// two parties, of the journal and one other.
type Matrix struct {
	Version string
	rows    map[[3]byte]Row
	pairs   [parties]map[[2]byte]Row
	voids   bool
}

// letters are the effects of each party in the order of the tables.
var letters = [parties]string{"NSFUPR", "APV", "ACV", "ACV"}

// ParseMatrix reads the decision tables and checks that each combination stands
// in them exactly once, and that money apart is never called flat.
func ParseMatrix(b []byte) (*Matrix, error) {
	var file struct {
		Version string           `json:"version"`
		Rows    []Row            `json:"rows"`
		Pairs   map[string][]Row `json:"pairs"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, fmt.Errorf("matrix: %w", err)
	}
	if file.Version == "" {
		return nil, errors.New("matrix: version is missing")
	}
	m := &Matrix{Version: file.Version, rows: map[[3]byte]Row{}}
	for _, r := range file.Rows {
		if len(r.J) != 1 || len(r.M) != 1 || len(r.B) != 1 {
			return nil, fmt.Errorf("matrix: row %s: want one letter for each party", r.Code)
		}
		k := [3]byte{r.J[0], r.M[0], r.B[0]}
		if _, twice := m.rows[k]; twice {
			return nil, fmt.Errorf("matrix: %s stands twice", k)
		}
		if apart := (r.M == "P") != (r.B == "C"); apart && (r.Grade == Flat || r.Grade == Fixable) {
			return nil, fmt.Errorf("matrix: %s: money apart and graded %s", k, r.Grade)
		}
		m.rows[k] = r
	}
	for _, j := range letters[Journal] {
		for _, mm := range letters[MIS] {
			for _, b := range letters[Bank] {
				k := [3]byte{byte(j), byte(mm), byte(b)}
				if _, ok := m.rows[k]; !ok && k != [3]byte{'N', 'A', 'A'} {
					return nil, fmt.Errorf("matrix: %s is missing", k)
				}
			}
		}
	}
	for p, name := range map[Party]string{MIS: "M", Bank: "B", Card: "C"} {
		if err := m.pair(p, file.Pairs[name]); err != nil {
			return nil, err
		}
	}
	return m, m.settled()
}

func (m *Matrix) pair(p Party, rows []Row) error {
	m.pairs[p] = map[[2]byte]Row{}
	for _, r := range rows {
		if len(r.J) != 1 || len(r.X) != 1 {
			return fmt.Errorf("matrix: row %s of %s: want one letter for each party", r.Code, p)
		}
		k := [2]byte{r.J[0], r.X[0]}
		if _, twice := m.pairs[p][k]; twice {
			return fmt.Errorf("matrix: %s of %s stands twice", k, p)
		}
		apart := (r.J == "S") != (Effect(r.X[0]) == effective(p)) && r.J != "U"
		if apart && r.Grade != Uneven && r.Grade != Pended && (r.J == "S" || r.X != "A" && r.X != "V") {
			return fmt.Errorf("matrix: %s of %s: money apart and graded %s", k, p, r.Grade)
		}
		m.pairs[p][k] = r
	}
	for _, j := range letters[Journal] {
		for _, x := range letters[p] {
			k := [2]byte{byte(j), byte(x)}
			if _, ok := m.pairs[p][k]; !ok && k != [2]byte{'N', 'A'} {
				return fmt.Errorf("matrix: %s of %s is missing", k, p)
			}
		}
	}
	return nil
}

// settled checks what the first reading of the lines takes for flat without
// looking the combination up.
func (m *Matrix) settled() error {
	for _, k := range [][3]byte{{'S', 'P', 'C'}, {'F', 'A', 'A'}, {'R', 'A', 'A'}} {
		if m.rows[k].Grade != Flat {
			return fmt.Errorf("matrix: %s: must be %s", k, Flat)
		}
	}
	m.voids = true
	for _, j := range "FR" {
		for _, k := range [][3]byte{{byte(j), 'V', 'A'}, {byte(j), 'A', 'V'}, {byte(j), 'V', 'V'}} {
			m.voids = m.voids && m.rows[k].Grade == Flat
		}
		for p := MIS; p < parties; p++ {
			m.voids = m.voids && m.pairs[p][[2]byte{byte(j), 'V'}].Grade == Flat
		}
	}
	for p := MIS; p < parties; p++ {
		for _, k := range [][2]byte{{'S', byte(effective(p))}, {'F', 'A'}, {'R', 'A'}} {
			if m.pairs[p][k].Grade != Flat {
				return fmt.Errorf("matrix: %s of %s: must be %s", k, p, Flat)
			}
		}
	}
	return nil
}

// Decide returns the row of a combination.
func (m *Matrix) Decide(j, mis, bank Effect) Row {
	return m.rows[[3]byte{byte(j), byte(mis), byte(bank)}]
}

// Pair returns the row of a combination of the journal and one party.
func (m *Matrix) Pair(p Party, j, x Effect) Row { return m.pairs[p][[2]byte{byte(j), byte(x)}] }
