package source_test

import (
	"os/exec"
	"strings"
	"testing"
)

// A source reads bytes: it keeps no records and makes one attempt, so whoever writes one
// needs to know nothing of the store, and of retries.
func TestSourcesDependOnTheContractAlone(t *testing.T) {
	for _, name := range []string{"physionet", "gcs", "s3"} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "mimicsync/downloader/source/"+name).Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		for dependency := range strings.Lines(string(out)) {
			dependency = strings.TrimSpace(dependency)
			switch {
			case strings.HasPrefix(dependency, "go.etcd.io/bbolt"), strings.HasPrefix(dependency, "github.com/cenkalti/backoff"),
				dependency == "mimicsync/store", dependency == "mimicsync/downloader", strings.HasPrefix(dependency, "mimicsync/downloader/retry"),
				strings.HasPrefix(dependency, "mimicsync/downloader/tree"):
				t.Errorf("%s depends on %s", name, dependency)
			}
		}
	}
}
