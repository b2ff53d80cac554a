package lookalike

import (
	"bytes"
	"cmp"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"
)

// manifestName is the manifest's path within a version.
const manifestName = "SHA256SUMS.txt"

// Policy says who may read a project's files.
type Policy int

// The access policies of PhysioNet, by its own numbers.
const (
	Open              Policy = iota // everybody
	Restricted                      // a user who has signed the version's agreement
	Credentialed                    // and who is credentialed, with a valid training
	ContributorReview               // and whose request the contributors have accepted; here, a signature stands for that
)

// Project is a dataset with its published versions.
type Project struct {
	Slug, Title string
	Policy      Policy
	Versions    []Version // in the order of their publication, which is not the order of their numbers
}

// Version is one published version of a project.
type Version struct {
	Version string
	// Files holds what is served. Its files must implement io.Seeker, as those of os.DirFS, embed.FS and [Generated] do.
	Files fs.FS
	// Manifest is what SHA256SUMS.txt answers. If it is nil, the file of that name in Files is served, or else a 404.
	Manifest []byte
	// Deprecated, DownloadsDisabled and Georestricted each close the files to everybody, also those of an open project.
	Deprecated, DownloadsDisabled, Georestricted bool
	// Bytes is what the API reports as main_storage_size.
	Bytes int64
	// ModTime is that of the Manifest, and of files whose own is zero; a fixed day if it is zero too.
	ModTime time.Time
}

// published is a project as it stands; it is never changed, only replaced.
type published struct {
	Project
	ids []int // of Versions: the order of publication over all projects
}

// Publish adds a project, or replaces the one with the same slug. Requests in progress keep what they have begun with.
// A manifest that replaces another one always gets another ETag, even where both have the same length and ModTime.
func (s *Server) Publish(p Project) {
	p.Versions = slices.Clone(p.Versions)
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.projects[p.Slug]
	now := &published{Project: p, ids: make([]int, len(p.Versions))}
	for i := range p.Versions {
		v := &p.Versions[i]
		if v.ModTime.IsZero() {
			v.ModTime = generatedTime
		}
		old, id := before.version(v.Version)
		if old == nil {
			s.lastID++
			id = s.lastID
		} else if sameValidator(old, v) && !bytes.Equal(old.Manifest, v.Manifest) {
			v.ModTime = v.ModTime.Add(time.Second)
		}
		now.ids[i] = id
	}
	s.projects[p.Slug] = now
}

// sameValidator reports whether the manifests of a and b would have the same ETag.
func sameValidator(a, b *Version) bool {
	return a.ModTime.Unix() == b.ModTime.Unix() && len(a.Manifest) == len(b.Manifest)
}

// version returns the version of this name and its id, or nil.
func (p *published) version(name string) (*Version, int) {
	if p == nil {
		return nil, 0
	}
	for i := range p.Versions {
		if p.Versions[i].Version == name {
			return &p.Versions[i], p.ids[i]
		}
	}
	return nil, 0
}

// latest returns the newest version by number, or nil.
func (p *published) latest() *Version {
	if p == nil || len(p.Versions) == 0 {
		return nil
	}
	newest := slices.MaxFunc(p.Versions, func(a, b Version) int { return compareVersions(a.Version, b.Version) })
	v, _ := p.version(newest.Version)
	return v
}

// compareVersions orders version numbers by their parts: 1.2.0 is older than 1.10.0.
func compareVersions(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		m, _ := strconv.Atoi(x) // what is no number counts as 0
		n, _ := strconv.Atoi(y)
		if c := cmp.Compare(m, n); c != 0 {
			return c
		}
	}
	return 0
}

// project returns the project of this slug, or nil.
func (s *Server) project(slug string) *published {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.projects[slug]
}
