package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mimicsync/configs"
	"mimicsync/daemon/notify"
)

func TestNotifiersAreThoseOfTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	keep := func(name, secret string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("CHAT", "https://other.example.org/hunter2")
	c := configs.Config{
		Hooks: configs.Hooks{OnComplete: []string{"/bin/import"}, OnFailure: []string{"/bin/tell"}},
		Webhooks: []configs.Webhook{
			{URLFile: keep("webhook", "https://chat.example.org/hunter2"), Events: []notify.Kind{notify.Parked}},
			{URLEnv: "CHAT"},
		},
		Mail: configs.Mail{SMTP: "mail.example.org:2525", From: "a@example.org", To: []string{"b@example.org"}, Username: "a", PasswordFile: keep("password", "hunter2")},
	}
	all, err := notifiers(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range all {
		line := n.Name() + ":"
		for _, kind := range notify.Kinds {
			if n.Wants(kind) {
				line += " " + string(kind)
			}
		}
		got = append(got, line)
	}
	everything := ": complete failure recovery parked no_space rot mirror"
	want := []string{
		"hook /bin/import: complete",
		"hook /bin/tell: failure parked no_space rot mirror",
		"webhook https://chat.example.org: parked",
		"webhook https://other.example.org" + everything,
		"mail by mail.example.org" + everything,
	}
	if !slices.Equal(got, want) {
		t.Errorf("notifiers:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestANotifierWithoutItsSecretIsAnErrorThatTellsNone(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	plain := filepath.Join(t.TempDir(), "plain")
	for path, text := range map[string]string{empty: "\n", plain: "http://chat.example.org/hunter2"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]configs.Config{
		"webhooks[0]: open ":       {Webhooks: []configs.Webhook{{URLFile: "/nonexistent"}}},
		"NO_SUCH_VARIABLE":         {Webhooks: []configs.Webhook{{URLEnv: "NO_SUCH_VARIABLE"}}},
		"it must be https":         {Webhooks: []configs.Webhook{{URLFile: plain}}},
		"mail: " + empty + " is e": {Mail: configs.Mail{SMTP: "m", From: "a@b.c", To: []string{"a@b.c"}, Username: "a", PasswordFile: empty}},
	} {
		_, err := notifiers(c, nil)
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("notifiers = %v, want an error with %q and without the address", err, name)
		}
	}
}
