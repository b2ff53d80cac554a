package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"

	"mimicsync/downloader/source"
	"mimicsync/downloader/source/httpheader"
	"mimicsync/manifest"
)

// noCredentials distinguishes trouble of a service that gives credentials, an expired
// login, an unusable one, and none at all.
func (p *place) noCredentials(ref manifest.Ref, err *credentialsError) error {
	operation, asked := errors.AsType[*smithy.OperationError](err)
	onMachine := asked && operation.Service() == "ec2imds"
	e := p.refused(source.NoCredentials, source.CauseNoLogin, ref)
	if onMachine && !err.hadRole && !ofAmazon(err) { // every machine is asked, and few have a role
		e.Detail = "no AWS credentials were found in the environment, in ~/.aws or on this machine"
		e.Command = "aws configure"
		return e
	}
	if trouble := troubleOf(err); trouble != nil {
		return trouble
	}
	e.Denial = source.BadCredentials
	code := codeOf(err)
	switch profile, ok := errors.AsType[*profileError](err); {
	case ok:
		e.Cause, e.Command = source.CauseBadLogin, "aws configure list-profiles"
		e.Detail = profile.Error()
	case asked && operation.Service() == "SSO" && (code == "ForbiddenException" || code == "ResourceNotFoundException" || code == "InvalidRequestException"):
		e.Cause, e.Command = source.CauseNoRole, "aws configure list"
		e.Detail = "the single sign-on login is valid, but doesn't have the account and role that the AWS profile names (sso_account_id, sso_role_name)"
	case asked && operation.Service() == "STS" && code == "AccessDenied":
		e.Cause, e.Command = source.CauseNoRole, "aws configure list"
		e.Detail = "the AWS credentials are valid, but can't assume the role that the AWS profile names (role_arn)"
	case strings.Contains(err.Error(), "please reauthenticate"): // of a login_session, whose errors have no type
		e.Cause, e.Command = source.CauseLoginExpired, "aws login"
		e.Detail = "the AWS login has expired or never happened"
	case expired(err):
		e.Cause, e.Command = source.CauseLoginExpired, ssoLogin
		e.Detail = "the AWS login has expired"
	default:
		// A profile that names a program, a role or a server that fails. Their messages may
		// contain anything, so they aren't repeated.
		e.Cause, e.Command = source.CauseBadLogin, "aws sts get-caller-identity"
		e.Detail = "AWS credentials are configured, but getting them fails"
		if program, ok := errors.AsType[*programError](err); ok {
			e.Detail += ": " + program.Error()
		}
	}
	return e
}

// ofAmazon reports whether the metadata service of a machine at Amazon answered.
func ofAmazon(err error) bool {
	answer := answerOf(err) //nolint:bodyclose // the SDK has read and closed it
	return answer != nil && answer.Header.Get("Server") == "EC2ws"
}

// troubleOf is trouble of a service that gives credentials, or on the way to it; nil if it
// refused. It is tried again.
func troubleOf(err error) error {
	if _, unreached := errors.AsType[*url.Error](err); unreached {
		return fmt.Errorf("get AWS credentials: %w", wire(err))
	}
	status := 0
	if e, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err); ok {
		status = e.HTTPStatusCode()
	}
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout {
		e := &source.StatusError{URL: "AWS credentials", Code: status}
		if answer := answerOf(err); answer != nil { //nolint:bodyclose // the SDK has read and closed it
			e.RetryAfter = httpheader.RetryAfter(answer.Header.Get("Retry-After"))
			if answer.Request != nil {
				e.URL = answer.Request.URL.Scheme + "://" + answer.Request.URL.Host
			}
		}
		return e
	}
	api, answered := errors.AsType[smithy.APIError](err)
	_, slow := retry.DefaultThrottleErrorCodes[codeOf(err)]
	_, garbled := errors.AsType[*smithy.DeserializationError](err)
	_, cut := errors.AsType[*json.SyntaxError](err)
	operation, asked := errors.AsType[*smithy.OperationError](err)
	switch {
	case errors.Is(err, errNoAnswer), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
	case answered && (slow || api.ErrorFault() == smithy.FaultServer):
	case asked && operation.Service() == "ec2imds":
	case asked && status != 0 && (garbled || cut || !answered || codeOf(err) == "UnknownError"): // a page from a server on the way
	default:
		return nil
	}
	return fmt.Errorf("get AWS credentials: %w", errTrouble(err))
}

// errTrouble is an error without the answer, which may contain anything.
func errTrouble(err error) error {
	switch {
	case errors.Is(err, errNoAnswer), errors.Is(err, context.DeadlineExceeded):
		return errNoAnswer
	case codeOf(err) != "":
		return errors.New("the login service answers " + codeOf(err))
	}
	return errors.New("the answer of the login service has an unexpected form")
}

// ssoLogin is the command to type, and the source of credentials after that.
const ssoLogin = "aws sso login"

// expired reports whether a single sign-on login has expired or never happened, or the
// credentials for assuming a role have expired.
func expired(err error) bool {
	_, typed := errors.AsType[*ssocreds.InvalidTokenError](err)
	operation, asked := errors.AsType[*smithy.OperationError](err)
	code := codeOf(err)
	return typed || asked && strings.HasPrefix(operation.Service(), "SSO") || code == "ExpiredToken" || code == "ExpiredTokenException" ||
		strings.Contains(err.Error(), "SSO token") // of an sso-session, whose errors have no type
}

// identify says where rejected credentials came from.
func (p *place) identify(ctx context.Context, e *source.AccessError) error {
	provider := p.client.Options().Credentials
	if p.Anonymous || provider == nil {
		return e
	}
	if c, err := provider.Retrieve(ctx); err == nil { // from memory: they were used
		e.From = origin(c)
	}
	if e.Cause == source.CauseLoginExpired && e.From == ssoLogin {
		e.Command = ssoLogin
	}
	return e
}

// origin says in plain words where credentials came from.
func origin(c aws.Credentials) string {
	switch kind, where, _ := strings.Cut(c.Source, ": "); kind {
	case "EnvConfigCredentials":
		return "the environment"
	case "SharedConfigCredentials":
		return where
	case "SSOProvider":
		return ssoLogin
	case "EC2RoleProvider":
		return "this machine's role"
	default:
		return kind
	}
}
