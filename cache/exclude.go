package cache

import "strings"

// patterns are those of --exclude, in the order given, as mbsync(1) has them: in
// each, * stands for anything and % for anything within one level; a ! before it
// takes back what those before it exclude; the last that matches counts; and INBOX
// is matched by its name alone, never by wildcards.
type patterns []string

// excludes reports whether a mailbox is left out. name is decoded, its levels
// joined with /; INBOX is in capitals.
func (p patterns) excludes(name string) bool {
	out := false
	for _, pattern := range p {
		rest, keep := strings.CutPrefix(pattern, "!")
		if name == inbox && strings.ContainsAny(rest, "*%") {
			continue
		}
		if out == keep && matches(rest, name) {
			out = !keep
		}
	}
	return out
}

// matches reports whether the whole name fits the pattern. It takes time in
// proportion to the product of their lengths at most.
func matches(pattern, name string) bool {
	// Where the last wildcard of each kind stands, and how much of the name it has
	// taken so far. A % cannot go on past a /: then the last * takes more.
	type star struct{ pattern, name int }
	var any, level star
	hasAny, hasLevel := false, false
	p, n := 0, 0
	for {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			p++
			any, hasAny, hasLevel = star{p, n}, true, false
			continue
		case p < len(pattern) && pattern[p] == '%':
			p++
			level, hasLevel = star{p, n}, true
			continue
		case p < len(pattern) && n < len(name) && pattern[p] == name[n]:
			p++
			n++
			continue
		case p == len(pattern) && n == len(name):
			return true
		}
		switch {
		case hasLevel && level.name < len(name) && name[level.name] != '/':
			level.name++
			p, n = level.pattern, level.name
		case hasAny && any.name < len(name):
			any.name++
			p, n = any.pattern, any.name
			hasLevel = false
		default:
			return false
		}
	}
}
