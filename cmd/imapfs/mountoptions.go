package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// -o is what mount(8) and fstab(5) say: a list with commas, in which a name is that of a flag
// (sshfs has _ where we have -), or one of those that are for the system.

// ofTheSystem are options that say nothing to a file system, or what is so in any case: FUSE
// mounts with nosuid and nodev, the kernel checks rights, and no message has an x bit.
var ofTheSystem = map[string]bool{
	"defaults": true, "auto": true, "noauto": true, "user": true, "nouser": true, "users": true, "owner": true, "group": true,
	"_netdev": true, "nofail": true, "suid": true, "nosuid": true, "dev": true, "nodev": true, "exec": true, "noexec": true,
	"atime": true, "noatime": true, "diratime": true, "nodiratime": true, "relatime": true, "norelatime": true, "strictatime": true,
	"async": true, "default-permissions": true, "nonempty": true, "comment": true, "fsname": true, "subtype": true,
}

// parseMountOptions reads the values of -o.
func parseMountOptions(f *pflag.FlagSet, values []string) (layer, error) {
	l := make(layer)
	for _, value := range values {
		for _, option := range splitOptions(value) {
			name, arg, hasArg := strings.Cut(option, "=")
			plain := strings.ReplaceAll(name, "_", "-")
			if name == "_netdev" {
				plain = name
			}
			switch {
			case plain == "ro":
				l["read-only"] = "true"
				continue
			case plain == "rw":
				// mount(8) says it of all that is not ro: nobody has asked for anything.
				continue
			case ofTheSystem[plain], strings.HasPrefix(plain, "x-"), strings.HasPrefix(plain, "X-"):
				continue
			}
			known := f.Lookup(plain)
			switch {
			case known == nil || plain == "option":
				return nil, fmt.Errorf("-o: there is no option %q (they are the flags of imapfs mount --help)", name)
			case !hasArg && known.NoOptDefVal == "":
				return nil, fmt.Errorf("-o %s: a value is missing (write %[1]s=%s)", name, strings.ToUpper(known.Value.Type()))
			case !hasArg:
				arg = known.NoOptDefVal
			}
			if _, ok := known.Value.(pflag.SliceValue); ok {
				before, _ := l[plain].([]any)
				l[plain] = append(before, arg)
			} else {
				l[plain] = arg
			}
		}
	}
	return l, nil
}

// splitOptions parts a list at its commas; \ takes the meaning from what follows.
func splitOptions(s string) (all []string) {
	var one strings.Builder
	flush := func() {
		if one.Len() > 0 {
			all = append(all, one.String())
		}
		one.Reset()
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			one.WriteByte(s[i])
		case s[i] == ',':
			flush()
		default:
			one.WriteByte(s[i])
		}
	}
	flush()
	return all
}

// registerMountOptions adds -o.
func registerMountOptions(f *pflag.FlagSet, values *[]string) {
	f.StringArrayVarP(values, "option", "o", nil, "`OPTIONS` as mount(8) and fstab(5) have them, with commas between: ro, and any of these flags")
}
