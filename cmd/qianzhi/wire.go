package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/inspect"
	"qianzhi/protocol"
	"qianzhi/protocol/spec"
)

// wireFlags are what decode and encode have in common.
type wireFlags struct {
	link, side, hex, file, output string
	bare, unmask                  bool
	repeat                        int
}

func (o *wireFlags) common(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.link, "link", "", "链路文件 (必需)")
	f.StringVar(&o.side, "side", "request", "request 或 reply")
	f.StringVar(&o.file, "file", "", "输入文件, - 为标准输入")
	f.BoolVar(&o.bare, "bare", false, "报文不带帧头, 从正文开始")
	if err := c.MarkFlagRequired("link"); err != nil {
		panic(err) // the flag was defined above
	}
}

// dialect assembles the link without its keys.
func (o *wireFlags) dialect() (*protocol.Dialect, error) {
	if o.side != "request" && o.side != "reply" {
		return nil, fmt.Errorf("--side: 应为 request 或 reply, 而不是 %q", o.side)
	}
	l, err := spec.Load(o.link, os.ReadFile)
	if err != nil {
		return nil, err
	}
	return l.Assemble(spec.Parts{})
}

func (o *wireFlags) options() inspect.Options {
	return inspect.Options{Reply: o.side == "reply", Bare: o.bare, Unmask: o.unmask}
}

// maxInput bounds what is read from a file or the standard input, in bytes.
const maxInput = 16 << 20

func (o *wireFlags) input(in io.Reader) ([]byte, error) {
	switch {
	case (o.hex == "") == (o.file == ""):
		return nil, errors.New("需要 --hex 或 --file 之一")
	case o.hex != "":
		return hex.DecodeString(strings.Join(strings.Fields(o.hex), ""))
	case o.file != "-":
		f, err := os.Open(o.file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, maxInput))
}

func writeJSON(out io.Writer, v any) error {
	j := json.NewEncoder(out)
	j.SetEscapeHTML(false)
	j.SetIndent("", " ")
	return j.Encode(v)
}
