package configs

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// InForce is a configuration including what isn't in its file: defaults, environment
// variables, flags. It knows where each value comes from, and contains no secret.
type InForce struct {
	root *yaml.Node
	from map[string]string // by path
}

// Override is a field that the file doesn't decide.
type Override struct {
	Path  string // like gcs.billing_project
	Value any
	From  string
}

// NewInForce puts a file (name is for people) over the defaults, and the overrides over
// both. The file must be valid, see Parse, and may be empty.
func NewInForce(file []byte, name string, overrides []Override) (*InForce, error) {
	p := &problems{}
	f := &InForce{root: copied(p.parse(Example)), from: map[string]string{}}
	f.mark(f.root, "", func(*yaml.Node) string { return "default" })
	if root := p.parse(file); root != nil {
		f.merge(f.root, copied(root), "", func(n *yaml.Node) string { return name + ", line " + strconv.Itoa(n.Line) })
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	for _, o := range overrides {
		if err := f.override(o); err != nil {
			return nil, err
		}
	}
	if err := f.spreadConnections(); err != nil {
		return nil, err
	}
	redact(f.root)
	inOrder(f.root)
	return f, nil
}

// spreadConnections gives the sources without their own limit the one of all hosts.
func (f *InForce) spreadConnections() error {
	all := valueOf(f.root, "connections")
	if all == nil {
		return nil
	}
	for _, source := range SourceNames {
		path := source + ".connections"
		if f.from[path] != "default" {
			continue
		}
		if err := f.override(Override{path, all, f.from["connections"]}); err != nil {
			return err
		}
	}
	return nil
}

// copied is a node without comments, and with its aliases resolved.
func copied(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return copied(n.Alias)
	}
	c := &yaml.Node{Kind: n.Kind, Style: n.Style, Tag: n.Tag, Value: n.Value, Line: n.Line}
	for _, item := range n.Content {
		c.Content = append(c.Content, copied(item))
	}
	return c
}

// merge puts the fields of a mapping over those of another. A list is one field.
func (f *InForce) merge(into, over *yaml.Node, path string, from func(*yaml.Node) string) {
	for i := 0; i+1 < len(over.Content); i += 2 {
		key, value := over.Content[i], over.Content[i+1]
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		old := valueOf(into, key.Value)
		switch {
		case value.Kind == yaml.ScalarNode && scalar(value) == nil:
			continue // a key without a value sets nothing
		case old != nil && old.Kind == yaml.MappingNode && value.Kind == yaml.MappingNode:
			f.merge(old, value, at, from)
			continue
		case old == nil:
			into.Content = append(into.Content, key, value)
		default:
			*old = *value
		}
		value.Line = key.Line
		f.mark(value, at, from)
	}
}

// mark notes where a value comes from, or each of its fields.
func (f *InForce) mark(n *yaml.Node, path string, from func(*yaml.Node) string) {
	if n.Kind != yaml.MappingNode {
		f.from[path] = from(n)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		value.Line = key.Line
		f.mark(value, strings.TrimPrefix(path+"."+key.Value, "."), from)
	}
}

func (f *InForce) override(o Override) error {
	value := &yaml.Node{}
	if err := value.Encode(o.Value); err != nil {
		return fmt.Errorf("%s: %w", o.From, err)
	}
	words := strings.Split(o.Path, ".")
	for _, word := range slices.Backward(words) {
		key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: word}
		value = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{key, value}}
	}
	f.merge(f.root, value, "", func(*yaml.Node) string { return o.From })
	return nil
}

// valueOf is the value of a key, nil if there is none.
func valueOf(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// redact keeps of secret addresses only the host, and of a hook its program: its arguments
// may be tokens.
func redact(root *yaml.Node) {
	for _, event := range []string{"on_complete", "on_failure"} {
		if argv := valueOf(valueOf(root, "hooks"), event); argv != nil && len(argv.Content) > 1 {
			argv.Content[1].Value, argv.Content = "REDACTED", argv.Content[:2]
		}
	}
	webhooks := valueOf(root, "webhooks")
	for _, webhook := range webhooks.Content {
		secret := valueOf(webhook, "url")
		if secret == nil {
			continue
		}
		host := ""
		if u, err := url.Parse(secret.Value); err == nil {
			host = u.Scheme + "://" + u.Host + "/"
		}
		secret.Value = host + "REDACTED"
	}
}

// inOrder sorts the fields like Config.
func inOrder(root *yaml.Node) {
	var sorted []*yaml.Node
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		key := field.Tag.Get("yaml")
		if value := valueOf(root, key); value != nil {
			sorted = append(sorted, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, value)
		}
	}
	root.Content = sorted
}

// YAML is the configuration as a file, with comments that say where values come from.
func (f *InForce) YAML() ([]byte, error) {
	root := copied(f.root)
	f.comment(root, "")
	return yaml.Dump(root, yaml.WithIndent(2))
}

func (f *InForce) comment(mapping *yaml.Node, path string) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		switch {
		case value.Kind == yaml.MappingNode:
			value.Style = 0 // otherwise there is no room for comments
			f.comment(value, at)
		case value.Kind == yaml.SequenceNode && !isFlat(value):
			key.HeadComment = f.from[at]
		case value.Kind == yaml.SequenceNode:
			value.Style = yaml.FlowStyle
			fallthrough
		default:
			value.LineComment = f.from[at]
		}
	}
}

// isFlat reports whether a list has only scalars.
func isFlat(list *yaml.Node) bool {
	return !slices.ContainsFunc(list.Content, func(n *yaml.Node) bool { return n.Kind != yaml.ScalarNode })
}

// MarshalJSON returns an object with the settings, like in the file, and where they come
// from, by their paths.
func (f *InForce) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"settings": plain(f.root), "from": f.from})
}

// plain is a node for JSON. A value that isn't plainly a number stays text: 0640.
func plain(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = plain(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			list = append(list, plain(item))
		}
		return list
	}
	switch v := scalar(n).(type) {
	case bool:
		return v
	case int:
		if strconv.Itoa(v) == n.Value {
			return v
		}
	}
	return n.Value
}

// scalar is the YAML type of a word.
func scalar(n *yaml.Node) (v any) {
	if err := n.Decode(&v); err != nil {
		return n.Value
	}
	return v
}
