package alert

import (
	"fmt"
	"net"
	"strconv"
	"time"
)

// Supervisor is the process manager that waits for signs of life; an empty
// socket is none.
type Supervisor struct{ Socket string }

// Tell sends a state such as READY=1.
func (s Supervisor) Tell(state string) error {
	if s.Socket == "" {
		return nil
	}
	c, err := net.DialTimeout("unixgram", s.Socket, time.Second)
	if err != nil {
		return fmt.Errorf("service manager: %w", err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("service manager: %w", err)
	}
	return nil
}

// Every returns how often it is to be told that we live, given what it asks for
// in microseconds and how often we do anyway.
func (s Supervisor) Every(micros string, usual time.Duration) time.Duration {
	n, err := strconv.ParseInt(micros, 10, 64)
	if err != nil || n <= 0 || s.Socket == "" {
		return usual
	}
	return max(100*time.Millisecond, min(usual, time.Duration(n)*time.Microsecond/2))
}
