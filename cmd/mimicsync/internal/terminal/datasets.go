package terminal

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/physionet"
	"mimicsync/downloader/source/s3"
	"mimicsync/manifest"
)

// Datasets prints the catalog of this build.
func (u *UI) Datasets(all []manifest.Dataset) {
	w := tabwriter.NewWriter(u.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NAME\tVERSION\tACCESS\tFILES\tSIZE\tSOURCES\tTITLE")
	for _, d := range all {
		files, bytes := "?", "?"
		if d.Files > 0 {
			files = humanize.Comma(d.Files)
		}
		if d.Bytes > 0 {
			bytes = words.Size(d.Bytes)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.Slug, d.Version, d.Access, files, bytes, strings.Join(knownSources(d), ","), d.Title)
	}
	_ = w.Flush()
	u.Printf("\nVersions and sizes are those known to this build; pull takes the newest version.\n" +
		"Credentialed datasets need an account, training and a signed agreement: https://physionet.org/content/NAME/\n")
}

// knownSources are the sources that are known to have a dataset.
func knownSources(d manifest.Dataset) []string {
	names := []string{physionet.Name}
	if d.GCS != "" {
		names = append(names, gcs.Name)
	}
	if d.S3 != "" {
		names = append(names, s3.Name)
	}
	return names
}

// Projects prints the projects that PhysioNet lists.
func (u *UI) Projects(all []physionet.Project) {
	w := tabwriter.NewWriter(u.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NAME\tVERSION\tACCESS\tSIZE\tTITLE")
	for _, p := range all {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", words.Printable(p.Slug), words.Printable(p.Version), words.Printable(cmp.Or(p.Access, "?")), words.Size(p.Bytes), words.Printable(p.Title))
	}
	_ = w.Flush()
}
