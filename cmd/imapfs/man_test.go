package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestShare: each command has a page with each of its flags, each shell its completion, and the
// unit runs what was installed.
func TestShare(t *testing.T) {
	dir := t.TempDir()
	root := newRoot()
	if err := writeShare(root, "/opt", dir); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var each func(c *cobra.Command)
	each = func(c *cobra.Command) {
		if !c.IsAvailableCommand() {
			return
		}
		if c.Example == "" && !c.HasSubCommands() {
			t.Errorf("%s: --help has no example", c.CommandPath())
		}
		page := strings.ReplaceAll(read("share/man/man1/"+strings.ReplaceAll(c.CommandPath(), " ", "-")+".1"), `\-`, "-")
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && !strings.Contains(page, "--"+f.Name) {
				t.Errorf("%s: nothing of --%s", c.CommandPath(), f.Name)
			}
		})
		for _, kid := range c.Commands() {
			each(kid)
		}
	}
	for _, c := range root.Commands() {
		each(c)
	}
	for _, name := range []string{"share/bash-completion/completions/imapfs", "share/zsh/site-functions/_imapfs", "share/fish/vendor_completions.d/imapfs.fish"} {
		if !strings.Contains(read(name), "__complete") {
			t.Errorf("%s does not ask the program", name)
		}
	}
	if text := read("lib/systemd/user/imapfs@.service"); !strings.Contains(text, "\nExecStart=/opt/bin/imapfs mount --foreground %i ") || strings.Contains(text, "@BIN@") {
		t.Error(text)
	}
}
