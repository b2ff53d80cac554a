//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// machine says where and how numbers came about.
type machine struct {
	Cores   int       `json:"cores"`
	CPU     string    `json:"cpu"`
	Go      string    `json:"go"`
	Date    time.Time `json:"date"`
	Command string    `json:"command"`
	Client  string    `json:"client"` // what was measured: the command or the library
}

func thisMachine(s *stage) machine {
	m := machine{Cores: runtime.NumCPU(), CPU: processor(), Go: runtime.Version(), Date: time.Now().UTC().Truncate(time.Minute), Client: "the command"}
	if s.client == "" {
		m.Client = "the library"
	}
	m.Command = strings.Join(append([]string{os.Args[0]}, os.Args[1:]...), " ")
	if strings.Contains(os.Args[0], "go-build") { // `go run` hides its own words
		m.Command = strings.Join(append([]string{"go run ./bench"}, os.Args[1:]...), " ")
	}
	return m
}

func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	_, rest, _ := strings.Cut(string(b), "model name")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.Trim(line, " \t:")
}

func (m machine) print() {
	fmt.Printf("%s\n%d cores (%s), %s, %s; mimicsync is %s\n", m.Command, m.Cores, m.CPU, m.Go, m.Date.Format("2006-01-02 15:04 MST"), m.Client)
}

// table is rows of cells in columns, in Markdown so that it can be pasted.
type table struct{ w *tabwriter.Writer }

func newTable(columns ...string) *table {
	t := &table{w: tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)}
	t.row(columns...)
	rule := make([]string, len(columns))
	for i := range rule {
		rule[i] = "---"
	}
	t.row(rule...)
	return t
}

func (t *table) row(cells ...string) {
	_, _ = fmt.Fprintf(t.w, "| %s |\n", strings.Join(cells, "\t| "))
}

func (t *table) print() { _ = t.w.Flush() }

func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func seconds(s float64) string { return fmt.Sprintf("%.2f s", s) }

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func reached(yes bool) string {
	if yes {
		return "reached"
	}
	return "missed"
}
