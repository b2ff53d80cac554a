package tree

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"mimicsync/internal/durable"
	"mimicsync/manifest"
)

func manifestName(d manifest.Digest) string { return manifestDir + "/" + d.String() }

// ManifestIntact reports whether the kept copy of a manifest still has its digest.
func (t *Tree) ManifestIntact(d manifest.Digest) bool {
	f, err := t.OpenManifest(d)
	return err == nil && hasDigest(f, d)
}

// hasDigest reads a file, and closes it.
func hasDigest(f *os.File, d manifest.Digest) bool {
	defer func() { _ = f.Close() }() // opened for reading only
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return false
	}
	return manifest.Digest(sum.Sum(nil)) == d
}

// KeepManifest keeps a manifest, durably, under its digest. It closes the file first,
// because Windows doesn't rename open files.
func (t *Tree) KeepManifest(f *os.File, d manifest.Digest) error {
	if !t.options.ReadOnly {
		if err := t.share(f); err != nil {
			return err
		}
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := t.manifests.Root().Rename(filepath.Base(f.Name()), d.String()); err != nil {
		if fi, lerr := t.manifests.Root().Lstat(d.String()); lerr == nil {
			err = cmp.Or(t.manifests.Check(d.String(), fi, 0), err) // the more specific error
		}
		return err
	}
	return durable.SyncRoot(t.manifests.Root())
}

// NewManifest creates the file of a manifest for KeepManifest. The caller calls drop,
// which closes the file and removes it unless it was kept.
func (t *Tree) NewManifest() (f *os.File, drop func(), err error) {
	f, name, err := durable.CreateTempIn(t.manifests.Root(), "new.")
	return f, func() {
		_ = f.Close()
		_ = t.manifests.Root().Remove(name) // KeepManifest has renamed it
	}, err
}

// RescueManifest restores the kept copy of a manifest from the SHA256SUMS.txt in the
// version's folder. The error is fs.ErrNotExist if that is missing or different. Readers
// of the kept copy never see an incomplete one.
func (t *Tree) RescueManifest(d manifest.Digest, ref manifest.Ref) error {
	shown, err := t.Shows(d, ref)
	if err != nil {
		return err
	}
	if !shown {
		return fs.ErrNotExist
	}
	src, err := t.root.Open(t.Name(ref, manifest.Name))
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // opened for reading only
	f, drop, err := t.NewManifest()
	if err != nil {
		return err
	}
	defer drop()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, sum), src); err != nil {
		return err
	}
	if manifest.Digest(sum.Sum(nil)) != d { // it changed meanwhile
		return fs.ErrNotExist
	}
	return t.KeepManifest(f, d)
}

// DropManifest removes the kept copy of a manifest, if there is one.
func (t *Tree) DropManifest(d manifest.Digest) error {
	err := t.manifests.Root().Remove(d.String())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Shows reports whether the SHA256SUMS.txt in the version's folder has the digest d.
func (t *Tree) Shows(d manifest.Digest, ref manifest.Ref) (bool, error) {
	name := t.Name(ref, manifest.Name)
	fi, err := t.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || !fi.Mode().IsRegular() {
		return false, err
	}
	f, err := t.root.Open(name)
	if err != nil {
		return false, nil // an unreadable file shows nothing
	}
	return hasDigest(f, d), nil
}

// ShowManifest puts the manifest in effect into the version's folder, where
// `sha256sum -c` expects it: as a hard link to the kept copy, or as a copy where the file
// system has no links.
func (t *Tree) ShowManifest(d manifest.Digest, ref manifest.Ref) error {
	if t.options.ReadOnly {
		return nil // the folder stays as it is
	}
	from, to := manifestName(d), t.Name(ref, manifest.Name)
	a, err := t.root.Stat(from)
	if err != nil {
		return err
	}
	if b, err := t.root.Lstat(to); err == nil && os.SameFile(a, b) {
		return nil
	}
	fresh := partialDir + "/manifest." + d.String()
	_ = t.root.Remove(fresh) // left by an earlier attempt
	if err := t.root.Link(from, fresh); err != nil {
		if err := t.copyFile(from, fresh); err != nil {
			return err
		}
	}
	return t.into(VersionDir(ref), func() error { return t.root.Rename(fresh, to) })
}
