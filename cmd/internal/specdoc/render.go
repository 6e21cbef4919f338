package specdoc

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"strings"
)

func (b *book) markdown(w io.Writer) error {
	out := bufio.NewWriter(w)
	for i := range b.parts {
		p := &b.parts[i]
		if i > 0 {
			fmt.Fprintln(out)
		}
		switch {
		case p.level > 0:
			fmt.Fprintln(out, strings.Repeat("#", p.level), p.text)
		case p.head != nil:
			fmt.Fprintln(out, row(p.head))
			fmt.Fprintln(out, "|"+strings.Repeat("---|", len(p.head)))
			for _, r := range p.rows {
				fmt.Fprintln(out, row(r))
			}
		case p.code != "":
			fmt.Fprintf(out, "```\n%s```\n", p.code)
		default:
			fmt.Fprintln(out, p.text)
		}
	}
	return out.Flush()
}

// row writes the cells of a table; a bar inside a cell is escaped.
func row(cells []string) string {
	out := make([]string, len(cells))
	for i, c := range cells {
		out[i] = strings.ReplaceAll(c, "|", `\|`)
	}
	return "| " + strings.Join(out, " | ") + " |"
}

const style = `body{font:15px/1.6 "PingFang SC","Microsoft YaHei",sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0;width:100%}th,td{border:1px solid #bbb;padding:3px 8px;text-align:left;vertical-align:top}
th{background:#eef2f6}pre{background:#f6f6f6;padding:8px;overflow-x:auto}h2{border-bottom:1px solid #ccc;margin-top:2em}`

func (b *book) html(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "<!DOCTYPE html>\n<html lang=\"%s\"><head><meta charset=\"utf-8\"><title>%s</title><style>%s</style></head><body>\n",
		b.say("zh-CN", "en"), html.EscapeString(b.parts[0].text), style)
	for i := range b.parts {
		p := &b.parts[i]
		switch {
		case p.level > 0:
			fmt.Fprintf(out, "<h%d>%s</h%[1]d>\n", p.level, html.EscapeString(p.text))
		case p.head != nil:
			fmt.Fprint(out, "<table><tr>")
			cells(out, "th", p.head)
			for _, r := range p.rows {
				fmt.Fprint(out, "</tr>\n<tr>")
				cells(out, "td", r)
			}
			fmt.Fprint(out, "</tr></table>\n")
		case p.code != "":
			fmt.Fprintf(out, "<pre>%s</pre>\n", html.EscapeString(p.code))
		default:
			fmt.Fprintf(out, "<p>%s</p>\n", html.EscapeString(p.text))
		}
	}
	fmt.Fprintln(out, "</body></html>")
	return out.Flush()
}

func cells(out io.Writer, tag string, texts []string) {
	for _, t := range texts {
		fmt.Fprintf(out, "<%s>%s</%[1]s>", tag, html.EscapeString(t))
	}
}
