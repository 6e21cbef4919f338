// Command qianzhi is the bank-collection front-end processor and its tools.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // zones on machines that ship none

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/demo"
)

// exitError carries a published exit status. An error without one exits 2.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return fmt.Sprintf("exit status %d: %v", e.code, e.err) }
func (e *exitError) Unwrap() error { return e.err }

func main() { os.Exit(run(os.Args[1:])) }

// run executes one command line and returns its exit status.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log.SetOutput(io.Discard)    // libraries quote in it what they could not read; ours is slog
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	root := root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, demo.ErrFailed):
		return 1
	case errors.As(err, &exit):
		if exit.err != nil {
			fmt.Fprintln(os.Stderr, "qianzhi:", exit.err)
		}
		return exit.code
	}
	fmt.Fprintln(os.Stderr, "qianzhi:", err)
	return 2
}

func root() *cobra.Command {
	c := &cobra.Command{
		Use:           "qianzhi",
		Short:         "前置: 银行代收费前置机",
		Long:          "前置: 银行代收费前置机。接收银行、POS 与自助终端的缴费报文, 先记流水再外发, 每日凌晨对账。\n\n退出码: 0 正常, 1 不平或未通过, 2 用法、配置或内部错误。",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.CompletionOptions.DisableDefaultCmd = true
	c.AddCommand(serveCommand(), checkCommand(), demoCommand(), decodeCommand(), encodeCommand(), sendCommand(), reconCommand(), dayCommand(), statusCommand(),
		specCommand(), simCommand(), journalCommand(), keyCommand(), userCommand(), actsCommand())
	return c
}
