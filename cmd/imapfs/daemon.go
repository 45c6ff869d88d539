package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/spf13/cobra"
)

// newDaemon is the child's side of background. Its arguments are for the eyes
// of who runs ps.
func newDaemon() *cobra.Command {
	return &cobra.Command{
		Use:    "daemon URL MOUNTPOINT",
		Hidden: true,
		Args:   exactly(2),
		RunE:   func(c *cobra.Command, _ []string) error { return daemonMain(c) },
	}
}

func daemonMain(c *cobra.Command) error {
	hand, verdict, err := handoverFiles()
	if err != nil {
		return err
	}
	var h handover
	err = json.NewDecoder(io.LimitReader(hand, 1<<20)).Decode(&h)
	hand.Close()
	if err != nil {
		return fmt.Errorf("what imapfs mount handed over cannot be read: %w (use imapfs mount --foreground)", err)
	}
	secrets := newSecrets(&h.Options, h.Password)
	log := newLogger(os.Stderr, h.Options.level(), secrets)
	ready := func() error {
		if err := leaveGroup(); err != nil {
			return err
		}
		// Where nobody listens any more, nobody knows of the mount: it goes.
		_, err := io.WriteString(verdict, verdictMounted+"\n")
		return errors.Join(err, verdict.Close())
	}
	err = mountAndServe(c.Context(), &h.Options, secrets, log, ready)
	if err != nil {
		text := oneLine(secrets.blank(err.Error()))
		log.Error("ended", "error", text)
		io.WriteString(verdict, verdictError+text+"\n") // fails where ready has closed it
		os.Exit(1)
	}
	return nil
}

// handoverFiles are the two ends that background gave us. Neither may reach a
// program we start: one that stays would keep the parent waiting.
func handoverFiles() (hand, verdict *os.File, err error) {
	syscall.CloseOnExec(handoverFD)
	syscall.CloseOnExec(verdictFD)
	hand = os.NewFile(handoverFD, "handover")
	verdict = os.NewFile(verdictFD, "verdict")
	for _, f := range []*os.File{hand, verdict} {
		if st, err := f.Stat(); err != nil || st.Mode()&os.ModeNamedPipe == 0 {
			return nil, nil, usagef("this command is for imapfs itself (use imapfs mount)")
		}
	}
	return hand, verdict, nil
}
