package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The configuration is $XDG_CONFIG_HOME/imapfs/config.toml. Its keys are the long names of the
// flags of imapfs mount, which options.register has once for the command line, for -o and for
// this file. What stands above the first [account.NAME] is said of all mounts.

const (
	maxConfig = 1 << 20 // octets
	urlKey    = "url"   // of an account, the one key that is no flag
)

// A layer is what one place says about a mount, by the names of flags. A value is a string, an
// int64, a bool, or a list of strings.
type layer map[string]any

// config is what the file says.
type config struct {
	file     string
	all      layer
	accounts map[string]layer
}

// configFile is where the configuration lies; empty: nowhere.
func configFile() string {
	if dir := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "imapfs", "config.toml")
	}
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) {
		return ""
	}
	return filepath.Join(home, ".config", "imapfs", "config.toml")
}

// readConfig reads the configuration. That there is none is no error: it says nothing then.
func readConfig() (*config, error) {
	c := &config{file: configFile()}
	if c.file == "" {
		return c, nil
	}
	f, err := os.Open(c.file)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	} else if err != nil {
		return nil, fmt.Errorf("the configuration: %w (see its rights)", err)
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("the configuration: %w (see its rights)", err)
	case st.Mode().Perm()&0o022 != 0:
		// It says which commands are run.
		return nil, fmt.Errorf("%s: others may write to it, and it names commands (chmod go-w %[1]s)", c.file)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, fmt.Errorf("the configuration: %w (see its rights)", err)
	}
	if err := c.parse(text); err != nil {
		return nil, fmt.Errorf("%s:%w", c.file, err)
	}
	return c, nil
}

// parse takes in the text of a configuration. Its errors begin with the line and the column, or
// with a space.
func (c *config) parse(text []byte) error {
	if len(text) > maxConfig {
		return fmt.Errorf(" it is longer than %s (no configuration is)", size(maxConfig))
	}
	keys := flagKeys()
	account := keysType(append(keys, urlKey))
	file := reflect.New(keysType(keys, reflect.StructField{
		Name: "Account", Tag: `toml:"account"`, Type: reflect.MapOf(reflect.TypeFor[string](), account),
	}))
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(file.Interface()); err != nil {
		return tomlError(err)
	}
	c.all = layerOf(keys, file.Elem())
	c.accounts = make(map[string]layer)
	for at := file.Elem().FieldByName("Account").MapRange(); at.Next(); {
		c.accounts[at.Key().String()] = layerOf(append(keys, urlKey), at.Value())
	}
	return nil
}

// flagKeys are the keys that are flags.
func flagKeys() (keys []string) {
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	newOptions().register(f)
	f.VisitAll(func(one *pflag.Flag) { keys = append(keys, one.Name) })
	return slices.Clip(keys)
}

// keysType is a struct that has a field for each key: what go-toml wants to know which keys
// there are, and so to say where another one stands.
func keysType(keys []string, more ...reflect.StructField) reflect.Type {
	for i, key := range keys {
		more = append(more, reflect.StructField{
			Name: "Key" + strconv.Itoa(i), Tag: reflect.StructTag(`toml:"` + key + `"`), Type: reflect.TypeFor[any](),
		})
	}
	return reflect.StructOf(more)
}

// layerOf is what stands in a value of keysType.
func layerOf(keys []string, v reflect.Value) layer {
	l := make(layer)
	for i, key := range keys {
		if said := v.FieldByName("Key" + strconv.Itoa(i)); !said.IsNil() {
			l[key] = said.Interface()
		}
	}
	return l
}

func tomlError(err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
		unknown := &strict.Errors[0]
		row, column := unknown.Position()
		key := unknown.Key()
		last := key[len(key)-1]
		if last == "password" {
			return fmt.Errorf("%d:%d: a password does not stand here (write password-command, password-file, keyring or token-command)", row, column)
		}
		return fmt.Errorf("%d:%d: there is no key %q (they are the flags of imapfs mount --help, and url in an account)", row, column, strings.Join(key, "."))
	}
	if wrong, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column := wrong.Position()
		return fmt.Errorf("%d:%d: %s (see toml.io)", row, column, strings.TrimPrefix(wrong.Error(), "toml: "))
	}
	return fmt.Errorf(" %w", err)
}

// names are the accounts of the configuration, sorted.
func (c *config) names() []string { return slices.Sorted(maps.Keys(c.accounts)) }

