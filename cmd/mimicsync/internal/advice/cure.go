package advice

import (
	"cmp"
	"net/url"
	"strings"

	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/physionet"
	"mimicsync/downloader/source/s3"
	"mimicsync/manifest"
)

// Step is something that people can do about a failure, with the page to open or the
// command to type.
type Step struct {
	Do      string `json:"do"`
	Page    string `json:"page,omitempty"`
	Command string `json:"command,omitempty"`
}

// String is the step in one line, with the page or the command at its end.
func (s Step) String() string {
	if where := cmp.Or(s.Command, s.Page); where != "" {
		return s.Do + ": " + where
	}
	return s.Do
}

// Words are the words of the step. A page or a command counts as one, so that it stays
// whole.
func (s Step) Words() []string {
	where := cmp.Or(s.Command, s.Page)
	if where == "" {
		return strings.Split(words.Printable(s.Do), " ")
	}
	return append(strings.Split(words.Printable(s.Do)+":", " "), words.Printable(where))
}

// Where login finds an account, see physionet.Credentials.
const (
	FromPrompt = "the prompt"
	FromStdin  = "standard input"
)

// Pages and commands that lead to access. PhysioNet's own pages describe the steps to its
// copies: link the account in the profile, request access on the page of the version, then
// go to the bucket.
const (
	cloudSettings = physionet.DefaultURL + "/settings/cloud/"
	SetClock      = "sudo timedatectl set-ntp true"
	awsConfigure  = "aws configure"
)

// AccessCure is what to do if a source denies access.
func (a Adviser) AccessCure(e *source.AccessError) []Step {
	switch e.Source {
	case gcs.Name:
		return gcsCure(e)
	case s3.Name:
		return s3Cure(e)
	}
	return a.physionetCure(e)
}

func (a Adviser) physionetCure(e *source.AccessError) []Step {
	host := "physionet.org"
	if page, err := url.Parse(e.Page); err == nil && page.Host != "" {
		host = page.Hostname()
	}
	switch e.Denial {
	case source.Moved:
		return []Step{
			{Do: "set the right address, in physionet.url in the configuration or with", Command: "export MIMICSYNC_PHYSIONET_URL=" + e.Page},
			{Do: "then log in there, if the dataset needs an account", Command: "mimicsync login --url " + e.Page},
		}
	case source.NoCredentials:
		steps := []Step{
			{Do: "log in with", Command: "mimicsync login"},
			{Do: "or set PHYSIONET_USERNAME and PHYSIONET_PASSWORD, or add this line to ~/.netrc (chmod 600): machine " + host + " login USER password PASSWORD"},
		}
		if e.Ref.Dataset != "" {
			steps = append(steps, Step{Do: "see what the dataset requires", Page: e.Page})
		}
		return steps
	case source.BadCredentials:
		steps := []Step{{Do: "try the user and password at", Page: e.Page}}
		switch e.From {
		case FromPrompt, FromStdin:
			return steps
		case physionet.FromKeyring, a.Account:
			return append(steps, Step{Do: "enter them again", Command: "mimicsync login"})
		}
		return append(steps, Step{Do: "correct them in " + e.From})
	case source.UnknownVersion:
		steps := []Step{{Do: "list the datasets", Command: "mimicsync datasets"}, {Do: "see the versions", Page: e.Page}}
		if near, ok := manifest.Nearest(e.Ref.Dataset); ok && near != e.Ref.Dataset {
			return append([]Step{{Do: "did you mean " + near + "?"}}, steps...)
		}
		return steps
	}
	return forbiddenCure(e)
}

// forbiddenCure is what to do if PhysioNet accepts the account, or doesn't care about it.
func forbiddenCure(e *source.AccessError) []Step {
	version := "/" + e.Ref.Dataset + "/" + e.Ref.Version + "/"
	base := e.Page
	for _, page := range []string{"/sign-dua/", "/request-access-status/", "/content/"} {
		base, _, _ = strings.Cut(base, page)
	}
	account := []Step{
		{Do: "check that your training hasn't expired", Page: base + "/settings/training/"},
		{Do: "check that you are credentialed", Page: base + "/settings/credentialing/"},
	}
	switch e.Cause {
	case source.CauseWithdrawn:
		if strings.HasSuffix(e.Page, version) {
			return []Step{{Do: "see why on its page, and what replaces it; the files in your mirror stay", Page: e.Page}}
		}
		return []Step{{Do: "use the newest version", Page: e.Page}}
	case source.CauseRegion:
		return []Step{{Do: "read the terms, or ask PhysioNet", Page: e.Page}}
	case source.CauseDownloadsOff:
		return []Step{{Do: "see on its page how to use it in place", Page: e.Page}}
	case source.CauseReview:
		return append([]Step{{Do: "ask the contributors of the data for access, or check your request", Page: e.Page}}, account...)
	case source.CauseUnexplained:
		return []Step{
			{Do: "see whether its page says why", Page: e.Page},
			{Do: "if not, a firewall or the server may have trouble: try again later"},
		}
	}
	steps := append([]Step{{Do: "sign the agreement of this version", Page: e.Page}}, account...)
	return append(steps, Step{Do: "see what else the dataset requires", Page: base + "/content" + version})
}
