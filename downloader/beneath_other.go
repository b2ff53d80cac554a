//go:build !linux

package downloader

func (t *Tree) mkdir(name string) error { return t.root.Mkdir(name, t.options.DirMode) }

// renamePartial moves an unfinished file to a name in the mirror.
func (t *Tree) renamePartial(from, to string) error { return t.root.Rename(partialDir+"/"+from, to) }
