package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"imapfs/cache"
	"imapfs/imapconn"
)

// openLedger opens the account's count of octets, which all its mounts share and
// which outlives them: a file of mode 0600 beside the log. Where it cannot be had
// and nobody has set a limit, nothing is counted.
func openLedger(o *options, traffic *imapconn.Traffic, log *slog.Logger) (*cache.Ledger, error) {
	ledger, err := func() (*cache.Ledger, error) {
		dir, err := stateDir()
		if err != nil {
			return nil, errors.New("neither $XDG_STATE_HOME nor $HOME is set (set one)")
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("%w (see to it that it can be made)", err)
		}
		return cache.OpenLedger(filepath.Join(dir, trafficName(o)), int64(o.DailyLimit), traffic)
	}()
	switch {
	case err == nil:
		return ledger, nil
	case o.DailyLimit > 0:
		return nil, fmt.Errorf("--daily-limit: %w", err)
	}
	log.Info("the day's traffic is not counted", "err", err)
	return nil, nil
}

// trafficName is the file name of an account's count. Two servers at one host are
// two accounts.
func trafficName(o *options) string {
	account := fmt.Sprintf("%s:%d", o.name(), o.Account.Port)
	return strings.TrimSuffix(logName(account), ".log") + ".traffic"
}
