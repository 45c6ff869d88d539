//go:build !linux

package imapconn

import (
	"net"
	"syscall"
	"time"
)

// userTimeout: only Linux has it.
func userTimeout(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }

// unacknowledged: nor this.
func unacknowledged(net.Conn) int { return 0 }
