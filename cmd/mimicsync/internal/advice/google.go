package advice

import (
	"cmp"

	"mimicsync/downloader/source"
)

var NameProject = Step{Do: "name a Google Cloud project of yours that has billing, in gcs.billing_project or with --billing-project"}

func gcsCure(e *source.AccessError) []Step {
	login := Step{Do: "log in to Google as the account that is linked with PhysioNet", Command: e.Command}
	switch e.Cause {
	case source.CauseNoBillingProject:
		return []Step{NameProject, {Do: "see how that works", Page: e.Page}}
	case source.CauseBadBillingProject:
		return []Step{{Do: "enable billing for the project", Page: e.Page}, {Do: "or have its owner give you the role Service Usage Consumer, or name another one"}}
	case source.CauseNoLogin, source.CauseLoginExpired, source.CauseBadLogin:
		return []Step{login}
	case source.CauseStranger:
		return []Step{{Do: "let gcs.anonymous be false in the configuration"}, login}
	case source.CauseEncrypted:
		return []Step{{Do: "fetch it from another source, or tell the bucket's owner", Page: e.Page}}
	case source.CauseFederation:
		return []Step{{Do: "renew the token of your identity provider, and see how its errors are read", Page: e.Page}, {Do: "or log in to Google as a person", Command: "gcloud auth application-default login"}}
	case source.CauseNoRole:
		return []Step{{Do: "have the service account's owner give you the role Service Account Token Creator", Page: e.Page}, {Do: "or log in to Google as the account that is linked with PhysioNet", Command: "gcloud auth application-default login"}}
	case source.CauseNoBucket:
		return []Step{{Do: "see whether the version has a copy at Google, and under which name", Page: e.Page}}
	case source.CauseOwner:
		return []Step{
			{Do: "ask the bucket's owner to give this account the role Storage Object Viewer, or compare the name in gcs.buckets with the right one"},
			{Do: "or log in to Google as an account that may read it", Command: e.Command},
		}
	}
	login.Command = cmp.Or(login.Command, "gcloud auth application-default login")
	return []Step{
		{Do: "link your Google account in your PhysioNet profile", Page: cloudSettings},
		{Do: "request access by Google Cloud under Files, and wait ten minutes", Page: e.Page},
		login,
	}
}
