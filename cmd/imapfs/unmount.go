package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/spf13/cobra"
)

func newUnmount() *cobra.Command {
	return &cobra.Command{
		Use:     "unmount MOUNTPOINT",
		Aliases: []string{"umount"},
		Short:   "unmounts what imapfs mount has mounted",
		Long: `Unmounts what imapfs mount has mounted, and so ends its background process.

A mount in use is taken out of sight at once; it ends when the last program has
left it.`,
		Example: "  imapfs unmount ~/mail",
		Args:    exactly(1),
		RunE:    func(_ *cobra.Command, args []string) error { return unmount(args[0]) },
	}
}

func unmount(path string) error {
	path, _, err := ourEntry(path)
	if err != nil {
		return err
	}
	err = detach(path, false)
	if errors.Is(err, syscall.EBUSY) {
		if err = detach(path, true); err == nil {
			fmt.Fprintf(os.Stderr, "imapfs: %s was in use: it is out of sight, and ends when the last program has left it\n", path)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w (see who uses it with fuser -m %[1]s)", path, err)
	}
	return nil
}
