package s3_test

import (
	"testing"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/s3"
	"mimicsync/manifest"
)

// Amazon is asked who we are, and only where credentials are to be sent.
func TestIdentify(t *testing.T) {
	login(t)
	site := controlled()
	o := amazon(t, site)
	o.Locations = map[manifest.Ref]s3.Location{mimic: {URL: arn("mimiciv-v3-1-02")}}
	src := mustNew(t, o)
	for _, ref := range []manifest.Ref{mimic, {}} {
		who, err := src.Identify(t.Context(), ref)
		if err != nil || who.User != alice || who.From != "the environment" {
			t.Errorf("Identify(%s) = %+v, %v, want %s from the environment", ref, who, err, alice)
		}
	}
	who, err := src.Identify(t.Context(), manifest.Ref{Dataset: "demo", Version: "1.0"})
	if err != nil || !who.Anonymous || who.From != "" {
		t.Errorf("Identify of an open dataset = %+v, %v, want nobody", who, err)
	}
	if n := site.Counters().Requests; n != 2 {
		t.Errorf("%d requests, want 2", n)
	}

	site.AddKey(lookalike.S3Key{ID: keyID, Identity: "arn:aws:iam::123456789012:root"})
	who, err = src.Identify(t.Context(), mimic)
	if access := expectAccess(t, err, source.Forbidden, source.CauseNoUser); access.User != who.User || who.User == "" {
		t.Errorf("Identify = %+v, %+v, want both to name the root", who, access)
	}
	site.RemoveKey(keyID)
	_, err = src.Identify(t.Context(), mimic)
	mustRefuse(t, err, source.BadCredentials, source.CauseUnknownKey)

	// A network may let through S3 and nothing else.
	site.Inject(lookalike.Fault{Kind: lookalike.Reset, After: -1})
	if who, err = src.Identify(t.Context(), mimic); err != nil || who.From == "" || who.User != "" {
		t.Errorf("Identify where Amazon cannot be asked = %+v, %v, want only where credentials are from", who, err)
	}
}

func TestReach(t *testing.T) {
	site := controlled()
	o := amazon(t, site)
	o.Locations = map[manifest.Ref]s3.Location{mimic: {URL: arn("mimiciv-v3-1-02")}}
	source := mustNew(t, o)
	at, err := source.Reach(t.Context(), mimic)
	if want := "https://mimiciv-v3-1-02-" + account + ".s3-accesspoint.us-east-1.amazonaws.com"; err != nil || at.Address != want {
		t.Errorf("Reach = %+v, %v, want %s", at, err, want)
	}
	if ahead, known := at.Ahead(); !known || ahead.Abs().Minutes() > 1 {
		t.Errorf("the clock is %s ahead, %t, want the same", ahead, known)
	}
	site.Inject(lookalike.Fault{Kind: lookalike.Reset, After: -1})
	if at, err = source.Reach(t.Context(), mimic); err == nil || at.Address == "" {
		t.Errorf("Reach of a server that hangs up = %+v, %v, want its address and an error", at, err)
	}
}
