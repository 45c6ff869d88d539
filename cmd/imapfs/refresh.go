package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"imapfs/cache"
	"imapfs/fs"
)

func newRefresh() *cobra.Command {
	return &cobra.Command{
		Use:   "refresh [MOUNTPOINT]",
		Short: "looks at everything anew",
		Long: `Has the daemon look at everything anew, and waits until that is done: at the list
of mailboxes, and at each mailbox that was looked into during the last ten minutes.
All others are asked about when they are entered next. A connection or a login that
was put off after a failure is tried at once. Without MOUNTPOINT, all mounts of this
user.

SIGHUP to the daemon does the same, and waits for nothing.`,
		Example: "  imapfs refresh ~/mail",
		Args:    oneAtMost,
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return askEach(strings.Join(args, ""), func(m *mounted) error {
				return m.do(ctx, "/refresh", nil)
			})
		},
	}
}

// oneAtMost wants no argument or a mount point.
func oneAtMost(c *cobra.Command, args []string) error {
	if len(args) > 1 || len(args) == 1 && args[0] == "" {
		return usagef("%d arguments where at most one is wanted (write %s)", len(args), c.UseLine())
	}
	return nil
}

// hinted is an error text that ends with what to do: hint, where it does not say.
func hinted(text, hint string) string {
	if strings.HasSuffix(text, ")") {
		return text
	}
	return fmt.Sprintf("%s (%s)", text, hint)
}

// refresh looks at everything anew.
func refresh(ctx context.Context, account *cache.Account, server *fs.Server) error {
	server.Refresh()
	return account.Refresh(ctx)
}

// refreshOnHangup refreshes at each SIGHUP, until ctx ends.
func refreshOnHangup(ctx context.Context, hangups <-chan os.Signal, log *slog.Logger, refresh func(context.Context) error) {
	for {
		select {
		case <-hangups:
		case <-ctx.Done():
			return
		}
		log.Info("looking at everything anew, for SIGHUP")
		if err := refresh(ctx); err != nil && ctx.Err() == nil {
			log.Warn("not everything could be looked at anew", "err", err)
		}
	}
}
