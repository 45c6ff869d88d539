package testdata

import (
	"io/fs"
	"path"
	"strings"
)

// Transcripts are sessions by the name of the server that they imitate, each with
// what is odd about it, in the form of imaptest.Transcript. They were written for
// this project, after what was seen of these servers.
func Transcripts() map[string]string {
	all := make(map[string]string)
	names, err := fs.Glob(files, "transcripts/*.txt")
	if err != nil {
		panic(err) // the pattern is right
	}
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			panic(err) // the files are part of the program
		}
		all[strings.TrimSuffix(path.Base(name), ".txt")] = string(text)
	}
	return all
}
