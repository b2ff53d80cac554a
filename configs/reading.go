package configs

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"mimicsync/manifest"
)

// problems are the problems of a file.
type problems struct {
	lines map[string]int // where fields are, by paths like "scrub.rate" and "datasets[1].name"
	all   []problem
}

type problem struct {
	line int // 0: unknown
	err  error
}

var index = regexp.MustCompile(`\[\d+\]`)

// at adds a problem with the field of a path.
func (p *problems) at(path, format string, args ...any) {
	p.add(p.line(path), index.ReplaceAllString(path, "")+": "+format, args...)
}

func (p *problems) add(line int, format string, args ...any) {
	p.all = append(p.all, problem{line, fmt.Errorf(format, args...)})
}

// line is where a field is, or the field that contains it.
func (p *problems) line(path string) int {
	for path != "" && p.lines[path] == 0 {
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return p.lines[path]
}

// maxTold is how many problems are told: the first ones often explain the others.
const maxTold = 50

// err is all problems, in the order of their lines; nil if there are none.
func (p *problems) err() error {
	slices.SortFunc(p.all, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.err.Error(), b.err.Error()))
	})
	var all []error
	for i, problem := range p.all {
		if i == maxTold {
			all = append(all, fmt.Errorf("and %d more", len(p.all)-i))
			break
		}
		err := problem.err
		if problem.line > 0 {
			err = fmt.Errorf("line %d: %w", problem.line, err)
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

// parse reads the one document of a file, nil if the file is empty.
func (p *problems) parse(b []byte) *yaml.Node {
	loader, err := yaml.NewLoader(bytes.NewReader(b))
	if err != nil {
		p.add(0, "%w", err)
		return nil
	}
	var document, second yaml.Node
	if err := loader.Load(&document); err != nil {
		if !errors.Is(err, io.EOF) {
			p.refuse(err, b)
		}
		return nil
	}
	if err := loader.Load(&second); !errors.Is(err, io.EOF) {
		p.add(second.Line, "the file has more than one YAML document")
	}
	return document.Content[0]
}

// decode fills in the fields of the node.
func (p *problems) decode(n *yaml.Node, into any) {
	p.walk(n, reflect.TypeOf(into).Elem(), "")
	if err := n.Decode(into); err != nil {
		p.refuse(err, nil)
	}
}

// walk notes where fields are, and reports unknown keys.
func (p *problems) walk(n *yaml.Node, t reflect.Type, path string) {
	switch {
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for i, item := range n.Content {
			at := path + "[" + strconv.Itoa(i) + "]"
			p.lines[at] = item.Line
			p.walk(item, t.Elem(), at)
		}
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			at := strings.TrimPrefix(path+"."+key.Value, ".")
			p.lines[at] = key.Line
			switch t.Kind() {
			case reflect.Map:
				p.walk(value, t.Elem(), at)
			case reflect.Struct:
				fields := fieldsOf(t)
				if field, ok := fields[key.Value]; ok {
					p.walk(value, field, at)
					continue
				}
				p.add(key.Line, "unknown key %.100q%s", key.Value, suggestion(key.Value, fields))
			}
		}
	}
}

// fieldsOf returns the types of a struct's fields by their keys.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		if key := f.Tag.Get("yaml"); key != "" && !strings.HasPrefix(key, ",") {
			fields[key] = f.Type
		}
	}
	return fields
}

// suggestion asks for the key that was probably meant, if one is similar.
func suggestion(written string, fields map[string]reflect.Type) string {
	if len(written) > 64 {
		return ""
	}
	best, least := "", max(1, len(written)/3)+1
	for key := range fields {
		if d := manifest.EditDistance(written, key); d < least || d == least && best != "" && key < best {
			best, least = key, d
		}
	}
	if best == "" {
		return ""
	}
	return ": did you mean " + best + "?"
}

// refuse says in plain words why the YAML library rejects a file.
func (p *problems) refuse(err error, b []byte) {
	if many, ok := errors.AsType[*yaml.LoadErrors](err); ok {
		for _, e := range many.Errors {
			p.refuse(e, b)
		}
		return
	}
	one, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		p.add(0, "%w", err)
		return
	}
	line := one.Mark.Line
	if unquoted(b, line) {
		p.add(line, "a value that begins with * or @ needs quotes, like \"*.csv\" and \"@weekly\": YAML gives them another meaning")
		return
	}
	message := one.Message
	if m := misfit.FindStringSubmatch(message); m != nil {
		message = cmp.Or(m[1], "this value") + " is not " + wanted(m[2])
	}
	if field := p.fieldAt(line); field != "" {
		message = field + ": " + message
	}
	p.add(line, "%s", strings.TrimSpace(message+" "+one.ContextMsg))
}

// fieldAt is the field of a line, empty if there are several.
func (p *problems) fieldAt(line int) string {
	deepest := ""
	for path, at := range p.lines {
		if at == line && len(path) > len(deepest) {
			deepest = path
		}
	}
	for path, at := range p.lines {
		if at == line && !strings.HasPrefix(deepest, path) {
			return ""
		}
	}
	return index.ReplaceAllString(deepest, "")
}

var (
	misfit = regexp.MustCompile("^cannot construct !!\\w+(?: `(.*)`)? into (.*)$")
	// bare is a word that begins with a character for references, or one that YAML
	// reserves.
	bare = regexp.MustCompile(`(^|[:\[,-])\s*[*@][^\s]`)
	// star is a cron expression that begins with such a character.
	star = regexp.MustCompile(`:\s*\* `)
)

// unquoted reports whether a line of a file has a word that YAML doesn't accept without
// quotes.
func unquoted(b []byte, line int) bool {
	lines := strings.Split(string(b), "\n")
	if line < 1 || line > len(lines) {
		return false
	}
	return bare.MatchString(lines[line-1]) || star.MatchString(lines[line-1])
}

// wanted names a type.
func wanted(t string) string {
	switch {
	case t == "string":
		return "text"
	case t == "bool":
		return "true or false"
	case strings.HasSuffix(t, "int"):
		return "a whole number"
	case strings.HasPrefix(t, "[]"):
		return "a list like [a, b]"
	}
	return "a group of fields"
}
