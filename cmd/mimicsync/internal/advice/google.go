package advice

import (
	"cmp"

	"mimicsync/downloader/source"
)

// NameProject is the advice if no project pays for reads.
var NameProject = Step{Do: "name a Google Cloud project of yours with billing enabled, in gcs.billing_project or with --billing-project"}

func gcsCure(e *source.AccessError) []Step {
	login := Step{Do: "log in to Google with the account linked to PhysioNet", Command: e.Command}
	switch e.Cause {
	case source.CauseNoBillingProject:
		return []Step{NameProject, {Do: "read how it works", Page: e.Page}}
	case source.CauseBadBillingProject:
		return []Step{{Do: "enable billing for the project", Page: e.Page}, {Do: "or ask its owner for the role Service Usage Consumer, or name another project"}}
	case source.CauseNoLogin, source.CauseLoginExpired, source.CauseBadLogin:
		return []Step{login}
	case source.CauseStranger:
		return []Step{{Do: "set gcs.anonymous to false in the configuration"}, login}
	case source.CauseEncrypted:
		return []Step{{Do: "fetch it from another source, or tell the bucket's owner", Page: e.Page}}
	case source.CauseFederation:
		return []Step{{Do: "renew the token of your identity provider; its errors are explained at", Page: e.Page}, {Do: "or log in to Google as a person", Command: "gcloud auth application-default login"}}
	case source.CauseNoRole:
		return []Step{{Do: "ask the service account's owner for the role Service Account Token Creator", Page: e.Page}, {Do: "or log in to Google with the account linked to PhysioNet", Command: "gcloud auth application-default login"}}
	case source.CauseNoBucket:
		return []Step{{Do: "check whether the version has a copy at Google, and its name", Page: e.Page}}
	case source.CauseOwner:
		return []Step{
			{Do: "ask the bucket's owner to give this account the role Storage Object Viewer, or check the name in gcs.buckets"},
			{Do: "or log in to Google with an account that may read it", Command: e.Command},
		}
	}
	login.Command = cmp.Or(login.Command, "gcloud auth application-default login")
	return []Step{
		{Do: "link your Google account in your PhysioNet profile", Page: cloudSettings},
		{Do: "request Google Cloud access under Files, and wait ten minutes", Page: e.Page},
		login,
	}
}
