package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/downloader"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/source/physionet"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// mirror is an open mirror with everything needed to run passes.
type mirror struct {
	store   *store.Store
	tree    *tree.Tree
	syncer  *downloader.Syncer
	budgets []*pace.Budget // of the sources
}

// openMirror opens the mirror for a command, and creates it if create is set.
func (a *app) openMirror(ctx context.Context, command string, create bool) (*mirror, error) {
	if err := checkMirror(a.mirror, create); err != nil {
		return nil, err
	}
	place, err := store.Locate(a.mirror, a.state)
	if err != nil {
		return nil, fmt.Errorf("open the mirror: %w", err)
	}
	m := &mirror{}
	if m.store, err = store.Open(place, command); err != nil {
		return nil, err
	}
	if err := a.equip(ctx, m, tree.Options{Network: place.Network != "", Inherited: m.store.Inherited()}); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// openReadOnly opens the mirror for a command that changes nothing: for users who can only
// read, beside the owner, and if there is no mirror yet.
func (a *app) openReadOnly(ctx context.Context) (*mirror, error) {
	if err := checkMirror(a.mirror, true); err != nil {
		return nil, err
	}
	s, err := store.OpenCopy(a.mirror, a.state)
	if err != nil {
		return nil, err
	}
	return a.readOnlyWith(ctx, s)
}

// readOnlyWith is openReadOnly with a store.
func (a *app) readOnlyWith(ctx context.Context, s *store.Store) (*mirror, error) {
	m := &mirror{store: s}
	if err := a.equip(ctx, m, tree.Options{ReadOnly: true}); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// equip opens the mirror's tree, with options o that the configuration doesn't have, and
// everything else that passes need.
func (a *app) equip(ctx context.Context, m *mirror, o tree.Options) error {
	group, err := groupID(a.file.Group)
	if err != nil {
		return &advice.ConfigError{Err: err}
	}
	o.FileMode, o.DirMode, o.Group, o.Durability = fs.FileMode(a.file.FileMode), fs.FileMode(a.file.DirMode), group, a.limits.syncs
	m.tree, err = tree.Open(a.mirror, o)
	if err != nil {
		return fmt.Errorf("open the mirror: %w", err)
	}
	sources, authority, err := a.openSources(ctx)
	if err != nil {
		return err
	}
	for _, b := range sources {
		m.budgets = append(m.budgets, b.Budget)
	}
	m.syncer, err = downloader.New(downloader.Options{
		Tree: m.tree, Store: m.store, Sources: sources, Authority: authority, IdleTimeout: a.idleTimeout, Patience: patience,
		MaxTransfer: a.limits.transfer, MaxCost: a.limits.cost, LimitEachPass: a.serves, // a daemon runs many passes
		Changes: a.changesSink(m), Observer: a.observer, Logger: a.logger(),
	})
	return err
}

// patience is that of downloader.Options; only tests use less than its default.
var patience time.Duration

// groupID is the ID of a group by its name or number, 0 if it is empty.
func groupID(name string) (int, error) {
	if name == "" {
		return 0, nil
	}
	if g, err := user.LookupGroup(name); err == nil {
		name = g.Gid
	}
	id, err := strconv.Atoi(name)
	if err != nil || id <= 0 {
		return 0, fmt.Errorf("group: this machine has no group %q", name)
	}
	return id, nil
}

func (a *app) openSource(connections int) (*physionet.Source, error) {
	o := physionet.Options{
		URL: a.physionetAddress(), Version: version(), Connections: connections, DialContext: a.limits.bandwidth.DialContext,
	}
	switch {
	case a.credentials != nil:
		o.Credentials = *a.credentials
	case a.credentialsFile != "":
		if _, err := a.readCredentials(); err != nil { // before asking for anything
			return nil, err
		}
		o.Find = func(context.Context) (physionet.Credentials, error) { return a.readCredentials() }
	default:
		o.Find = a.findCredentials
	}
	source, err := physionet.New(o)
	if err != nil {
		return nil, &advice.ConfigError{Err: err}
	}
	return source, nil
}

// readCredentials reads the file of --credentials.
func (a *app) readCredentials() (physionet.Credentials, error) {
	found, err := physionet.ReadCredentials(a.credentialsFile, a.physionetAddress())
	if err != nil {
		return found, &advice.ConfigError{Err: fmt.Errorf("--credentials: %w", err)}
	}
	return found, nil
}

// physionetAddress is the address of PhysioNet for this run.
func (a *app) physionetAddress() string {
	return cmp.Or(a.physionetURL, os.Getenv("MIMICSYNC_PHYSIONET_URL"), a.file.PhysioNet.URL, physionet.DefaultURL)
}

// keptFile is where login saves the account if there is no keyring; empty without a home
// folder.
func keptFile() string { return ownFile(configFolder(), "credentials") }

// accounts is where to look for the account, unless --credentials names it.
func (a *app) accounts() physionet.Accounts {
	return physionet.Accounts{URL: a.physionetAddress(), File: keptFile()}
}

// findCredentials looks for the account once the server requires one.
func (a *app) findCredentials(ctx context.Context) (physionet.Credentials, error) {
	found, err := a.accounts().Find(ctx)
	if err != nil && ctx.Err() == nil && !errors.Is(err, physionet.ErrKeyringSilent) {
		err = &advice.ConfigError{Err: err}
	}
	return found, err
}

// whileOwned returns a context that ends, with the reason as its cause, when another
// process has taken the mirror.
func (m *mirror) whileOwned(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { cancel(m.store.AwaitLoss(ctx)) })
	return ctx, func() {
		cancel(nil)
		watch.Wait()
	}
}

func (m *mirror) close() error {
	var err error
	if m.tree != nil {
		err = m.tree.Close()
	}
	return errors.Join(err, m.store.Close())
}

// checkMirror checks a mirror's folder before anything is created in it.
func checkMirror(path string, create bool) error {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := servedMirror(absolute).away(); err != nil {
		return err
	}
	fi, err := os.Stat(path)
	target, lerr := os.Readlink(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && lerr == nil:
		return &advice.ConfigError{Err: fmt.Errorf("the mirror %s is a symlink to %s, which doesn't exist", path, target)}
	case err == nil && !fi.IsDir():
		return &advice.ConfigError{Err: fmt.Errorf("the mirror %s is a file, not a folder", path)}
	case err == nil && !create:
		var own *store.Folder
		if own, err = store.OpenFolder(path); err == nil {
			err = own.Close()
		} else if !errors.As(err, new(*store.ForeignError)) && len(versionsInTree(path)) > 0 {
			return nil // the tree is all that is left of it, or another tool's
		}
	}
	if errors.Is(err, fs.ErrNotExist) && !create {
		return &advice.NoMirrorError{Path: path}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open the mirror: %w", err)
	}
	return nil
}

// parseRefs reads the datasets of a command line.
func parseRefs(args []string) ([]manifest.Ref, error) {
	var refs []manifest.Ref
	for _, arg := range args {
		ref, err := manifest.ParseRef(arg)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	return refs, nil
}

func (a *app) selection() (manifest.Selection, error) {
	s, err := manifest.NewSelection(a.include, a.exclude)
	if err != nil {
		return s, &advice.UsageError{Err: err}
	}
	return s, nil
}
