package main

import (
	"context"
	"fmt"
	"slices"

	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/downloader/source/physionet"
)

const (
	// reservedFiles are for everything except connections and their files: the state, the
	// mirror's folders, commits, the page and its readers.
	reservedFiles = 64
	// restingFiles are partials of a pass whose connection waits for a retry.
	restingFiles = 16
)

// fitting returns how many of these connections to each host can have the files that they
// need: a pass has a partial for each, and each source may have a connection, used or idle,
// for each.
func fitting(connections int, openFiles uint64, sources, passes int) int {
	left := int64(min(openFiles, 1<<30)) - reservedFiles - int64(restingFiles*passes)
	return int(max(min(int64(connections), left/int64(sources+passes)), 1))
}

// fitFiles lowers a number of connections to what this process's limit on open files
// allows, and says so, once.
func (a *app) fitFiles(ctx context.Context, connections int) int {
	openFiles := openFileLimit()
	if openFiles == 0 {
		return connections
	}
	sources, passes := len(a.sources), 1
	if !slices.Contains(a.sources, physionet.Name) { // it is asked besides all others
		sources++
	}
	if a.serves {
		passes = max(len(a.file.Datasets), 1)
	}
	fits := fitting(connections, openFiles, sources, passes)
	if fits < connections && !a.saidFiles {
		a.saidFiles = true
		if a.serves {
			a.logger().WarnContext(ctx, "fewer connections: few files may be open", "connections", fits, "wanted", connections, "open_files", openFiles)
		} else {
			a.ui.Notef("%s", fewer(fits, connections, openFiles))
		}
	}
	return fits
}

// fewer tells the user that not all connections fit.
func fewer(fits, wanted int, openFiles uint64) string {
	return fmt.Sprintf("%s instead of %d: this process may open only %d files; to allow more, run: ulimit -n 4096",
		words.Plural(int64(fits), "connection", "connections"), wanted, openFiles)
}
