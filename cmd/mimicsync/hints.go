package main

import (
	"strings"

	"mimicsync/downloader"
	"mimicsync/downloader/gcs"
)

// storeHint is what to do about a refusal of Google's or Amazon's store. What is
// wrong is in the error's own words.
func storeHint(e *downloader.AccessError) string {
	var hints []string
	switch e.Cause {
	case downloader.CauseNoBillingProject:
		hints = append(hints, "name a Google Cloud project of yours: --billing-project PROJECT, or gcs.billing_project in the configuration")
	case downloader.CauseBadBillingProject:
		hints = append(hints, "mend the project, or name another one with --billing-project")
	case downloader.CauseNoBucket:
		hints = append(hints, "set the right name in the configuration: "+bucketField(e))
	case downloader.CauseWrongRegion, downloader.CauseAccessPoint, downloader.CauseWrongPrefix:
		hints = append(hints, "compare s3.locations in the configuration with what the dataset's page says")
	case downloader.CauseUnknownKey, downloader.CauseWrongSecret:
		hints = append(hints, "mend the access key in "+first(e.From, "the AWS configuration"))
	case downloader.CauseClock:
		hints = append(hints, "set this machine's clock")
	case downloader.CauseIdentityPolicy:
		hints = append(hints, "give the IAM user a policy that lets it read S3, such as AmazonS3ReadOnlyAccess")
	}
	if e.Command != "" {
		hints = append(hints, "type: "+e.Command)
	}
	if e.Page != "" {
		hints = append(hints, "see "+e.Page)
	}
	return strings.Join(append(hints, "or fetch from PhysioNet: --source physionet"), "\n")
}

func bucketField(e *downloader.AccessError) string {
	if e.Source == gcs.Name {
		return "gcs.buckets"
	}
	return "s3.locations"
}
