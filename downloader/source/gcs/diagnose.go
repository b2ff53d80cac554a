package gcs

import (
	"context"
	"net/http"

	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

var _ source.Diagnoser = (*Source)(nil)

// Reach implements source.Diagnoser.
func (s *Source) Reach(ctx context.Context, _ manifest.Ref) (source.Reached, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, s.address+"/", http.NoBody)
	if err != nil {
		return source.Reached{}, err
	}
	request.Header.Set("User-Agent", s.agent)
	return source.Reach(s.transport, request)
}

// Identify implements source.Diagnoser: it asks Google for an access token. What the token
// can read, and whether the billing project can pay, shows only when reading.
func (s *Source) Identify(ctx context.Context, ref manifest.Ref) (source.Identity, error) {
	r := source.Request{Ref: ref}
	me := source.Identity{Anonymous: s.login.anonymous, Payer: s.billing}
	who, _, err := s.login.token(ctx)
	switch {
	case ctx.Err() != nil:
		return me, context.Cause(ctx)
	case err != nil:
		return me, s.loginError(&exchange{who: who}, r, err)
	case who.credentials != nil:
		me.From, me.User = applicationWord, who.email
	case !s.login.anonymous:
		s.login.forget(who) // there may be a login when somebody asks again
		e := s.refused(r, source.NoCredentials, source.CauseNoLogin)
		e.Command = loginCommand
		e.Detail = "there is no Google login: run " + loginCommand
		return me, e
	}
	return me, nil
}
