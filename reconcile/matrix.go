package reconcile

import (
	"encoding/json"
	"fmt"
)

// Grade is the weight of one difference.
type Grade string

// The grades, as the matrix writes them.
const (
	Flat    Grade = "平"
	Fixable Grade = "补平" // money agrees, only our own record lags
	Pended  Grade = "待核" // may belong to the neighbouring day
	Uneven  Grade = "不平"
)

// Row is one decision of the matrix.
type Row struct {
	J     string `json:"j"`
	M     string `json:"m"`
	B     string `json:"b"`
	Code  string `json:"code"`
	Name  string `json:"name"`
	Grade Grade  `json:"verdict"`
	Auto  string `json:"auto"`
	Op    string `json:"op"`
}

// Matrix decides a combination of journal, MIS and bank.
type Matrix struct {
	rows map[[3]byte]Row
}

// ParseMatrix reads the decision table and checks that each combination stands
// in it exactly once, and that money apart is never called flat.
func ParseMatrix(b []byte) (*Matrix, error) {
	var file struct {
		Rows []Row `json:"rows"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, fmt.Errorf("matrix: %w", err)
	}
	m := &Matrix{rows: map[[3]byte]Row{}}
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
	for _, j := range "NSFUPR" {
		for _, mm := range "APV" {
			for _, b := range "ACV" {
				k := [3]byte{byte(j), byte(mm), byte(b)}
				if _, ok := m.rows[k]; !ok && k != [3]byte{'N', 'A', 'A'} {
					return nil, fmt.Errorf("matrix: %s is missing", k)
				}
			}
		}
	}
	return m, nil
}

// Decide returns the row of a combination.
func (m *Matrix) Decide(j, mis, bank Effect) Row {
	return m.rows[[3]byte{byte(j), byte(mis), byte(bank)}]
}
