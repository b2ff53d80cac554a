package s3

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// loginTime is how long a provider of credentials may take. A program may ask a person to
// touch a key.
const loginTime = 50 * time.Second

// wallet keeps the credentials that sign requests. It looks for them when they are first
// needed, and again when they expire, when getting them failed, and after renew; each time
// it reads the files of the AWS configuration again, because another program may have
// written them. One caller at a time asks the provider, however many wait. It is safe for
// concurrent use.
type wallet struct {
	load func(context.Context) (aws.CredentialsProvider, error)

	held    atomic.Pointer[aws.Credentials] // nil if there are none
	round   atomic.Uint64                   // goes up when held or provider is dropped
	turn    chan struct{}                   // holds one token, for the caller that asks the provider
	current aws.CredentialsProvider         // nil if it must be loaded; for the holder of turn
	since   uint64                          // round of current; for the holder of turn
	failure *credentialsError               // of the last caller, nil if that succeeded; for the holder of turn
	asked   uint64                          // how many asked; for the holder of turn
	started atomic.Uint64                   // the same, for those who wait
	hadRole atomic.Bool                     // this machine has given credentials: it has a role
}

var _ aws.CredentialsProvider = (*wallet)(nil)

func newWallet(load func(context.Context) (aws.CredentialsProvider, error)) *wallet {
	w := &wallet{load: load, turn: make(chan struct{}, 1)}
	w.turn <- struct{}{}
	return w
}

// String hides the content.
func (w *wallet) String() string { return "wallet" }

// Retrieve implements aws.CredentialsProvider. The error is a *credentialsError, or that of
// ctx.
func (w *wallet) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if c := w.held.Load(); c != nil && !c.Expired() {
		return *c, nil
	}
	arrived := w.started.Load()
	select {
	case <-w.turn:
	case <-ctx.Done():
		return aws.Credentials{}, context.Cause(ctx)
	}
	defer func() { w.turn <- struct{}{} }()
	if c := w.held.Load(); c != nil && !c.Expired() {
		return *c, nil
	}
	if w.failure != nil && w.asked > arrived { // another caller asked while we waited
		return aws.Credentials{}, w.failure
	}
	return w.ask(ctx)
}

// ask gets credentials from the provider. The caller holds turn.
func (w *wallet) ask(ctx context.Context) (aws.Credentials, error) {
	round := w.round.Load()
	if w.since != round {
		w.current, w.since = nil, round
	}
	asking, stop := context.WithTimeout(ctx, loginTime)
	defer stop()
	c, err := w.get(asking)
	if err != nil && ctx.Err() != nil {
		return c, context.Cause(ctx)
	}
	w.asked = w.started.Add(1)
	if err != nil {
		if asking.Err() != nil {
			err = fmt.Errorf("%w in %s", errNoAnswer, loginTime)
		}
		w.current, w.failure = nil, &credentialsError{err: err, hadRole: w.hadRole.Load()}
		return c, w.failure
	}
	w.failure = nil
	if c.Source == roleSource {
		w.hadRole.Store(true)
	}
	w.held.Store(&c)
	if w.round.Load() != round { // renewed meanwhile
		w.held.CompareAndSwap(&c, nil)
	}
	return c, nil
}

// errNoAnswer means that a provider of credentials didn't answer.
var errNoAnswer = errors.New("no answer")

// roleSource is the aws.Credentials.Source of a machine's role.
const roleSource = "EC2RoleProvider"

func (w *wallet) get(ctx context.Context) (c aws.Credentials, err error) {
	if w.current == nil {
		if w.current, err = w.load(ctx); err != nil {
			return c, err
		}
	}
	return w.current.Retrieve(ctx)
}

// renew makes the next request look for credentials.
func (w *wallet) renew() {
	w.round.Add(1)
	w.held.Store(nil)
}

// renewed looks for credentials other than those that a store no longer accepts, and
// reports whether there are some: another caller may have found them since the round in
// which the request was signed.
func (w *wallet) renewed(ctx context.Context, round uint64) bool {
	old := w.held.Load()
	if !w.round.CompareAndSwap(round, round+1) {
		return true
	}
	w.held.CompareAndSwap(old, nil)
	c, err := w.Retrieve(ctx)
	if err != nil || old == nil {
		return true // the next attempt will show
	}
	return c.AccessKeyID != old.AccessKeyID || c.SessionToken != old.SessionToken || c.SecretAccessKey != old.SecretAccessKey
}

// credentialsError means that there are no credentials.
type credentialsError struct {
	err     error
	hadRole bool // this machine's role has given some before
}

func (e *credentialsError) Error() string { return e.err.Error() }

func (e *credentialsError) Unwrap() error { return e.err }
