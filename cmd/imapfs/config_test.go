package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// layered is what a flag is behind some layers, the first of which counts most.
func layered(t *testing.T, layers ...layer) (*pflag.FlagSet, error) {
	t.Helper()
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	newOptions().register(f)
	for _, l := range layers {
		if err := l.apply(f); err != nil {
			return f, err
		}
	}
	return f, nil
}

func TestTheFirstLayerCounts(t *testing.T) {
	f, err := layered(t,
		layer{"poll": "1m", "exclude": []any{"a", "b,c"}, "password-file": "/x"},
		layer{"poll": "2m", "exclude": []any{"d"}, "password-command": "y", "umask": "022", "connections": int64(3), "any-text": true})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"poll": "1m0s", "exclude": `[a,"b,c"]`, "password-file": "/x", "password-command": "", "umask": "022", "connections": "3", "any-text": "true",
	} {
		if have := f.Lookup(name).Value.String(); have != want {
			t.Errorf("--%s is %s, not %s", name, have, want)
		}
	}
}

func TestSettingsThatCannotBeMeant(t *testing.T) {
	for name, v := range map[string]any{
		"umask": int64(77), "cache-size": int64(64), "poll": true, "read-only": "perhaps", "connections": 1.5, "tls": []any{"none"},
		"exclude": []any{1}, "uid": "root",
	} {
		if _, err := layered(t, layer{name: v}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s = %v: %v", name, v, err)
		}
	}
}

func TestSplitOptions(t *testing.T) {
	for in, want := range map[string][]string{
		"":                                   nil,
		",,":                                 nil,
		"ro,uid=3":                           {"ro", "uid=3"},
		`password-command=cut -d\, -f1 x,ro`: {"password-command=cut -d, -f1 x", "ro"},
		`a\\,b\`:                             {`a\`, `b\`},
	} {
		if have := splitOptions(in); !slices.Equal(have, want) {
			t.Errorf("%q: %q", in, have)
		}
	}
}

// TestReadmeConfig: what the README shows is a configuration.
func TestReadmeConfig(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n```toml\n")
	shown, _, ok := strings.Cut(rest, "\n```\n")
	c := &config{file: "README.md"}
	if err := c.parse([]byte(shown)); err != nil || !ok || !slices.Equal(c.names(), []string{"gmail", "work"}) {
		t.Fatal(err, c.names())
	}
	for _, name := range c.names() {
		url, layers, err := c.layersOf(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseURL(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		if _, err := layered(t, layers...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzConfig: a configuration is taken or refused; what it says can be applied or is refused.
func FuzzConfig(f *testing.F) {
	f.Add("suffix = \".msg\"\n[account.work]\nurl = \"imaps://a@h/\"\nexclude = [\"a\"]\n")
	f.Add("[account.x]\nurl = 3\n[account.\"a b\"]\npoll = 1979-05-27\n")
	f.Add("account = 3\nexclude = [[1], {a = 2}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		c := &config{file: "config.toml"}
		if err := c.parse([]byte(text)); err != nil {
			return
		}
		for _, name := range c.names() {
			if _, layers, err := c.layersOf(name); err == nil {
				layered(t, layers...)
			}
		}
		layered(t, c.all)
	})
}

// FuzzMountOptions: a list that is taken says of each flag what can be set.
func FuzzMountOptions(f *testing.F) {
	f.Add("rw,_netdev,uid=3,exclude=a,exclude=b,allow_other")
	f.Add(`password-command=cut -d\, -f1 x,ro`)
	f.Fuzz(func(t *testing.T, text string) {
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		newOptions().register(flags)
		if l, err := parseMountOptions(flags, []string{text}); err == nil {
			l.apply(flags)
		}
	})
}
