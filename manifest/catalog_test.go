package manifest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestCatalogIsSound(t *testing.T) {
	decoder := json.NewDecoder(bytes.NewReader(catalogJSON))
	decoder.DisallowUnknownFields()
	var strict []Dataset
	if err := decoder.Decode(&strict); err != nil {
		t.Fatalf("catalog.json: %v", err)
	}
	all := Catalog()
	if len(all) != len(strict) || len(all) == 0 {
		t.Fatalf("Catalog() = %d datasets, want %d", len(all), len(strict))
	}
	for i, d := range all {
		if i > 0 && all[i-1].Slug >= d.Slug {
			t.Errorf("%s after %s, want them sorted and once each", d.Slug, all[i-1].Slug)
		}
		ref := Ref{Dataset: d.Slug, Version: d.Version}
		if got, err := ParseRef(ref.String()); err != nil || got != ref {
			t.Errorf("ParseRef(%q) = %v, %v, want %v", ref.String(), got, err, ref)
		}
		if d.Title == "" || d.Files < 0 || d.Bytes < 0 {
			t.Errorf("%s: title %q, files %d, bytes %d", d.Slug, d.Title, d.Files, d.Bytes)
		}
		if !slices.IsSortedFunc(d.Versions, CompareVersions) || len(d.Versions) == 0 || d.Versions[len(d.Versions)-1] != d.Version {
			t.Errorf("%s: versions %v, want them from old to %s", d.Slug, d.Versions, d.Version)
		}
		if want := "gs://" + d.Slug + "-" + d.Version + ".physionet.org"; d.GCS != "" && d.GCS != want {
			t.Errorf("%s: gcs %q, want %q", d.Slug, d.GCS, want)
		}
		if want := "s3://physionet-open/" + d.Slug + "/" + d.Version + "/"; d.S3 != "" && (d.S3 != want || d.Access != Open) {
			t.Errorf("%s: s3 %q, want %q and open access", d.Slug, d.S3, want)
		}
	}
}

func TestCatalogReturnsACopy(t *testing.T) {
	Catalog()[0].Versions[0] = "changed"
	Catalog()[0].Slug = "changed"
	if d := Catalog()[0]; d.Slug == "changed" || d.Versions[0] == "changed" {
		t.Errorf("Catalog() = %v after a caller changed its copy", d)
	}
}

func TestLookup(t *testing.T) {
	d, ok := Lookup("mimic-iv-demo")
	if !ok || d.Version != "2.2" || d.Access != Open || d.Files != 34 {
		t.Errorf("Lookup(mimic-iv-demo) = %+v, %v", d, ok)
	}
	if d, ok := Lookup("mimic-v"); ok {
		t.Errorf("Lookup(mimic-v) = %+v, want none", d)
	}
}

func TestNearest(t *testing.T) {
	for slug, want := range map[string]string{
		"mimic-iv": "mimiciv", "mimic-iii": "mimiciii", "mimiciv-demo": "mimic-iv-demo", "mimiccxr": "mimic-cxr",
		"MIMIC_IV": "mimiciv", "mimic4": "mimiciv", "mimic3": "mimiciii", "mimic-cxr-jpeg": "mimic-cxr-jpg",
		"mimic-iv-notes": "mimic-iv-note", "mimic-iv-wdb": "mimic4wdb", "eicu": "", "mimimc-iv": "mimiciv",
		"": "", "x": "", "sleep-edfx": "", strings.Repeat("mimic", 9): "",
	} {
		if got, ok := Nearest(slug); got != want || ok != (want != "") {
			t.Errorf("Nearest(%q) = %q, %v, want %q", slug, got, ok, want)
		}
	}
}

func TestAccessAsText(t *testing.T) {
	for _, want := range []Access{Open, Restricted, Credentialed, ContributorReview} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Access
		if err := json.Unmarshal(text, &got); err != nil || got != want {
			t.Errorf("Unmarshal(%s) = %v, %v, want %v", text, got, err, want)
		}
	}
	var a Access
	if err := a.UnmarshalText([]byte("secret")); err == nil {
		t.Error("UnmarshalText(secret) = nil, want an error")
	}
	if got := Access(9).String(); got != "access(9)" {
		t.Errorf("Access(9).String() = %q", got)
	}
}
