package report

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"html/template"
	"strconv"

	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/simplifiedchinese"

	"qianzhi/reconcile"
)

// Files returns the files of a report: the screen as text in both encodings
// and as a page, the items as lists for people and for programs.
func Files(r *reconcile.Result) ([]reconcile.File, error) {
	text := Text(r)
	table := rows(r)
	items, err := reconcile.AppendRecords(nil, r.Items)
	if err != nil {
		return nil, err
	}
	list, err := csvOf(table)
	if err != nil {
		return nil, err
	}
	page, err := html(r, text, table)
	if err != nil {
		return nil, err
	}
	book, err := xlsx(table)
	if err != nil {
		return nil, err
	}
	files := []reconcile.File{{Name: "report.txt", Data: []byte(text)}, {Name: "report.html", Data: page}, {Name: "items.jsonl", Data: items},
		{Name: "items.csv", Data: append([]byte("\xEF\xBB\xBF"), list...)}, {Name: "items.xlsx", Data: book}}
	for _, f := range []reconcile.File{{Name: "report.gbk.txt", Data: []byte(text)}, {Name: "items.gbk.csv", Data: list}} {
		if f.Data, err = simplifiedchinese.GB18030.NewEncoder().Bytes(f.Data); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		files = append(files, f)
	}
	return files, nil
}

// head names the columns of the lists of items.
var head = []string{"序号", "标识", "码", "名称", "结论", "金额(元)", "长款短款(元)", "户号", "我方流水", "银行参考", "时间",
	"流水行", "MIS行", "银行行", "卡表行", "到期", "来自", "自动", "建议", "说明"}

// rows are the items as a table, the earlier days' after today's.
func rows(r *reconcile.Result) [][]string {
	out := [][]string{head}
	for _, list := range [][]reconcile.Item{r.Items, r.Carried} {
		for i := range list {
			it := &list[i]
			row := []string{strconv.Itoa(len(out)), it.ID(), it.Code, it.Name, string(it.Grade), it.Size().Yuan(), it.Funds.Yuan(), accounts(it),
				it.Serial(), it.Key(), it.Any().Time}
			for p := reconcile.Journal; p <= reconcile.Card; p++ {
				at := ""
				if l := it.Lines[p]; l != nil {
					at = strconv.Itoa(l.Row)
				}
				row = append(row, at)
			}
			for _, d := range []uint32{uint32(it.Due), uint32(it.From)} {
				text := ""
				if d != 0 {
					text = strconv.Itoa(int(d))
				}
				row = append(row, text)
			}
			out = append(out, append(row, it.Auto, it.Op, it.Note))
		}
	}
	return out
}

// inert keeps a spreadsheet from taking a text for a formula.
func inert(s string) string {
	if s != "" && bytes.IndexByte([]byte("=+-@\t"), s[0]) >= 0 {
		if _, err := strconv.ParseFloat(s, 64); err != nil {
			return "'" + s
		}
	}
	return s
}

func csvOf(table [][]string) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	for _, row := range table {
		safe := make([]string, len(row))
		for i, v := range row {
			safe[i] = inert(v)
		}
		if err := w.Write(safe); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

// xlsx writes every cell as text: serials keep their digits.
func xlsx(table [][]string) ([]byte, error) {
	f := excelize.NewFile()
	defer f.Close()
	const sheet = "Sheet1"
	w, err := f.NewStreamWriter(sheet)
	if err != nil {
		return nil, err
	}
	for i, row := range table {
		cells := make([]any, len(row))
		for k, v := range row {
			cells[k] = inert(v)
		}
		at, err := excelize.CoordinatesToCellName(1, i+1)
		if err != nil {
			return nil, err
		}
		if err := w.SetRow(at, cells); err != nil {
			return nil, err
		}
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = f.Write(&b)
	return b.Bytes(), err
}

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>{{.Title}}</title><style>
body{font-family:sans-serif;margin:1em}pre{font-family:monospace;font-size:11px;line-height:1.35}
table{border-collapse:collapse;font-size:11px}td,th{border:1px solid #999;padding:2px 4px;text-align:left;vertical-align:top}
@media print{@page{size:A4 landscape;margin:10mm}}
</style></head><body><h1>{{.Title}}</h1><pre>{{.Text}}</pre><table>
{{range $i, $row := .Table}}<tr>{{range $row}}{{if $i}}<td>{{.}}</td>{{else}}<th>{{.}}</th>{{end}}{{end}}</tr>
{{end}}</table></body></html>
`))

// html is one page without any other file, fit for printing.
func html(r *reconcile.Result, text string, table [][]string) ([]byte, error) {
	var b bytes.Buffer
	err := page.Execute(&b, map[string]any{"Title": "对账 " + dash(r.Day) + " " + r.Channel + " " + r.Word(), "Text": text, "Table": table})
	return b.Bytes(), err
}
