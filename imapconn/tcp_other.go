//go:build !linux

package imapconn

import (
	"syscall"
	"time"
)

// userTimeout: only Linux has it.
func userTimeout(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
