package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"mimicsync/downloader/source"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/physionet"
	"mimicsync/downloader/source/s3"
	"mimicsync/manifest"
)

// step is something that a person can do about a failure, with the page where
// or the command by which it is done.
type step struct {
	Do      string `json:"do"`
	Page    string `json:"page,omitempty"`
	Command string `json:"command,omitempty"`
}

// String is the step in one line, with the page or the command at its end.
func (s step) String() string {
	if where := first(s.Command, s.Page); where != "" {
		return s.Do + ": " + where
	}
	return s.Do
}

// Pages and commands that lead to access. PhysioNet's own pages name the steps
// to its copies: link the account in the profile, request access on the page of
// the version, then go to the bucket.
const (
	cloudSettings = physionet.DefaultURL + "/settings/cloud/"
	setClock      = "sudo timedatectl set-ntp true"
	awsConfigure  = "aws configure"
)

// accessCure is what to do where a source refuses.
func accessCure(e *source.AccessError) []step {
	switch e.Source {
	case gcs.Name:
		return gcsCure(e)
	case s3.Name:
		return s3Cure(e)
	}
	return physionetCure(e)
}

func physionetCure(e *source.AccessError) []step {
	host := "physionet.org"
	if page, err := url.Parse(e.Page); err == nil && page.Host != "" {
		host = page.Hostname()
	}
	switch e.Denial {
	case source.Moved:
		return []step{
			{Do: "name the right address, in physionet.url of the configuration or with", Command: "export MIMICSYNC_PHYSIONET_URL=" + e.Page},
			{Do: "and log in there, if the dataset asks for an account", Command: "mimicsync login --url " + e.Page},
		}
	case source.NoCredentials:
		steps := []step{
			{Do: "log in with", Command: "mimicsync login"},
			{Do: "or set PHYSIONET_USERNAME and PHYSIONET_PASSWORD, or put into ~/.netrc (chmod 600) the line: machine " + host + " login USER password PASSWORD"},
		}
		if e.Ref.Dataset != "" {
			steps = append(steps, step{Do: "see what the dataset asks of its readers", Page: e.Page})
		}
		return steps
	case source.BadCredentials:
		steps := []step{{Do: "try them on", Page: e.Page}}
		switch e.From {
		case fromPrompt, fromStdin:
			return steps
		case physionet.FromKeyring, keptFile():
			return append(steps, step{Do: "type them again", Command: "mimicsync login"})
		}
		return append(steps, step{Do: "mend them in " + e.From})
	case source.UnknownVersion:
		steps := []step{{Do: "see the names", Command: "mimicsync datasets"}, {Do: "see the versions", Page: e.Page}}
		if near, ok := manifest.Nearest(e.Ref.Dataset); ok && near != e.Ref.Dataset {
			return append([]step{{Do: "did you mean " + near + "?"}}, steps...)
		}
		return steps
	}
	return forbiddenCure(e)
}

// forbiddenCure is what to do where PhysioNet knows who asks, or does not care.
func forbiddenCure(e *source.AccessError) []step {
	version := "/" + e.Ref.Dataset + "/" + e.Ref.Version + "/"
	base := e.Page
	for _, page := range []string{"/sign-dua/", "/request-access-status/", "/content/"} {
		base, _, _ = strings.Cut(base, page)
	}
	account := []step{
		{Do: "see that your training has not expired", Page: base + "/settings/training/"},
		{Do: "see that you are credentialed", Page: base + "/settings/credentialing/"},
	}
	switch e.Cause {
	case source.CauseWithdrawn:
		if strings.HasSuffix(e.Page, version) {
			return []step{{Do: "see on its page why, and what took its place; what the mirror has stays", Page: e.Page}}
		}
		return []step{{Do: "take the newest version", Page: e.Page}}
	case source.CauseRegion:
		return []step{{Do: "read the terms, or ask PhysioNet", Page: e.Page}}
	case source.CauseDownloadsOff:
		return []step{{Do: "see on its page how to use it where it is", Page: e.Page}}
	case source.CauseReview:
		return append([]step{{Do: "ask those who contributed the data for access, or see how your request stands", Page: e.Page}}, account...)
	case source.CauseUnexplained:
		return []step{
			{Do: "see whether its page says why", Page: e.Page},
			{Do: "if it does not, a firewall in between or the server may be in trouble: try again later"},
		}
	}
	steps := append([]step{{Do: "sign the agreement of this version", Page: e.Page}}, account...)
	return append(steps, step{Do: "see what else the dataset asks", Page: base + "/content" + version})
}

