package doctor

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/s3"
	"mimicsync/manifest"
)

const robot = "robot@the-lab.iam.gserviceaccount.com"

// robotLogin makes a service account the Google login. Its token is asked for at
// the look-alike.
func robotLogin(t *testing.T, endpoint, key string) {
	t.Helper()
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": robot, "private_key": key, "private_key_id": "1", "token_uri": endpoint + "/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "credentials.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
}

func gcsAilments() []ailment {
	files := lookalike.Generated([]lookalike.GeneratedFile{{Path: manifest.Name, Data: []byte("a manifest\n")}})
	bucket := lookalike.Bucket{Name: gcs.DefaultBucket(demo), Objects: files, RequesterPays: true}
	closed := bucket
	closed.Readers = []string{"somebody"}
	elsewhere := bucket
	elsewhere.Name = "elsewhere"
	with := func(b lookalike.Bucket, billing, key string, account lookalike.Account) func(*testing.T) patient {
		return func(t *testing.T) patient {
			t.Helper()
			store := lookalike.NewGCS(b)
			hs := httptest.NewServer(store)
			t.Cleanup(hs.Close)
			t.Cleanup(store.Close)
			account.Projects = []string{"the-lab", "closed"}
			store.PutAccount(account)
			store.CloseBilling("closed")
			if key != "" {
				robotLogin(t, hs.URL, key)
			}
			source, err := gcs.New(gcs.Options{Endpoint: hs.URL, BillingProject: billing, Version: "test"})
			return patient{Candidate{Name: "gcs", Source: source, Err: err, BillsProject: true}, store}
		}
	}
	key := robotKey()
	me := lookalike.Account{Email: robot}
	gone := lookalike.Account{Email: robot, Expired: true}
	return []ailment{
		{
			name: "no billing project", patient: with(bucket, "", key, me),
			check: "access", cause: source.CauseNoBillingProject, says: "pay for it", cures: []string{"gcs.billing_project", "using-requester-pays"},
		},
		{
			name: "billing is closed", patient: with(bucket, "closed", key, me),
			check: "access", cause: source.CauseBadBillingProject, says: `"closed"`, cures: []string{"billing/linkedaccount?project=closed"},
		},
		{
			name: "another's billing project", patient: with(bucket, "not-mine", key, me),
			check: "access", cause: source.CauseBadBillingProject, says: `"not-mine"`, cures: []string{"project=not-mine", "Service Usage Consumer"},
		},
		{
			name: "no Google login", patient: with(bucket, "the-lab", "", me),
			check: "access", cause: source.CauseNoLogin, says: "no Google login", cures: []string{"gcloud auth application-default login"},
		},
		{
			name: "Google login expired", patient: with(bucket, "the-lab", key, gone),
			check: "account", cause: source.CauseLoginExpired, says: "expired", cures: []string{"gcloud auth application-default login"},
		},
		{
			name: "Google login unusable", patient: with(bucket, "the-lab", marker, me),
			check: "account", cause: source.CauseBadLogin, says: "can't be used", cures: []string{"gcloud auth application-default login"},
		},
		{
			name: "Google account not linked, access not requested", patient: with(closed, "the-lab", key, me),
			check: "access", cause: source.CauseNotGranted, says: robot,
			cures: []string{"https://physionet.org/settings/cloud/", "https://physionet.org/content/demo/1.0/#files", "gcloud auth application-default login"},
		},
		{
			name: "no bucket at Google", patient: with(elsewhere, "the-lab", key, me),
			check: "access", cause: source.CauseNoBucket, says: gcs.DefaultBucket(demo), cures: []string{"https://physionet.org/content/demo/1.0/"},
		},
	}
}

