//go:build !linux

package imapconn

import (
	"net"
	"time"
)

// limitSilence: only Linux can.
func limitSilence(*net.TCPConn, time.Duration) error { return nil }

// unacknowledged: nor this.
func unacknowledged(net.Conn) int { return 0 }
