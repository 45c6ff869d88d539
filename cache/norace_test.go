//go:build !race

package cache

// manyHere is how many messages tests of large mailboxes have.
const manyHere = 1_000_000
