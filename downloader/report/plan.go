package report

import (
	"time"

	"mimicsync/downloader/cost"
	"mimicsync/downloader/source"
	"mimicsync/internal/durable"
	"mimicsync/manifest"
	"mimicsync/store"
)

// Plan is what a pass over a dataset version would do.
type Plan struct {
	Ref            manifest.Ref
	Total          int64 // selected entries
	Present        int64 // in the mirror and recorded
	PresentBytes   int64
	Examine        int64 // in the mirror without a valid record: to be hashed, and adopted if right
	Fetch          int64 // not in the mirror
	Unsafe         int64 // refused for their path, or for a symlink in their place
	PublishedBytes int64 // size of the whole version if all of it is selected, 0 when unknown
	Free           durable.Space
	// Sources are those that the pass may ask, in order of preference.
	Sources []SourcePlan
}

// FetchBytes is about how many bytes the pass would fetch, 0 when unknown. Files
// to examine count as if none were right.
func (p *Plan) FetchBytes() int64 { return max(p.PublishedBytes-p.PresentBytes, 0) }

// SourcePlan is what a pass would take if it fetched all it can from one source.
type SourcePlan struct {
	Name  string
	Files int64 // that it has of those to fetch and to examine, as far as is known
	Lacks int64 // files that its listing does not have
	Bytes int64 // of Files that have not come yet, -1 when unknown
	Basis Basis // of Bytes
	// Time is how long that takes at Rate, 0 when unknown.
	Time time.Duration
	Rate store.Rate // in the last pass that is like this one; zero if there was none
	// Price is what its reader pays, and Cost what the pass costs there, -1 when
	// unknown.
	Price cost.Price
	Cost  cost.Money
	// Refused is why the source would give nothing before a person has acted, nil
	// if it gives. Then Bytes and Cost are unknown.
	Refused *source.AccessError
	// Unlisted is the trouble for which the source, which can list, did not: what it
	// has is unknown, and that may pass. Nil if there was none.
	Unlisted error
}

// Basis says where a number of bytes comes from.
type Basis string

// The bases of a number of bytes. The last is a guess: files differ.
const (
	BasisListing   Basis = "listing"   // the source's own, to the byte
	BasisPublished Basis = "published" // PhysioNet's size of the version, which is rounded
	BasisShare     Basis = "share"     // of that size, by the number of files
	BasisUnknown   Basis = "unknown"
)
