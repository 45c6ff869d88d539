//go:build race

package cache

// manyHere is how many messages tests of large mailboxes have: the race detector
// makes reading their listing ten times as slow.
const manyHere = 100_000
