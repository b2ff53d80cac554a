package advice

import (
	"strings"
	"testing"

	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// PhysioNet's cloud settings cure what PhysioNet grants, and nothing else.
func TestOnlyWhatPhysioNetGrantsIsCuredInItsSettings(t *testing.T) {
	for _, tt := range []struct {
		source string
		cause  source.Cause
		linked bool
		says   string
	}{
		{"gcs", source.CauseNotGranted, true, "request Google Cloud access"},
		{"gcs", source.CauseOwner, false, "ask the bucket's owner"},
		{"gcs", source.CauseNoBucket, false, "has a copy at Google"},
		{"gcs", source.CauseNoLogin, false, "log in to Google"},
		{"gcs", source.CauseBadBillingProject, false, "enable billing"},
		{"gcs", source.CauseEncrypted, false, "another source"},
		{"s3", source.CauseNotGranted, true, "under Files"},
		{"s3", source.CauseAccessPoint, true, "Enable AWS access"},
		{"s3", source.CauseNoUser, true, "IAM user"},
		{"s3", source.CauseOwner, false, "ask the bucket's owner"},
		{"s3", source.CauseShut, false, "another source"},
		{"s3", source.CauseStranger, false, "anonymous"},
		{"s3", source.CauseWrongRegion, false, "region"},
		{"s3", source.CauseIdentityPolicy, false, "AmazonS3ReadOnlyAccess"},
	} {
		cure := inLines(Adviser{}.AccessCure(&source.AccessError{
			Denial: source.Forbidden, Source: tt.source, Cause: tt.cause, Ref: manifest.Ref{Dataset: "mimic-cxr", Version: "2.1.0"},
			Page: "https://physionet.org/content/mimic-cxr/2.1.0/#files", Command: "a command",
		}))
		if strings.Contains(cure, "/settings/cloud/") != tt.linked || !strings.Contains(cure, tt.says) {
			t.Errorf("%s, %s: %q, want %q in it, the settings of PhysioNet: %v", tt.source, tt.cause, cure, tt.says, tt.linked)
		}
	}
}
