package lookalike

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// generatedTime is the modification time of files without another.
var generatedTime = time.Date(2024, time.January, 15, 12, 0, 0, 0, time.UTC)

// GeneratedFile is a file that exists only as its description.
type GeneratedFile struct {
	Path string
	// Size is how long the file is. Its content looks random, and is always the same for the same Path, Size and Seed.
	Size int64
	Seed uint64
	// Data, if not nil, is the content; Size and Seed do not matter then.
	Data []byte
}

func (f *GeneratedFile) size() int64 {
	if f.Data != nil {
		return int64(len(f.Data))
	}
	return f.Size
}

// bytes is the content, and perhaps more: it ends at the file's size.
func (f *GeneratedFile) bytes() io.ReaderAt {
	if f.Data != nil {
		return bytesAt(f.Data)
	}
	return &noise{key: noiseKey(f)}
}

// GeneratedFS is a file system of generated files. Its contents are computed as they are read, from any offset at the same cost,
// so that it holds no more memory than its files' paths. It is safe for concurrent use.
type GeneratedFS struct {
	files []GeneratedFile // sorted by path
}

// Generated returns a file system of these files. It panics if a path is not valid for package io/fs or occurs twice.
func Generated(files []GeneratedFile) *GeneratedFS {
	files = slices.Clone(files)
	byPath := func(a, b GeneratedFile) int { return strings.Compare(a.Path, b.Path) }
	if !slices.IsSortedFunc(files, byPath) {
		slices.SortFunc(files, byPath)
	}
	for i := range files {
		if p := files[i].Path; !fs.ValidPath(p) || p == "." || (i > 0 && files[i-1].Path == p) {
			panic("lookalike: invalid or repeated path " + p)
		}
	}
	return &GeneratedFS{files: files}
}

// Manifest returns the SHA256SUMS.txt of all files, as [Sums] does.
func (g *GeneratedFS) Manifest() []byte {
	names := make([]string, 0, len(g.files))
	for i := range g.files {
		if g.files[i].Path != manifestName {
			names = append(names, g.files[i].Path)
		}
	}
	sums, err := sumAll(g, names)
	if err != nil {
		panic("lookalike: " + err.Error()) // a generated file cannot fail to be read
	}
	return sums
}

// Bytes is the size of all files.
func (g *GeneratedFS) Bytes() int64 {
	var n int64
	for i := range g.files {
		n += g.files[i].size()
	}
	return n
}

// Len is the number of files.
func (g *GeneratedFS) Len() int { return len(g.files) }

// At returns a file by its place in the order of the paths' bytes.
func (g *GeneratedFS) At(i int) GeneratedFile { return g.files[i] }

// Open implements [fs.FS].
func (g *GeneratedFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if i, ok := g.find(name); ok {
		f := &g.files[i]
		return &dataFile{generatedInfo: infoOf(f), SectionReader: io.NewSectionReader(f.bytes(), 0, f.size())}, nil
	}
	entries, err := g.ReadDir(name)
	if err != nil {
		return nil, err
	}
	return &generatedDir{generatedInfo: generatedInfo{name: path.Base(name), dir: true}, rest: entries}, nil
}

// ReadDir implements [fs.ReadDirFS].
func (g *GeneratedFS) ReadDir(name string) ([]fs.DirEntry, error) {
	prefix := name + "/"
	if name == "." {
		prefix = ""
	}
	var entries []fs.DirEntry
	i, _ := g.find(prefix)
	for i < len(g.files) && strings.HasPrefix(g.files[i].Path, prefix) {
		child, _, isDir := strings.Cut(g.files[i].Path[len(prefix):], "/")
		if !isDir {
			entries = append(entries, fs.FileInfoToDirEntry(infoOf(&g.files[i])))
			i++
			continue
		}
		entries = append(entries, fs.FileInfoToDirEntry(generatedInfo{name: child, dir: true}))
		i, _ = g.find(prefix + child + "0") // the first path behind all that start with child and a slash
	}
	if entries == nil && prefix != "" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	// Files come in the order of their paths, where "a.txt" precedes "a/b"; io/fs wants the order of names.
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

func (g *GeneratedFS) find(name string) (int, bool) {
	return slices.BinarySearchFunc(g.files, name, func(f GeneratedFile, name string) int { return strings.Compare(f.Path, name) })
}

// generatedInfo implements [fs.FileInfo].
type generatedInfo struct {
	name string
	size int64
	dir  bool
}

func infoOf(f *GeneratedFile) generatedInfo {
	return generatedInfo{name: path.Base(f.Path), size: f.size()}
}

func (i generatedInfo) Name() string       { return i.name }
func (i generatedInfo) ModTime() time.Time { return time.Time{} }
func (i generatedInfo) IsDir() bool        { return i.dir }
func (i generatedInfo) Sys() any           { return nil }
func (i generatedInfo) Size() int64        { return i.size }

func (i generatedInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// dataFile implements [fs.File], [io.Seeker] and [io.ReaderAt].
type dataFile struct {
	generatedInfo
	*io.SectionReader
}

func (f *dataFile) Stat() (fs.FileInfo, error) { return f.generatedInfo, nil }
func (f *dataFile) Close() error               { return nil }

// Size is declared by both embedded types.
func (f *dataFile) Size() int64 { return f.generatedInfo.size }

// generatedDir implements [fs.ReadDirFile].
type generatedDir struct {
	generatedInfo
	rest []fs.DirEntry
}

func (d *generatedDir) Stat() (fs.FileInfo, error) { return d.generatedInfo, nil }
func (d *generatedDir) Close() error               { return nil }

func (d *generatedDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("is a directory")}
}

func (d *generatedDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n > 0 && len(d.rest) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(d.rest) {
		n = len(d.rest)
	}
	entries := d.rest[:n]
	d.rest = d.rest[n:]
	return entries, nil
}

// bytesAt is a []byte as an [io.ReaderAt]; the SectionReader around it keeps the offsets in range.
type bytesAt []byte

func (b bytesAt) ReadAt(p []byte, off int64) (int, error) { return copy(p, b[off:]), nil }

// noise is an endless stream of bytes: the block of eight at 8i is the i-th number that splitmix64 draws from the key. Each block
// is computed by itself, so reading may begin anywhere.
type noise struct{ key uint64 }

// noiseKey mixes what distinguishes one file from another.
func noiseKey(f *GeneratedFile) uint64 {
	key := uint64(14695981039346656037) // FNV-1a
	for i := range len(f.Path) {
		key = (key ^ uint64(f.Path[i])) * 1099511628211
	}
	return splitmix(key ^ splitmix(uint64(f.Size)^splitmix(f.Seed))) //nolint:gosec // any bits will do
}

func (n *noise) ReadAt(p []byte, off int64) (int, error) {
	block, skip := uint64(off)/8, int(off%8) //nolint:gosec // the SectionReader allows no negative offset
	var word [8]byte
	read := 0
	if skip != 0 {
		binary.LittleEndian.PutUint64(word[:], n.at(block))
		read = copy(p, word[skip:])
		block++
	}
	for ; len(p)-read >= 8; read += 8 {
		binary.LittleEndian.PutUint64(p[read:], n.at(block))
		block++
	}
	if read < len(p) {
		binary.LittleEndian.PutUint64(word[:], n.at(block))
		read += copy(p[read:], word[:])
	}
	return read, nil
}

func (n *noise) at(block uint64) uint64 { return splitmix(n.key + block*0x9e3779b97f4a7c15) }

// splitmix is the output function of splitmix64.
func splitmix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
