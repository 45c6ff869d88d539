//go:build !linux

package imapconn

func largePages([]byte) {}
