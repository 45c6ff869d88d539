//go:build !linux

package imapconn

import "context"

// watchNetwork: only Linux tells.
func watchNetwork(context.Context, func()) error { return nil }
