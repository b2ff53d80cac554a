package report

import (
	"time"

	"mimicsync/downloader/cost"
	"mimicsync/downloader/source"
	"mimicsync/internal/durable"
	"mimicsync/manifest"
	"mimicsync/store"
)

// Plan is what a pass over a version would do.
type Plan struct {
	Ref            manifest.Ref
	Total          int64 // selected entries
	Present        int64 // in the mirror with a record
	PresentBytes   int64
	Examine        int64 // in the mirror without a valid record: to be hashed, and adopted if right
	Link           int64 // not in the mirror, but in another version or dataset of it: linked or copied
	LinkBytes      int64
	Fetch          int64 // not in the mirror
	Unsafe         int64 // refused for an unsafe path, or a symlink in their place
	PublishedBytes int64 // size of the whole version if all of it is selected; 0 if unknown
	Free           durable.Space
	// Sources are the sources that the pass may ask, in order of preference.
	Sources []SourcePlan
}

// FetchBytes is about how many bytes the pass would fetch; 0 if unknown. Files to examine
// count as if none were right.
func (p *Plan) FetchBytes() int64 { return max(p.PublishedBytes-p.PresentBytes-p.LinkBytes, 0) }

// SourcePlan is what a pass would take if it fetched everything possible from one source.
type SourcePlan struct {
	Name  string
	Files int64 // of those to fetch and to examine, how many it has, as far as known
	Lacks int64 // how many its listing lacks
	Bytes int64 // of Files, still to fetch; -1 if unknown
	Basis Basis // of Bytes
	// Time is how long they take at Rate; 0 if unknown.
	Time time.Duration
	Rate store.Rate // in the last similar pass; zero if there was none
	// Price is what the reader pays there, and Cost the cost of the pass; -1 if unknown.
	Price cost.Price
	Cost  cost.Money
	// Refused is why the source would serve nothing before a person has acted; nil if it
	// serves. Then Bytes and Cost are unknown.
	Refused *source.AccessError
	// Unlisted is why the source, which can list, didn't: which files it has is unknown,
	// perhaps temporarily. Nil if there was no trouble.
	Unlisted error
}

// Basis says where a number of bytes comes from.
type Basis string

// The bases of a number of bytes. The last is a guess, since files differ.
const (
	BasisListing   Basis = "listing"   // the source's own, exact
	BasisPublished Basis = "published" // PhysioNet's size of the version, which is rounded
	BasisShare     Basis = "share"     // a share of that size, by the number of files
	BasisUnknown   Basis = "unknown"
)
