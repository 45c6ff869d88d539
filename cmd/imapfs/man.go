package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

//go:embed unit/imapfs@.service
var unit string

// newShare makes what is installed beside the program, from the program: it cannot say anything
// else than --help does.
func newShare() *cobra.Command {
	return &cobra.Command{
		Use:    "share PREFIX DIR",
		Short:  "writes manual pages, completions and the systemd unit, as for PREFIX, below DIR",
		Hidden: true,
		Args:   exactly(2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := writeShare(c.Root(), args[0], args[1]); err != nil {
				return fmt.Errorf("%w (name a directory that you can write)", err)
			}
			return nil
		},
	}
}

func writeShare(root *cobra.Command, prefix, dir string) error {
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	man := filepath.Join(dir, "share/man/man1")
	if err := os.MkdirAll(man, 0o755); err != nil {
		return err
	}
	root.DisableAutoGenTag = true // the same source gives the same page
	header := &doc.GenManHeader{Section: "1", Source: "imapfs " + version(), Manual: "User Commands"}
	if err := doc.GenManTree(root, header, man); err != nil {
		return err
	}
	for name, write := range map[string]func(string) error{
		"share/bash-completion/completions/imapfs":    func(to string) error { return root.GenBashCompletionFileV2(to, true) },
		"share/zsh/site-functions/_imapfs":            root.GenZshCompletionFile,
		"share/fish/vendor_completions.d/imapfs.fish": func(to string) error { return root.GenFishCompletionFile(to, true) },
		"lib/systemd/user/imapfs@.service": func(to string) error {
			return os.WriteFile(to, []byte(strings.ReplaceAll(unit, "@BIN@", filepath.Join(prefix, "bin"))), 0o644)
		},
	} {
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := write(to); err != nil {
			return err
		}
	}
	return nil
}
