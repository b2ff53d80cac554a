package advice

import (
	"cmp"

	"mimicsync/downloader/source"
)

func s3Cure(e *source.AccessError) []Step {
	link := Step{Do: "link your AWS identity, an IAM user, in your PhysioNet profile", Page: cloudSettings}
	page := Step{Do: "compare the address with the one under Files", Page: e.Page}
	if e.Page == "" { // a store other than Amazon's
		link, page = Step{Do: "ask the administrator of the store for access"}, Step{Do: "check the address with the administrator of the store"}
	}
	switch e.Cause {
	case source.CauseNoLogin, source.CauseUnknownKey, source.CauseWrongSecret, source.CauseBadLogin:
		return []Step{{Do: "log in to AWS", Command: cmp.Or(e.Command, awsConfigure)}}
	case source.CauseLoginExpired:
		return []Step{{Do: "renew the credentials the way you got them, and test them with", Command: cmp.Or(e.Command, "aws sts get-caller-identity")}}
	case source.CauseNoRole:
		return []Step{
			{Do: "check the account and the role of the AWS profile", Command: cmp.Or(e.Command, "aws configure list")},
			{Do: "ask the administrator of your AWS accounts for that role"},
		}
	case source.CauseStranger:
		return []Step{{Do: "remove anonymous from the location in the configuration, so that your AWS login is used"}, page}
	case source.CauseEncrypted:
		return []Step{{Do: "fetch it from another source, or ask the bucket's owner to let your AWS identity use the key (kms:Decrypt)"}}
	case source.CauseSignature:
		return []Step{{Do: "fetch it from another source: the store doesn't handle the file's name"}}
	case source.CauseNoUser:
		return []Step{{Do: "use the access key of an IAM user", Command: awsConfigure}, link}
	case source.CauseClock:
		return []Step{{Do: "set this machine's clock", Command: SetClock}}
	case source.CauseWrongRegion:
		return []Step{{Do: "set the region of the location in the configuration"}}
	case source.CauseWrongPrefix:
		return []Step{{Do: "make the location in the configuration end with /" + e.Ref.Dataset + "/" + e.Ref.Version + "/"}, page}
	case source.CauseIdentityPolicy:
		return []Step{{Do: "give the IAM user the policy AmazonS3ReadOnlyAccess", Page: "https://console.aws.amazon.com/iam/"}}
	case source.CauseOwner:
		return []Step{
			{Do: "ask the bucket's owner to let your AWS identity read it (s3:GetObject, s3:ListBucket)"},
			{Do: "or, if the reader pays, set requester_pays: true for the location in the configuration"},
		}
	case source.CauseShut:
		return []Step{
			{Do: "check under Files whether the version has a copy at Amazon", Page: e.Page},
			{Do: "if so, only the bucket's owner can fix this, unless a firewall interferes: fetch it from another source"},
		}
	case source.CauseArchived:
		return []Step{{Do: "fetch it from another source, or ask its owner to restore it"}}
	case source.CauseAccessPoint:
		return []Step{
			link,
			{Do: `press "Enable AWS access" under Files, and copy the address of your own access point into the configuration`, Page: e.Page},
		}
	}
	if e.Denial == source.UnknownVersion {
		return []Step{page}
	}
	return []Step{link, page}
}