// isAccountName reports whether an argument is meant as the name of an account, and not as a URL.
func isAccountName(arg string) bool {
	return arg != "" && strings.Trim(strings.ToLower(arg), "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// layersOf are what is said of a mount, what counts first; and the URL. source is a URL or the
// name of an account.
func (c *config) layersOf(source string) (url string, layers []layer, err error) {
	if l, ok := c.accounts[source]; ok {
		url, ok := l[urlKey].(string)
		if !ok {
			return "", nil, fmt.Errorf("%s: account %q has no url (write url = \"imaps://user@host/\")", c.file, source)
		}
		l = maps.Clone(l)
		delete(l, urlKey)
		return url, []layer{l, c.all}, nil
	}
	if isAccountName(source) {
		known := "it has none"
		if names := c.names(); len(names) > 0 {
			known = "it has " + strings.Join(names, ", ")
		}
		return "", nil, usagef("there is no account %q in %s: %s (write [account.%[1]s], or a URL such as imaps://user@host/)", source, c.file, known)
	}
	return source, []layer{c.all}, nil
}

// secretFlags say where the secret comes from: who names one of them has the others that a
// lower layer names mean nothing.
var secretFlags = []string{"password-command", "password-file", "token-command", "keyring"}

// settle sets the flags that the command line has not: by -o, then by the account, then by what
// the configuration says of all. It gives the URL.
func settle(f *pflag.FlagSet, mountOptions []string, source string) (url string, err error) {
	c, err := readConfig()
	if err != nil {
		return "", err
	}
	said, err := parseMountOptions(f, mountOptions)
	if err != nil {
		return "", usageError{err}
	}
	if err := said.apply(f); err != nil {
		return "", usageError{fmt.Errorf("-o: %w", err)}
	}
	url, layers, err := c.layersOf(source)
	if err != nil {
		return "", err
	}
	for _, l := range layers {
		if err := l.absolute(f, filepath.Dir(c.file)); err != nil {
			return "", fmt.Errorf("%s: %w", c.file, err)
		}
		if err := l.apply(f); err != nil {
			return "", fmt.Errorf("%s: %w", c.file, err)
		}
	}
	return url, nil
}

// apply sets the flags of a layer that nobody has set before.
func (l layer) apply(f *pflag.FlagSet) error {
	free := make(map[string]bool)
	for key := range l {
		free[key] = !f.Changed(key)
	}
	if slices.ContainsFunc(secretFlags, f.Changed) {
		for _, key := range secretFlags {
			free[key] = false
		}
	}
	for _, key := range slices.Sorted(maps.Keys(l)) {
		if !free[key] {
			continue
		}
		values, err := settings(f.Lookup(key), l[key])
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		for _, v := range values {
			if err := f.Set(key, v); err != nil && !strings.HasSuffix(err.Error(), ")") {
				return fmt.Errorf("%w (see imapfs mount --help)", err)
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// settings are what a flag is set to, one after the other.
func settings(f *pflag.Flag, value any) ([]string, error) {
	_, repeatable := f.Value.(pflag.SliceValue)
	switch v := value.(type) {
	case string:
		return []string{v}, nil
	case bool:
		if f.Value.Type() != "bool" {
			return nil, errors.New("true and false say nothing here (write a text in quotes)")
		}
		return []string{strconv.FormatBool(v)}, nil
	case int64:
		if t := f.Value.Type(); t != "int" && t != "uint32" {
			return nil, errors.New("a number says nothing here (write a text in quotes)")
		}
		return []string{strconv.FormatInt(v, 10)}, nil
	case []any:
		if !repeatable {
			return nil, errors.New("a list says nothing here (write one value)")
		}
		var all []string
		for _, one := range v {
			s, ok := one.(string)
			if !ok {
				return nil, errors.New("it is no list of texts (write each in quotes)")
			}
			all = append(all, s)
		}
		return all, nil
	}
	return nil, errors.New("it is neither a text, a number, true or false, nor a list (write a text in quotes)")
}

// absolute has the names of files begin in dir, and ~/ mean the home.
func (l layer) absolute(f *pflag.FlagSet, dir string) error {
	for key, value := range l {
		name, ok := value.(string)
		if what, _ := pflag.UnquoteUsage(f.Lookup(key)); !ok || what != "FILE" || name == "" || filepath.IsAbs(name) {
			continue
		}
		if rest, ok := strings.CutPrefix(name, "~/"); ok {
			home, err := os.UserHomeDir()
			if err != nil {
				return fmt.Errorf("%s: %w (write the whole name)", key, err)
			}
			l[key] = filepath.Join(home, rest)
		} else {
			l[key] = filepath.Join(dir, name)
		}
	}
	return nil
}

// completeAccounts has the shell complete the names of accounts, and directories behind one.
func completeAccounts(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	c, err := readConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return c.names(), cobra.ShellCompDirectiveNoFileComp
}
