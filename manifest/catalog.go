package manifest

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Access is what a person must do before PhysioNet serves a dataset.
type Access int

const (
	// Open requires nothing.
	Open Access = iota
	// Restricted requires an account and a signed agreement for the version.
	Restricted
	// Credentialed also requires a credentialed account and, for most datasets, completed
	// training.
	Credentialed
	// ContributorReview requires the consent of the contributors of the data.
	ContributorReview
)

var accessNames = [...]string{
	Open:              "open",
	Restricted:        "restricted",
	Credentialed:      "credentialed",
	ContributorReview: "contributor-review",
}

// String returns one lower-case word.
func (a Access) String() string {
	if a < 0 || int(a) >= len(accessNames) {
		return fmt.Sprintf("access(%d)", int(a))
	}
	return accessNames[a]
}

// MarshalText writes the word that String returns.
func (a Access) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (a *Access) UnmarshalText(text []byte) error {
	i := slices.Index(accessNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("access %q: want one of %s", clip(text), strings.Join(accessNames[:], ", "))
	}
	*a = Access(i)
	return nil
}

// Dataset is what the program knows about a dataset without asking anyone. Numbers are
// approximate, for planning: the manifest and the sources are the authority.
type Dataset struct {
	Slug     string   `json:"slug"`
	Version  string   `json:"version"` // the newest known
	Title    string   `json:"title"`
	Access   Access   `json:"access"`
	Files    int64    `json:"files,omitempty"` // of Version; 0 if unknown
	Bytes    int64    `json:"bytes,omitempty"` // of Version, as served; 0 if unknown
	Versions []string `json:"versions"`        // known versions, oldest first
	GCS      string   `json:"gcs,omitempty"`   // "gs://..." of Version; empty if unknown
	S3       string   `json:"s3,omitempty"`    // "s3://..." of Version, readable by everyone; empty if unknown
	Note     string   `json:"note,omitempty"`  // what people should know first
}

//go:embed catalog.json
var catalogJSON []byte

// The catalog is part of the program: the first test finds a mistake in it.
var catalog = sync.OnceValue(func() []Dataset {
	var all []Dataset
	if err := json.Unmarshal(catalogJSON, &all); err != nil {
		panic("manifest: catalog.json: " + err.Error())
	}
	slices.SortFunc(all, func(a, b Dataset) int { return strings.Compare(a.Slug, b.Slug) })
	return all
})

// Catalog returns the known datasets, sorted by slug. The caller may change the result.
func Catalog() []Dataset {
	all := slices.Clone(catalog())
	for i := range all {
		all[i].Versions = slices.Clone(all[i].Versions)
	}
	return all
}

// Lookup returns the known dataset with this slug. Other datasets may exist, too.
func Lookup(slug string) (Dataset, bool) {
	for _, d := range catalog() {
		if d.Slug == slug {
			d.Versions = slices.Clone(d.Versions)
			return d, true
		}
	}
	return Dataset{}, false
}

// Nearest returns the slug of the known dataset whose spelling is closest to this one, if
// any is close enough to have been meant. It ignores hyphens, case, and whether a numeral
// is Roman: people write mimic-iv, mimic4 and MIMIC_IV for mimiciv.
func Nearest(slug string) (string, bool) {
	const tooFar = 3
	given := simplify(slug)
	best, bestDistance := "", min(tooFar, 1+len(given)/4)
	for _, d := range catalog() {
		if distance := EditDistance(given, simplify(d.Slug)); distance < bestDistance {
			best, bestDistance = d.Slug, distance
		}
	}
	return best, best != ""
}

var simplifier = strings.NewReplacer("-", "", "_", "", " ", "", ".", "", "3", "iii", "4", "iv")

func simplify(slug string) string { return simplifier.Replace(strings.ToLower(slug)) }

// EditDistance counts the bytes to insert, delete or replace to turn a into b.
func EditDistance(a, b string) int {
	row := make([]int, len(b)+1) // distances from the prefix of a to every prefix of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