func s3Ailments() []ailment {
	ours, cloud := "demo-v1-0-02", "https://physionet.org/settings/cloud/"
	page := "https://physionet.org/content/demo/1.0/#files"
	with := func(location s3.Location, change func(*testing.T, *lookalike.S3)) func(*testing.T) patient {
		return func(t *testing.T) patient {
			t.Helper()
			t.Setenv("AWS_ACCESS_KEY_ID", keyID)
			t.Setenv("AWS_SECRET_ACCESS_KEY", marker)
			store, o := amazon(t)
			if change != nil {
				change(t, store)
			}
			o.Locations = map[manifest.Ref]s3.Location{demo: location}
			source, err := s3.New(t.Context(), o)
			return patient{Candidate{Name: "s3", Source: source, Err: err}, store}
		}
	}
	fault := func(code int, reason string) func(*testing.T, *lookalike.S3) {
		return func(_ *testing.T, s *lookalike.S3) {
			s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: code, Reason: reason, Path: manifest.Name})
		}
	}
	return []ailment{
		{
			name: "somebody else's access point", patient: with(accessPoint("demo-v1-0-01"), nil),
			check: "access", cause: source.CauseAccessPoint, says: "may be another user's", cures: []string{cloud, "Enable AWS access", page},
		},
		{
			name: "another version's access point", patient: with(accessPoint("demo-v0-9-01"), nil),
			check: "access", cause: source.CauseAccessPoint, says: "for another dataset or version", cures: []string{page},
		},
		{
			name: "wrong prefix", patient: with(s3.Location{URL: strings.TrimSuffix(accessPoint(ours).URL, "{dataset}/{version}/")}, nil),
			check: "access", cause: source.CauseWrongPrefix, says: "serves what is below demo/1.0/", cures: []string{"/demo/1.0/", page},
		},
		{
			name: "no such access point", patient: with(accessPoint("demo-v1-0-77"), nil),
			check: "access", cause: source.CauseNoBucket, says: "demo-v1-0-77", cures: []string{page},
		},
		{
			name: "no such bucket", patient: with(s3.Location{URL: "s3://mimic-iii-physionet/"}, nil),
			check: "access", cause: source.CauseNoBucket, says: "mimic-iii-physionet", cures: []string{page},
		},
		{
			name: "nothing in the open bucket", patient: with(s3.Open, nil),
			check: "access", says: "demo@1.0 has no files below", cures: []string{page},
		},
		{
			name: "an access point's bucket in another region", patient: with(accessPoint(ours), func(_ *testing.T, s *lookalike.S3) {
				s.AddBucket(lookalike.S3Bucket{Name: "controlled", Region: "eu-west-1", Objects: lookalike.Generated(nil)})
			}),
			check: "access", cause: source.CauseWrongRegion, says: "is in the region eu-west-1", cures: []string{"set the region"},
		},
		{
			name: "a stranger, as configured", patient: with(s3.Location{URL: "s3://controlled/{dataset}/{version}/", Anonymous: true}, nil),
			check: "access", cause: source.CauseStranger, says: "without credentials", cures: []string{"anonymous", page},
		},
		{
			name: "a program that fails", patient: with(accessPoint(ours), awsConfig("[default]\ncredential_process = sh -c 'echo vault is sealed, token="+marker+" >&2; exit 3'\n")),
			check: "account", cause: source.CauseBadLogin, says: `failed (exit status 3) and says "vault is sealed, token=…"`, cures: []string{"aws sts get-caller-identity"},
		},
		{
			name: "no such AWS profile", patient: with(accessPoint(ours), func(t *testing.T, s *lookalike.S3) {
				t.Helper()
				awsConfig("[profile other]\n")(t, s)
				t.Setenv("AWS_PROFILE", "typo")
			}),
			check: "account", cause: source.CauseBadLogin, says: `the AWS profile "typo"`, cures: []string{"aws configure list-profiles"},
		},
		{
			name: "signatures of another time", patient: with(accessPoint(ours), fault(403, "RequestTimeTooSkewed")),
			check: "access", cause: source.CauseClock, says: "signed at another time", cures: []string{"timedatectl"},
		},
		{
			name: "clock behind the store's", check: "clock", cause: source.CauseClock, says: "behind the server's", cures: []string{"timedatectl"}, fetches: true,
			patient: with(accessPoint(ours), func(_ *testing.T, s *lookalike.S3) { s.Now = func() time.Time { return time.Now().Add(time.Hour) } }),
		},
		{
			name: "deleted access key", patient: with(accessPoint(ours), func(_ *testing.T, s *lookalike.S3) { s.RemoveKey(keyID) }),
			check: "account", cause: source.CauseUnknownKey, says: "doesn't know the access key", cures: []string{"aws configure"},
		},
		{
			name: "wrong secret", patient: with(accessPoint(ours), fault(403, "SignatureDoesNotMatch")),
			check: "access", cause: source.CauseWrongSecret, says: "secret of the access key is wrong", cures: []string{"aws configure"},
		},
		{
			name: "expired session", patient: with(accessPoint(ours), func(_ *testing.T, s *lookalike.S3) { s.DropSessions() }),
			check: "account", cause: source.CauseLoginExpired, says: "expired", cures: []string{"aws sts get-caller-identity"},
		},
		{
			name: "expired single sign-on", patient: with(accessPoint(ours), singleSignOn),
			check: "account", cause: source.CauseLoginExpired, says: "expired", cures: []string{"aws sso login"},
		},
		{
			name: "no AWS credentials", patient: with(accessPoint(ours), func(t *testing.T, _ *lookalike.S3) {
				t.Helper()
				t.Setenv("AWS_ACCESS_KEY_ID", "")
			}),
			check: "access", cause: source.CauseNoLogin, says: "no AWS credentials", cures: []string{"aws configure"},
		},
		{
			name: "a role", patient: with(accessPoint("demo-v1-0-01"), func(_ *testing.T, s *lookalike.S3) {
				s.AddKey(lookalike.S3Key{ID: keyID, Identity: "arn:aws:sts::123456789012:assumed-role/lab/alice"})
			}),
			check: "account", cause: source.CauseNoUser, says: "not to roles or root accounts", cures: []string{"aws configure", cloud},
		},
		{
			name: "an archive", patient: with(accessPoint(ours), fault(403, "InvalidObjectState")),
			check: "access", cause: source.CauseArchived, says: "archive", cures: []string{"another source"},
		},
	}
}

