package sniff

import (
	"fmt"
	"io"
	"strings"
)

// Write shows the guesses about every stream.
func Write(w io.Writer, streams []Stream, known []Known) {
	for i := range streams {
		s := &streams[i]
		name := s.Name
		if name == "" {
			name = "输入"
		}
		fmt.Fprintf(w, "流 %d: %s, %d 字节", i+1, name, len(s.Bytes))
		if s.Lost {
			fmt.Fprint(w, " (抓包有缺失, 其后未计)")
		}
		fmt.Fprintln(w)
		guesses := Guesses(s, known)
		if len(guesses) == 0 {
			fmt.Fprintln(w, "  看不出帧格式: 请从一个连接的第一个字节起抓取, 并核对是否加密")
		}
		for j := range guesses {
			g := &guesses[j]
			fmt.Fprintf(w, "  %d. %s (%d 分)\n", j+1, g.What, g.Score)
			for _, r := range g.Reasons {
				fmt.Fprintln(w, "     理由:", r)
			}
			for _, line := range strings.Split(g.Snippet, "\n") {
				if line != "" {
					fmt.Fprintln(w, "     |", line)
				}
			}
		}
	}
}
