package imapconn

import (
	"context"
	"time"
)

const (
	// networkSettle is how long the kernel's messages are gathered before they are
	// passed on: one change is many of them.
	networkSettle = 300 * time.Millisecond
	// networkPace is how often it is passed on at most: hosts of containers change
	// all the time.
	networkPace = 5 * time.Second
)

// WatchNetwork calls changed when an address of this machine, a link or a default
// route has changed, at most every five seconds, until ctx ends; then its error is
// ctx's. It returns nil at once where the system cannot be listened to.
func WatchNetwork(ctx context.Context, changed func()) error {
	err := watchNetwork(ctx, changed)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