var nameProject = step{Do: "name a Google Cloud project of yours that has billing, in gcs.billing_project or with --billing-project"}

func gcsCure(e *source.AccessError) []step {
	login := step{Do: "log in to Google as the account that is linked with PhysioNet", Command: e.Command}
	switch e.Cause {
	case source.CauseNoBillingProject:
		return []step{nameProject, {Do: "see how that works", Page: e.Page}}
	case source.CauseBadBillingProject:
		return []step{{Do: "enable billing for the project", Page: e.Page}, {Do: "or have its owner give you the role Service Usage Consumer, or name another one"}}
	case source.CauseNoLogin, source.CauseLoginExpired, source.CauseBadLogin:
		return []step{login}
	case source.CauseStranger:
		return []step{{Do: "let gcs.anonymous be false in the configuration"}, login}
	case source.CauseEncrypted:
		return []step{{Do: "fetch it from another source, or tell the bucket's owner", Page: e.Page}}
	case source.CauseFederation:
		return []step{{Do: "renew the token of your identity provider, and see how its errors are read", Page: e.Page}, {Do: "or log in to Google as a person", Command: "gcloud auth application-default login"}}
	case source.CauseNoRole:
		return []step{{Do: "have the service account's owner give you the role Service Account Token Creator", Page: e.Page}, {Do: "or log in to Google as the account that is linked with PhysioNet", Command: "gcloud auth application-default login"}}
	case source.CauseNoBucket:
		return []step{{Do: "see whether the version has a copy at Google, and under which name", Page: e.Page}}
	case source.CauseOwner:
		return []step{
			{Do: "ask the bucket's owner to give this account the role Storage Object Viewer, or compare the name in gcs.buckets with the right one"},
			{Do: "or log in to Google as an account that may read it", Command: e.Command},
		}
	}
	login.Command = first(login.Command, "gcloud auth application-default login")
	return []step{
		{Do: "link your Google account in your PhysioNet profile", Page: cloudSettings},
		{Do: "request access by Google Cloud under Files, and wait ten minutes", Page: e.Page},
		login,
	}
}

func s3Cure(e *source.AccessError) []step {
	link := step{Do: "link your AWS identity, an IAM user, in your PhysioNet profile", Page: cloudSettings}
	page := step{Do: "compare the address with the one under Files", Page: e.Page}
	if e.Page == "" { // another store than Amazon's
		link, page = step{Do: "ask whoever runs the store for access"}, step{Do: "compare the address with what whoever runs the store says"}
	}
	switch e.Cause {
	case source.CauseNoLogin, source.CauseUnknownKey, source.CauseWrongSecret, source.CauseBadLogin:
		return []step{{Do: "log in to AWS", Command: first(e.Command, awsConfigure)}}
	case source.CauseLoginExpired:
		return []step{{Do: "log in again, in the way in which you got the credentials, and try them with", Command: first(e.Command, "aws sts get-caller-identity")}}
	case source.CauseNoRole:
		return []step{
			{Do: "compare the account and the role of the AWS profile with what you may use", Command: first(e.Command, "aws configure list")},
			{Do: "ask whoever runs your AWS accounts to give you that role"},
		}
	case source.CauseStranger:
		return []step{{Do: "let the location in the configuration say no more that it is anonymous, so that your AWS login is sent"}, page}
	case source.CauseEncrypted:
		return []step{{Do: "fetch it from another source, or ask the bucket's owner to let your AWS identity use the key (kms:Decrypt)"}}
	case source.CauseSignature:
		return []step{{Do: "fetch it from another source: the store does not understand the file's name"}}
	case source.CauseNoUser:
		return []step{{Do: "use the access key of an IAM user", Command: awsConfigure}, link}
	case source.CauseClock:
		return []step{{Do: "set this machine's clock", Command: setClock}}
	case source.CauseWrongRegion:
		return []step{{Do: "set the region of the location in the configuration"}}
	case source.CauseWrongPrefix:
		return []step{{Do: "let the location in the configuration end with /" + e.Ref.Dataset + "/" + e.Ref.Version + "/"}, page}
	case source.CauseIdentityPolicy:
		return []step{{Do: "give the IAM user the policy AmazonS3ReadOnlyAccess", Page: "https://console.aws.amazon.com/iam/"}}
	case source.CauseOwner:
		return []step{
			{Do: "ask the bucket's owner to let your AWS identity read it (s3:GetObject, s3:ListBucket)"},
			{Do: "or, where the reader pays, let the location in the configuration say requester_pays: true"},
		}
	case source.CauseShut:
		return []step{
			{Do: "see under Files whether the version has a copy at Amazon", Page: e.Page},
			{Do: "if it has, this is for the bucket's owner to mend, or a firewall is in between: fetch it from another source"},
		}
	case source.CauseArchived:
		return []step{{Do: "fetch it from another source, or ask its owner to restore it"}}
	case source.CauseAccessPoint:
		return []step{
			link,
			{Do: `press "Enable AWS access" under Files, and copy the address of your own access point into the configuration`, Page: e.Page},
		}
	}
	if e.Denial == source.UnknownVersion {
		return []step{page}
	}
	return []step{link, page}
}

