// Package downloader keeps a verified mirror: it compares a manifest with the files on
// disk, fetches what is missing, checks every byte, and commits.
//
// # A pass
//
// A pass makes one version of a dataset in the mirror match its manifest:
//
//	manifest   fetch it from the authority, or from another source, if it has changed;
//	           keep it if it is complete
//	survey     classify each entry as present (its record and its file agree), unknown
//	           (a file without a valid record) or absent
//	examine    hash unknown files: adopt those that match the manifest, turn the start
//	           of one into a partial, move the others to quarantine
//	obtain     link absent entries from elsewhere in the mirror, or fetch them from the
//	           first source that has them
//	commit     give verified files their final names and their records, in batches
//
// Examining and obtaining run at the same time, each with its own workers; one
// goroutine commits. Memory doesn't grow with the dataset, except for two bits an entry.
//
// # A transfer
//
// The worker that obtains an entry owns its transfer: it requests the object from the
// end of its partial and hashes the bytes as they arrive. A large object with a strong
// validator is divided into segments, and workers that have no entry of their own help
// with it (crowd.go, package segment); the running digest follows the bytes that are
// there without a gap. A budget per host, shared by all passes, decides how many
// connections are open and when a request may start (package pace).
//
// # Guarantees
//
// A file gets its final name only after its digest matched, and a record only after its
// bytes and its name are durable. A pass that ends early, for whatever reason, keeps
// everything that was verified, and the bytes of unfinished files. One bad entry never
// ends a pass, and neither does one bad source out of several. Package failure lists
// what does end a pass, package retry decides what is tried again and how often,
// sources.go how sources take turns, and commit.go the order of a commit.
//
// # What it doesn't do
//
// It deletes nothing on its own: files that no manifest lists are left alone, and old
// versions stay until Prune is called. It speaks no protocol: each source does that in
// a package of its own below source.
package downloader