// awsConfig makes a person's credentials those of a configuration file.
func awsConfig(text string) func(*testing.T, *lookalike.S3) {
	return func(t *testing.T, _ *lookalike.S3) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		t.Setenv("AWS_CONFIG_FILE", file)
	}
}

// Without a dataset, all is asked that needs none; and each source is asked
// while another one says nothing.
func TestDoctorWithoutADataset(t *testing.T) {
	skipIfShort(t)
	isolate(t)
	t.Setenv("AWS_ACCESS_KEY_ID", keyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", marker)
	silent := site(lookalike.Version{})
	silent.Inject(lookalike.Fault{Kind: lookalike.Delay})
	away := visit(t, silent, marie)
	t.Cleanup(silent.Close)
	google := lookalike.NewGCS()
	hs := httptest.NewServer(google)
	t.Cleanup(hs.Close)
	google.PutAccount(lookalike.Account{Email: robot})
	robotLogin(t, hs.URL, robotKey())
	bucket, err := gcs.New(gcs.Options{Endpoint: hs.URL})
	if err != nil {
		t.Fatal(err)
	}
	_, o := amazon(t)
	o.Locations = map[manifest.Ref]s3.Location{demo: accessPoint("demo-v1-0-02")}
	point, err := s3.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	d := &Doctor{Check: func() error { return nil }, IsAway: func(error) bool { return false }, Mirror: t.TempDir(), Limit: 2 * time.Second, Candidates: []Candidate{away, {Name: gcs.Name, Source: bucket, BillsProject: true}, {Name: s3.Name, Source: point}}}
	result := d.Examine(t.Context())
	if got := strings.Join(result.From, " "); !result.OK || got != "gcs s3" {
		t.Errorf("what can be asked: %s, want gcs s3", got)
	}
	wantFinding(t, result, "gcs", ailment{check: "billing", says: "no project is set", cures: []string{"--billing-project"}})
	var order, states []string
	for _, g := range result.Groups {
		order = append(order, g.Name)
		for _, f := range g.Checks {
			if g.Name != "mirror" {
				states = append(states, f.Check+"="+string(f.State))
			}
		}
	}
	if got := strings.Join(order, " "); got != "physionet gcs s3 mirror" {
		t.Errorf("the order is %s, want that of the sources", got)
	}
	want := "network=failed proxy=ok clock=skipped account=skipped access=skipped " +
		"network=ok proxy=ok clock=ok account=ok billing=note access=skipped " +
		"network=ok proxy=ok clock=ok account=ok access=skipped"
	if got := strings.Join(states, " "); got != want {
		t.Errorf("the checks are %s, want %s", got, want)
	}
	wantNoSecret(t, result)
}
