package downloader_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mimicsync/downloader/host"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/physionet"
	"mimicsync/downloader/source/s3"
	"mimicsync/manifest"
	"mimicsync/store"
)

// A session at Amazon ends in the middle of a pass. Where a tool has written new
// credentials into ~/.aws, nobody notices; where none has, the rest comes from the
// next source.
func TestTheSessionAtAmazonEndsInMidPass(t *testing.T) {
	const first, second = "ASIAIOSFODNN7SESSION", "ASIAIOSFODNN7RENEWED"
	files := manyFiles(60, 3000)
	for name, renews := range map[string]bool{"renewed": true, "not renewed": false} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "credentials")
			write := func(id string) {
				must(t, os.WriteFile(file, []byte("[default]\naws_access_key_id = "+id+"\naws_secret_access_key = x\naws_session_token = y\n"), 0o600))
			}
			write(first)
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
			t.Setenv("AWS_CONFIG_FILE", os.DevNull)
			t.Setenv("AWS_ACCESS_KEY_ID", "")
			a := newAmazon(t, nil, files...)
			a.AddBucket(lookalike.S3Bucket{Name: "demo-copy", Readers: []string{first, second}, Objects: lookalike.Generated(files)})
			a.AddKey(lookalike.S3Key{ID: first})
			a.AddKey(lookalike.S3Key{ID: second})
			src, err := s3.New(t.Context(), s3.Options{
				Endpoint: serve(t, a.S3), Connections: 4, Locations: map[manifest.Ref]s3.Location{demo: {URL: "s3://demo-copy/"}},
			})
			must(t, err)
			a.source.Source = &turning{Source: src, at: 21, turn: func() {
				if renews {
					write(second)
				}
				a.AddKey(lookalike.S3Key{ID: first, Expires: time.Now().Add(-time.Second)})
			}}
			authority := newSite(t, nil, project(files...)).source(t, physionet.Credentials{}, 4)
			r := newRig(t, rigOptions{sources: []host.Source{a.source, authority}, authority: &authority})
			report := r.pull()
			wantFiles(t, report, store.Complete, store.Files{Total: 60, Fetched: 60})
			r.has(files...)
			amazon := report.Sources[0]
			if renews && (amazon.Files != 60 || amazon.Failed != 0 || amazon.Err != nil) {
				t.Errorf("s3 = %+v, want all files from there", amazon)
			}
			if access, ok := errors.AsType[*source.AccessError](amazon.Err); !renews && (!ok || access.Cause != source.CauseLoginExpired || amazon.Files > 20) {
				t.Errorf("s3 = %+v, want it to be dropped for its session", amazon)
			}
		})
	}
}
