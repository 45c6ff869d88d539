module imapfs/cmd/bench

go 1.26.0

require imapfs v0.0.0

require github.com/hanwen/go-fuse/v2 v2.12.1 // indirect

replace imapfs => ../..
