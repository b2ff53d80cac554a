package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"mimicsync/configs"
	"mimicsync/daemon/notify"
	"mimicsync/internal/secret"
)

// The events of the two hooks of a configuration file: everything that arrived, and
// everything that went wrong.
var (
	completeKinds = []notify.Kind{notify.Complete}
	failureKinds  = []notify.Kind{notify.Failure, notify.Parked, notify.NoSpace, notify.Rot, notify.Mirror}
)

// notifiers are those of a configuration file. Addresses and passwords outside of it are
// read here, so that a missing one is reported at once.
func notifiers(c configs.Config, logger *slog.Logger) ([]notify.Notifier, error) {
	var all []notify.Notifier
	for _, hook := range []struct {
		kinds []notify.Kind
		argv  []string
	}{{completeKinds, c.Hooks.OnComplete}, {failureKinds, c.Hooks.OnFailure}} {
		if len(hook.argv) == 0 {
			continue
		}
		timeout := time.Duration(c.Hooks.Timeout)
		if timeout == 0 {
			timeout = configs.DefaultHooksTimeout
		}
		h, err := notify.NewHook(notify.HookOptions{Kinds: hook.kinds, Argv: hook.argv, Timeout: timeout, Logger: logger})
		if err != nil {
			return nil, fmt.Errorf("hooks: %w", err)
		}
		all = append(all, h)
	}
	for i, w := range c.Webhooks {
		address, err := webhookAddress(w)
		if err != nil {
			return nil, fmt.Errorf("webhooks[%d]: %w", i, err)
		}
		n, err := notify.NewWebhook(notify.WebhookOptions{Kinds: w.Events, URL: address})
		if err != nil {
			return nil, fmt.Errorf("webhooks[%d]: %w", i, err)
		}
		all = append(all, n)
	}
	if c.Mail.SMTP == "" {
		return all, nil
	}
	m, err := mailer(c.Mail)
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return append(all, m), nil
}

// webhookAddress finds a webhook's address.
func webhookAddress(w configs.Webhook) (string, error) {
	switch {
	case w.URLFile != "":
		address, err := secretIn(w.URLFile)
		return strings.TrimSpace(address), err
	case w.URLEnv != "":
		address := os.Getenv(w.URLEnv)
		if address == "" {
			return "", fmt.Errorf("the environment variable %s is not set", w.URLEnv)
		}
		return address, nil
	}
	return w.URL, nil
}

func mailer(m configs.Mail) (*notify.Mail, error) {
	o, err := m.Options()
	if err != nil {
		return nil, err
	}
	if m.PasswordFile != "" {
		o.Password = func() (string, error) { return secretIn(m.PasswordFile) }
		if _, err := o.Password(); err != nil {
			return nil, err
		}
	}
	return notify.NewMail(o)
}

// maxSecret limits how much of a file with a secret is read.
const maxSecret = 64 << 10

// secretIn reads the line of a file.
func secretIn(path string) (string, error) {
	f, err := secret.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch text := secret.Line(string(b)); {
	case err != nil:
		return "", err
	case len(b) > maxSecret:
		return "", fmt.Errorf("%s is too long for a secret", path)
	case text == "":
		return "", fmt.Errorf("%s is empty", path)
	default:
		return text, nil
	}
}
