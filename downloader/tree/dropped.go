package tree

import (
	"errors"
	"io"

	"mimicsync/manifest"
)

// EachDropped visits the entries of the kept manifest former whose paths the kept manifest
// now doesn't list. If former is lost, there are none.
func (t *Tree) EachDropped(former, now manifest.Digest, visit func(manifest.Entry) error) error {
	var err error
	listed := manifest.SelectPaths(func(yield func(string) bool) {
		err = t.eachEntry(now, func(e manifest.Entry) error {
			yield(e.Path)
			return nil
		})
	})
	if err != nil {
		return err
	}
	err = t.eachEntry(former, func(e manifest.Entry) error {
		if listed.Match(e.Path) {
			return nil
		}
		return visit(e)
	})
	if errors.Is(err, errNotKept) {
		return nil
	}
	return err
}

// errNotKept means that a manifest can't be opened.
var errNotKept = errors.New("the manifest is not kept")

func (t *Tree) eachEntry(d manifest.Digest, visit func(manifest.Entry) error) error {
	f, err := t.OpenManifest(d)
	if err != nil {
		return errors.Join(errNotKept, err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	r := manifest.NewReader(f)
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = visit(e)
		}
		if err != nil {
			return err
		}
	}
}
