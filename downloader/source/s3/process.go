package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// quietly is the provider for a profile whose credentials, or those of the profile that its
// role is assumed from, come from a program; nil for others. The SDK's own would let the
// program write to our stderr and read from our stdin.
func quietly(cfg aws.Config) aws.CredentialsProvider {
	var profile *config.SharedConfig
	for _, c := range cfg.ConfigSources {
		switch c := c.(type) {
		case config.EnvConfig:
			if c.Credentials.HasKeys() || c.WebIdentityTokenFilePath != "" {
				return nil // these take precedence
			}
		case config.SharedConfig:
			profile = &c
		}
	}
	if profile == nil {
		return nil
	}
	provider := byProgram(cfg, profile)
	if provider == nil {
		return nil
	}
	return aws.NewCredentialsCache(provider)
}

// byProgram follows a profile's chain of roles to the program at its end, in the SDK's
// order of precedence.
func byProgram(cfg aws.Config, profile *config.SharedConfig) (provider aws.CredentialsProvider) {
	switch {
	case profile.Source != nil:
		provider = byProgram(cfg, profile.Source)
	case profile.Credentials.HasKeys(), profile.CredentialSource != "", profile.WebIdentityTokenFile != "",
		profile.SSOStartURL != "", profile.SSOSessionName != "", profile.LoginSession != "":
	case profile.CredentialProcess != "":
		provider = program{processcreds.NewProviderCommand(command(profile.CredentialProcess))}
	}
	if provider == nil || profile.RoleARN == "" {
		return provider
	}
	cfg = cfg.Copy()
	cfg.Credentials = aws.NewCredentialsCache(provider)
	return stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), profile.RoleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = profile.RoleSessionName
		if d := profile.RoleDurationSeconds; d != nil && *d > 15*time.Minute {
			o.Duration = *d
		}
		if profile.ExternalID != "" {
			o.ExternalID = &profile.ExternalID
		}
	})
}

// program is processcreds.Provider with the program's stderr in its errors, and without its
// stdout, which may be credentials.
type program struct{ *processcreds.Provider }

// Retrieve implements aws.CredentialsProvider.
func (p program) Retrieve(ctx context.Context) (aws.Credentials, error) {
	said := new(lastWords)
	c, err := p.Provider.Retrieve(context.WithValue(ctx, wordsKey{}, said))
	if err == nil {
		return c, nil
	}
	e := &programError{said: said.String()}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		e.ended = exit.String()
	}
	return c, e
}

// programError means that a credential_process gave no credentials.
type programError struct {
	ended string // how, like "exit status 1"; empty if it printed something other than credentials
	said  string // on stderr, without possible secrets
}

// Error says how the program ended, and what it said.
func (e *programError) Error() string {
	text := "the program of credential_process printed no credentials"
	if e.ended != "" {
		text = fmt.Sprintf("the program of credential_process failed (%s)", e.ended)
	}
	if e.said != "" {
		text += fmt.Sprintf(" and says %q", e.said)
	}
	return text
}

// command is a shell's command, for processcreds.
type command string

// NewCommand implements processcreds.NewCommandBuilder.
func (c command) NewCommand(ctx context.Context) (*exec.Cmd, error) {
	shell, flag := "sh", "-c"
	if runtime.GOOS == "windows" {
		shell, flag = "cmd.exe", "/C"
	}
	cmd := exec.CommandContext(ctx, shell, flag, string(c)) //nolint:gosec // it is the person's own configuration
	cmd.Env = os.Environ()
	cmd.WaitDelay = time.Second // a child of the shell may hold the pipes
	if said, ok := ctx.Value(wordsKey{}).(*lastWords); ok {
		cmd.Stderr = said
	}
	return cmd, nil
}

// wordsKey is the context key of a command's lastWords.
type wordsKey struct{}

// lastWords keeps the end of what is written to it.
type lastWords struct{ text []byte }

// Write implements io.Writer.
func (w *lastWords) Write(b []byte) (int, error) {
	const most = 4 << 10
	w.text = append(w.text, b...)
	if over := len(w.text) - most; over > 0 {
		w.text = append(w.text[:0], w.text[over:]...)
	}
	return len(b), nil
}

// Possible secrets: what is labeled as one, and whatever is as long as a key.
var (
	named = regexp.MustCompile(`(?i)((?:secret|token|password|passwd|passcode|pin|key|credential)s?[\w-]*["']?\s*[=:]\s*)\S+`)
	keys  = regexp.MustCompile(`[A-Za-z0-9+/=_]{16,}`)
)

// String is the last line, in at most 200 characters, without possible secrets.
func (w *lastWords) String() string {
	lines := strings.FieldsFunc(string(bytes.ToValidUTF8(w.text, nil)), func(r rune) bool { return r == '\n' || r == '\r' })
	for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 {
		return ""
	}
	line := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, lines[len(lines)-1])
	line = keys.ReplaceAllStringFunc(named.ReplaceAllString(line, "${1}…"), func(word string) string {
		if strings.ContainsAny(word, "0123456789+/=") || strings.ToLower(word) != word && strings.ToUpper(word) != word {
			return "…"
		}
		return word
	})
	const most = 200
	if runes := []rune(line); len(runes) > most {
		line = string(runes[:most]) + "…"
	}
	return strings.TrimSpace(line)
}
