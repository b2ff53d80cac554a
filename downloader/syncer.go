// Package downloader keeps a mirror: it compares a manifest with what is here,
// fetches what is missing, proves every byte, and commits.
//
// # A pass
//
// A pass makes one dataset version of the mirror what its manifest says:
//
//	manifest   ask the authority for it, or else a source, conditionally; keep it
//	           if it is whole
//	survey     each entry is present (its record and its file agree), unknown
//	           (a file without a valid record) or absent
//	examine    unknown files are hashed: right ones are adopted, the start of one
//	           becomes a partial, wrong ones go to quarantine
//	obtain     absent ones are linked from another place of the mirror, or fetched:
//	           from the first source that has them
//	commit     verified files get their names and their records, in batches
//
// Examining and obtaining run at the same time, each with its own workers; one
// goroutine commits. What stays in memory does not depend on the dataset, but
// for two bits an entry.
//
// # A transfer
//
// The worker that obtains an entry owns its transfer: it asks for the object,
// from where its partial ends, and hashes what comes. An object that turns out to
// be large, under a strong validator, is cut into segments, and workers without
// an entry of their own help (segment.go, crowd.go); the digest follows the front
// of what is here without a gap (digest.go). How many connections a host gets, and
// when a request may start, its Budget decides, for all passes together.
//
// # Guarantees
//
// A file has its final name only when its digest was right, and a record only
// when its bytes and its name are durable. A pass that ends early, by whatever
// error, has kept all that was verified, and for unfinished files what had come.
// One bad entry never ends a pass, nor does one bad source of several. What ends
// one is in errors.go, how sources take turns in sources.go; what is tried
// again, and how often, in retry.go; the order of a commit in commit.go.
//
// # What it does not do
//
// It deletes nothing unasked: files that no manifest names are left alone, and old
// versions stay until Prune is called. It knows no protocol: sources do that, one package each.
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
	"mimicsync/downloader/source"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// Options is what a Syncer works with. Tree, Store and Sources must be set.
type Options struct {
	Tree  *tree.Tree
	Store *store.Store
	// Sources are asked for entries in this order. Their names differ.
	Sources []host.Source
	// Authority is asked for manifests, versions and published sizes first: it
	// publishes what the Sources have copies of. The first of them if nil.
	Authority *host.Source
	// IdleTimeout is how long a transfer may bring nothing, 60 s if zero.
	IdleTimeout time.Duration
	// Patience is how long a host may be in trouble, of whatever kind, while it is
	// asked for a manifest or for the newest version: 1 minute if zero. What the host
	// itself asks to be left alone for comes on top, up to half an hour. A person
	// waits for it, see Progress.Waits, and may interrupt.
	Patience time.Duration
	// MaxTransfer is how many bytes of entries may be fetched, over all passes;
	// 0: as many as there are. The pass that comes to it ends with ErrLimit.
	MaxTransfer int64
	// MaxCost is what may be spent at sources that have a price, over all passes;
	// nil: as much as it takes. A pass goes on without them, or ends with ErrSpent;
	// one that is known to cost more, and could not go on without, does not start,
	// with a *CostError.
	MaxCost *cost.Money
	// LimitEachPass makes MaxTransfer and MaxCost what each pass may take.
	LimitEachPass bool

	Observer Observer     // nil: nobody counts
	Logger   *slog.Logger // nil: nothing is logged
}

// Syncer runs passes over a mirror. Several may run at once, for different
// dataset versions.
type Syncer struct {
	Options
	boot string

	spent spending // over all passes

	mu      sync.Mutex
	flights map[manifest.Digest]*flight       // digests on their way, until they are committed or given up
	partial map[manifest.Digest]store.Partial // recorded and not in flight
	accept  map[manifest.Ref]bool             // by AcceptManifest

	// reached is called at the named points of a transfer and a commit. It is
	// nil but in tests, which kill the process there.
	reached func(point string)
}

// at marks a point that a crash test can name.
func (s *Syncer) at(point string) {
	if s.reached != nil {
		s.reached(point)
	}
}

// New returns a Syncer, and takes stock of unfinished files: those that no record
// speaks of, from transfers that died in their first seconds or from a state file
// that was lost, are recorded. Their bytes are judged when their rest is fetched; wrong
// ones go to quarantine, for nobody knows that they are not a person's.
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

// CloseIdleConnections closes the connections to all sources that no request
// uses. A daemon calls it where no pass may run for some time.
func (s *Syncer) CloseIdleConnections() {
	for _, b := range append(slices.Clone(s.Sources), s.authority()) {
		if idler, ok := b.Source.(source.Idler); ok {
			idler.CloseIdleConnections()
		}
	}
}

// Renew makes all sources look for their credentials anew, and forgets what they gave
// to the former ones.
func (s *Syncer) Renew() {
	for _, b := range append(slices.Clone(s.Sources), s.authority()) {
		if source, ok := b.Source.(source.Renewer); ok {
			source.Renew()
			b.Health.Forget()
		}
	}
}

// AcceptManifest lets the next pass over a version take over the published
// manifest even if that ends with a *ShrunkError otherwise.
func (s *Syncer) AcceptManifest(ref manifest.Ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accept[ref] = true
}

// known is a version by the manifest in force, ErrNoManifest if there is none.
func (s *Syncer) known(ref manifest.Ref) (store.Version, error) {
	v, known, err := s.Store.Version(ref)
	if err == nil && !known {
		err = failure.ErrNoManifest
	}
	return v, err
}

// kept is a known version whose manifest can be read: a *KeptManifestError if that
// is damaged, or gone under both its names.
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

// takeAcceptance reports whether AcceptManifest was called for this pass.
func (s *Syncer) takeAcceptance(ref manifest.Ref) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	accepted := s.accept[ref]
	delete(s.accept, ref)
	return accepted
}

// dropManifests removes those of some kept manifests that no version has in force,
// or had before and still has records of.
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
