package main

import (
	"bytes"
	"context"
	"errors"
	"log" //nolint:depguard // what others write with
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	"google.golang.org/grpc/grpclog"
)

// chatter is a process in which all that has a voice of its own uses it.
func chatter() {
	hush()
	const row = "10000032,HIV positive"
	log.Print(row)
	slog.ErrorContext(context.Background(), row) //nolint:sloglint // that is what libraries do
	grpclog.Error(row)
	grpclog.Component("transport").Warning(row)
	otel.Handle(errors.New(row))
}

func TestLibrariesAreSilent(t *testing.T) {
	for _, loud := range []string{"", "GRPC_GO_LOG_SEVERITY_LEVEL=info"} {
		cmd := exec.CommandContext(t.Context(), "chatter")
		cmd.Env = append(os.Environ(), loud)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("with %q: %v, it prints\n%s", loud, err, out)
		}
	}
}

// printers are the modules with code that writes to stdout or stderr by itself, and
// why it does not do so in this program. A new one is to be looked at before it is
// put here.
var printers = map[string]string{
	"cloud.google.com/go/storage":                        "a method for its authors",
	"github.com/aws/aws-sdk-go-v2/config":                "is given a logger",
	"github.com/aws/aws-sdk-go-v2/credentials":           "s3.quietly takes its place; no prompt is asked for",
	"github.com/cpuguy83/go-md2man/v2":                   "writes the manual alone",
	"github.com/go-logr/stdr":                            "otel's, see hush",
	"github.com/godbus/dbus/v5":                          "about objects that are offered to others: there are none",
	"github.com/googleapis/enterprise-certificate-proxy": "hands stderr to a program that a person has set up",
	"github.com/googleapis/gax-go/v2":                    "gcs gives it a logger",
	"github.com/mitchellh/colorstring":                   "functions that print, which nobody calls",
	"github.com/netresearch/go-cron":                     "its runner, which is not used",
	"github.com/russross/blackfriday/v2":                 "for its authors",
	"github.com/schollz/progressbar/v3":                  "is given a writer",
	"github.com/spf13/cobra":                             "is given writers",
	"github.com/spf13/pflag":                             "cobra gives it a writer",
	"github.com/wneessen/go-mail":                        "its log, which is off",
	"go.etcd.io/bbolt":                                   "for its authors",
	"go.opentelemetry.io/otel":                           "see hush",
	"go.yaml.in/yaml/v3":                                 "for its authors",
	"go.yaml.in/yaml/v4":                                 "for its authors",
	"google.golang.org/grpc":                             "see hush; a plug-in of servers",
	"google.golang.org/protobuf":                         "about two files with one name in the program itself, at its start",
}

// prints reports whether code writes to stdout or stderr past package log.
func prints(code []byte) bool {
	for _, voice := range []string{"os.Stdout", "os.Stderr", "fmt.Print"} {
		for rest := code; ; {
			at := bytes.Index(rest, []byte(voice))
			if at < 0 {
				break
			}
			line := rest[bytes.LastIndexByte(rest[:at], '\n')+1 : at]
			if !bytes.Contains(line, []byte("//")) && !bytes.Contains(line, []byte("_ =")) { // which keeps an import alive
				return true
			}
			rest = rest[at+len(voice):]
		}
	}
	return false
}

// What is silent has been looked at, and what comes with another version of a
// dependency is not overlooked.
func TestEveryLibraryThatPrintsIsKnown(t *testing.T) {
	goCommand, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command here to list the dependencies")
	}
	list := exec.CommandContext(t.Context(), goCommand, "list", "-deps", "-f",
		`{{if .Module}}{{if not .Module.Main}}{{.Module.Path}}{{"\t"}}{{.Dir}}{{range .GoFiles}}{{"\t"}}{{.}}{{end}}{{end}}{{end}}`, ".")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) < 3 || found[fields[0]] {
			continue
		}
		found[fields[0]] = slices.ContainsFunc(fields[2:], func(name string) bool {
			text, err := os.ReadFile(filepath.Join(fields[1], name))
			if err != nil {
				t.Error(err)
			}
			return name != "doc.go" && prints(text)
		})
	}
	for module, loud := range found {
		if loud && printers[module] == "" {
			t.Errorf("%s has code that writes to stdout or stderr: see that it does not, and put it into printers", module)
		}
	}
	for module := range printers {
		if !found[module] {
			t.Errorf("%s is among printers, and does not print", module)
		}
	}
}
