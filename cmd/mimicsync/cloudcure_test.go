package main

import (
	"strings"
	"testing"

	"mimicsync/downloader"
	"mimicsync/manifest"
)

// PhysioNet's cloud settings cure what PhysioNet grants, and nothing else.
func TestOnlyWhatPhysioNetGrantsIsCuredInItsSettings(t *testing.T) {
	for _, tt := range []struct {
		source string
		cause  downloader.Cause
		linked bool
		says   string
	}{
		{"gcs", downloader.CauseNotGranted, true, "request access by Google Cloud"},
		{"gcs", downloader.CauseOwner, false, "ask the bucket's owner"},
		{"gcs", downloader.CauseNoBucket, false, "has a copy at Google"},
		{"gcs", downloader.CauseNoLogin, false, "log in to Google"},
		{"gcs", downloader.CauseBadBillingProject, false, "enable billing"},
		{"gcs", downloader.CauseEncrypted, false, "another source"},
		{"s3", downloader.CauseNotGranted, true, "under Files"},
		{"s3", downloader.CauseAccessPoint, true, "Enable AWS access"},
		{"s3", downloader.CauseNoUser, true, "IAM user"},
		{"s3", downloader.CauseOwner, false, "ask the bucket's owner"},
		{"s3", downloader.CauseShut, false, "another source"},
		{"s3", downloader.CauseStranger, false, "anonymous"},
		{"s3", downloader.CauseWrongRegion, false, "region"},
		{"s3", downloader.CauseIdentityPolicy, false, "AmazonS3ReadOnlyAccess"},
	} {
		cure := inLines(accessCure(&downloader.AccessError{
			Denial: downloader.Forbidden, Source: tt.source, Cause: tt.cause, Ref: manifest.Ref{Dataset: "mimic-cxr", Version: "2.1.0"},
			Page: "https://physionet.org/content/mimic-cxr/2.1.0/#files", Command: "a command",
		}))
		if strings.Contains(cure, "/settings/cloud/") != tt.linked || !strings.Contains(cure, tt.says) {
			t.Errorf("%s, %s: %q, want %q in it, the settings of PhysioNet: %v", tt.source, tt.cause, cure, tt.says, tt.linked)
		}
	}
}