// troubleCure is what to do where a source did not answer as it should.
func troubleCure(err error, proxy string) []step {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var certificate *tls.CertificateVerificationError
	var dns *net.DNSError
	var refusing *source.ProxyError
	var portal *source.PortalError
	switch {
	case errors.As(err, &refusing):
		return proxyCure(refusing)
	case errors.As(err, &portal):
		return []step{portalCure(portal)}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return []step{{Do: "see whether this machine's clock is right, and set it", Command: setClock}, {Do: "if it is, the server's certificate has ended: try later"}}
	case errors.As(err, &name):
		return []step{{Do: "another server answers, such as the login page of a network: open the address in a browser on this machine"}}
	case errors.As(err, &authority), errors.As(err, &certificate):
		return []step{{Do: "if a proxy of your network reads along, name the file with its certificate", Command: "export SSL_CERT_FILE=/path/to/ca.pem"}}
	case proxy != "":
		return []step{{Do: "see that the proxy " + proxy + " is right and answers; it comes from HTTPS_PROXY, and NO_PROXY names hosts to go to without it"}}
	case errors.As(err, &dns):
		return []step{{Do: "check the network and its name servers; the compute nodes of a cluster often have none: try its login node"}}
	}
	if _, ok := errors.AsType[*source.StatusError](err); ok {
		return []step{{Do: "the server has trouble: try again later"}}
	}
	if errors.Is(err, source.ErrWebPage) {
		return []step{{Do: "a network's login page is in between: open the address in a browser on this machine"}}
	}
	return []step{{Do: "check the network and its firewall; if it needs a proxy, name it", Command: "export HTTPS_PROXY=http://proxy.example.org:3128"}}
}

// proxyCure is what to do where a proxy refuses.
func proxyCure(e *source.ProxyError) []step {
	host, _, err := net.SplitHostPort(e.Host)
	if err != nil {
		host = e.Host
	}
	around := step{Do: "or go around it, if the network lets you", Command: "export NO_PROXY=" + host}
	switch e.Code {
	case http.StatusProxyAuthRequired:
		scheme, address, _ := strings.Cut(e.Proxy, "://")
		return []step{{Do: "name the proxy with your user and password for it", Command: "export HTTPS_PROXY=" + scheme + "://USER:PASSWORD@" + address}, around}
	case http.StatusForbidden, http.StatusMethodNotAllowed:
		return []step{{Do: "ask those who run the proxy " + e.Proxy + ", which HTTPS_PROXY names, to let you connect to " + e.Host}, around}
	}
	return []step{{Do: "the proxy " + e.Proxy + ", which HTTPS_PROXY names, cannot reach " + e.Host + " at this time: try again later"}, around}
}

func portalCure(e *source.PortalError) step {
	return step{Do: "open the address in a browser on this machine, and log in to the network if it asks for that", Page: e.Asked}
}
