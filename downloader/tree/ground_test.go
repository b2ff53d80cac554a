package tree_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"mimicsync/downloader/tree"
	"mimicsync/store"
)

func TestInspectGroundLeavesNothingBehind(t *testing.T) {
	bare, made := t.TempDir(), t.TempDir()
	must(t, os.Mkdir(filepath.Join(made, store.Dir), 0o700))
	for path, folder := range map[string]string{bare: bare, filepath.Join(bare, "physionet.org", "files"): bare, made: made} {
		before := names(t, folder)
		g, err := tree.InspectGround(path)
		if err != nil || g.Folder != folder || g.Free.Bytes == 0 {
			t.Errorf("InspectGround(%s) = %+v, %v, want the folder %s and its room", path, g, err, folder)
		}
		if after := names(t, folder); !slices.Equal(after, before) {
			t.Errorf("InspectGround(%s) left %v, want %v", path, after, before)
		}
	}
}

// names are those of all that is in a folder.
func names(t *testing.T, folder string) (all []string) {
	t.Helper()
	must(t, filepath.WalkDir(folder, func(path string, _ os.DirEntry, err error) error {
		all = append(all, path)
		return err
	}))
	return all
}

func TestInspectGroundThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	locked := t.TempDir()
	must(t, os.Chmod(locked, 0o500))
	paths := []string{file, filepath.Join(file, "mirror")}
	if os.Getuid() != 0 { // to whom everything is allowed
		paths = append(paths, locked, filepath.Join(locked, "mirror"))
	}
	for _, path := range paths {
		if g, err := tree.InspectGround(path); err == nil {
			t.Errorf("InspectGround(%s) = %+v, want an error", path, g)
		}
	}
}