import (
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"mimicsync/downloader/cost"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/host"
	"mimicsync/downloader/report"
	"mimicsync/downloader/source"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// Options configures a Syncer. Tree, Store and Sources are required.
type Options struct {
	Tree  *tree.Tree
	Store *store.Store
	// Sources provide entries, in this order of preference. Their names are unique.
	Sources []host.Source
	// Authority is the first to be asked for manifests, versions and published sizes:
	// it publishes the files that the Sources hold copies of. Nil means Sources[0].
	Authority *host.Source
	// IdleTimeout ends a request that receives no byte for so long. 0 means 60 s.
	IdleTimeout time.Duration
	// Patience is how long to keep asking a failing host for a manifest or for the
	// newest version. 0 means 1 minute. Pauses that the host itself requests are added
	// to it, up to half an hour. A person may be waiting meanwhile; Progress.Waits
	// says for what, and canceling the context ends the wait.
	Patience time.Duration
	// MaxTransfer limits the bytes of entries that all passes together may fetch. 0
	// means no limit. The pass that reaches it ends with failure.ErrLimit.
	MaxTransfer int64
	// MaxCost limits what all passes together may spend at sources that have a price.
	// Nil means no limit. When it is spent, a pass continues with its free sources, or
	// ends with failure.ErrSpent if it has none. A pass without a free source that is
	// known to cost more doesn't start: it returns a *CostError.
	MaxCost *cost.Money
	// LimitEachPass applies MaxTransfer and MaxCost to each pass on its own.
	LimitEachPass bool

	// Changes is told of files that passes add, replace or find removed, some at a time,
	// before they are recorded; passes over different versions call it at the same time.
	// An error ends the pass. May be nil.
	Changes  func(ref manifest.Ref, changes []report.Change) error
	Observer Observer     // counts requests and bytes; may be nil
	Logger   *slog.Logger // nil discards the log
}

// Syncer runs passes over a mirror. Passes over different versions may run at the same
// time; its methods are safe for concurrent use.
type Syncer struct {
	Options
	boot string

	spent spending // by all passes

	mu      sync.Mutex
	flights map[manifest.Digest]*flight       // claimed digests, until they are committed or given up
	partial map[manifest.Digest]store.Partial // recorded partials that no transfer has claimed
	accept  map[manifest.Ref]bool             // set by AcceptManifest

	// reached is called at the named points of a transfer and a commit. Only tests set
	// it, to kill the process there.
	reached func(point string)
}

// at marks a named point for crash tests.
func (s *Syncer) at(point string) {
	if s.reached != nil {
		s.reached(point)
	}
}

// New returns a Syncer. It also records the partials that have no record yet, left by
// transfers that were killed in their first seconds or by a lost state file. Their bytes
// are checked when the rest of the file is fetched; if they don't match, they go to
// quarantine, because they might be someone's own.
func New(o Options) (*Syncer, error) {
	if o.IdleTimeout == 0 {
		o.IdleTimeout = time.Minute
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	o.Sources, o.Authority = host.WithHealth(o.Sources, o.Authority)
	s := &Syncer{
		Options: o,
		boot:    o.Tree.Run(),
		flights: map[manifest.Digest]*flight{},
		partial: map[manifest.Digest]store.Partial{},
		accept:  map[manifest.Ref]bool{},
	}
	partials, err := o.Store.Partials()
	if err != nil {
		return nil, err
	}
	for _, p := range partials {
		s.partial[p.Digest] = p
	}
	strays, err := o.Tree.Strays(s.partial)
	if err != nil {
		return nil, err
	}
	var recorded []store.Partial
	for d, size := range strays {
		p := store.Partial{Digest: d, Size: -1, Durable: size, Boot: s.boot, Seed: size, Updated: time.Now()}
		recorded = append(recorded, p)
		s.partial[d] = p
	}
	return s, o.Store.PutPartials(recorded...)
}

// CloseIdleConnections closes the idle connections to all sources. A daemon calls it
// when no pass may run for some time.
func (s *Syncer) CloseIdleConnections() {
	for _, b := range append(slices.Clone(s.Sources), s.authority()) {
		if idler, ok := b.Source.(source.Idler); ok {
			idler.CloseIdleConnections()
		}
	}
}

// Renew makes all sources look up their credentials again, and forgets which objects
// they served to the previous account.
func (s *Syncer) Renew() {
	for _, b := range append(slices.Clone(s.Sources), s.authority()) {
		if source, ok := b.Source.(source.Renewer); ok {
			source.Renew()
			b.Health.Forget()
		}
	}
}

// AcceptManifest makes the next pass over a version accept the published manifest even
// where it would otherwise return a *failure.ShrunkError.
func (s *Syncer) AcceptManifest(ref manifest.Ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accept[ref] = true
}

// known returns a version with its manifest in effect, or failure.ErrNoManifest.
func (s *Syncer) known(ref manifest.Ref) (store.Version, error) {
	v, known, err := s.Store.Version(ref)
	if err == nil && !known {
		err = failure.ErrNoManifest
	}
	return v, err
}

// kept returns a known version whose manifest can be read, or a
// *failure.KeptManifestError if both copies of the manifest are damaged or missing.
func (s *Syncer) kept(ref manifest.Ref) (store.Version, error) {
	v, err := s.known(ref)
	if err != nil || s.Tree.ManifestIntact(v.Manifest.Digest) {
		return v, err
	}
	err = s.Tree.RescueManifest(v.Manifest.Digest, ref)
	if errors.Is(err, fs.ErrNotExist) {
		err = &failure.KeptManifestError{Ref: ref}
	}
	return v, err
}

// takeAcceptance reports whether AcceptManifest was called for this pass, and clears it.
func (s *Syncer) takeAcceptance(ref manifest.Ref) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	accepted := s.accept[ref]
	delete(s.accept, ref)
	return accepted
}

// dropManifests removes those of the given manifests that no version uses: neither as
// the manifest in effect nor as a former one that still has records.
func (s *Syncer) dropManifests(kept []manifest.Digest) error {
	versions, err := s.Store.Versions()
	if err != nil {
		return err
	}
	used := map[manifest.Digest]bool{}
	for _, v := range versions {
		used[v.Manifest.Digest] = true
		for _, f := range v.Former {
			used[f.Digest] = true
		}
	}
	for _, d := range kept {
		if used[d] {
			continue
		}
		if err := s.Tree.DropManifest(d); err != nil {
			return err
		}
	}
	return nil
}
