package api

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mimicsync/daemon"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
	"mimicsync/store"
)

// document is what the tests read of openapi.json.
type document struct {
	OpenAPI string `json:"openapi"`
	Servers []struct {
		URL string `json:"url"`
	} `json:"servers"`
	Paths map[string]map[string]struct {
		OperationID string                     `json:"operationId"`
		Responses   map[string]json.RawMessage `json:"responses"`
		RequestBody json.RawMessage            `json:"requestBody"`
	} `json:"paths"`
	Components struct {
		Schemas map[string]schema `json:"schemas"`
	} `json:"components"`
}

type schema struct {
	Ref        string            `json:"$ref"`
	Type       kinds             `json:"type"`
	Format     string            `json:"format"`
	Enum       []string          `json:"enum"`
	Items      *schema           `json:"items"`
	Properties map[string]schema `json:"properties"`
	Required   []string          `json:"required"`
	AllOf      []schema          `json:"allOf"`
}

// kinds are those that a value may have.
type kinds []string

func (k *kinds) UnmarshalJSON(data []byte) error {
	if data[0] == '[' {
		return json.Unmarshal(data, (*[]string)(k))
	}
	*k = kinds{""}
	return json.Unmarshal(data, &(*k)[0])
}

func readDocument(t *testing.T) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(openAPI, &d); err != nil {
		t.Fatalf("openapi.json: %v", err)
	}
	return d
}

func TestOpenAPIHasJustTheRoutes(t *testing.T) {
	d := readDocument(t)
	if !strings.HasPrefix(d.OpenAPI, "3.1.") || len(d.Servers) != 1 || d.Servers[0].URL != Prefix {
		t.Errorf("openapi %q, servers %v, want 3.1 at %s", d.OpenAPI, d.Servers, Prefix)
	}
	var routed, documented []string
	for _, e := range table {
		routed = append(routed, e.method+" "+e.path)
	}
	for path, methods := range d.Paths {
		for method, operation := range methods {
			documented = append(documented, strings.ToUpper(method)+" "+path)
			if operation.OperationID == "" || operation.Responses["401"] == nil || operation.Responses["403"] == nil {
				t.Errorf("%s %s: want an operationId, and responses 401 and 403", method, path)
			}
			if hasBody := method != "get" && !strings.HasSuffix(path, "/cancel") && path != "/reload" && path != "/reconsider"; hasBody != (operation.RequestBody != nil) {
				t.Errorf("%s %s: requestBody %v, want %v", method, path, !hasBody, hasBody)
			}
		}
	}
	slices.Sort(routed)
	slices.Sort(documented)
	if diff := cmp.Diff(routed, documented); diff != "" {
		t.Errorf("routes and openapi.json differ (-routed +documented):\n%s", diff)
	}
}

// A value with every field set shows which fields there are and of which type,
// the zero value which ones are always there.
func TestOpenAPIHasJustTheFieldsOfTheTypes(t *testing.T) {
	d := readDocument(t)
	types := map[string]any{
		"Problem": problem{}, "Status": daemon.Status{}, "Window": daemon.Window{}, "Host": daemon.Host{}, "Wait": progress.Wait{},
		"DatasetStatus": daemon.DatasetStatus{}, "VersionStatus": daemon.VersionStatus{}, "LastPass": daemon.LastPass{}, "PassStatus": daemon.PassStatus{}, "Pass": Pass{}, "Sample": daemon.Sample{},
		"Failure": store.Failure{}, "Files": store.Files{}, "Bytes": store.Bytes{},
		"Report": report.Report{}, "SourceReport": report.SourceReport{}, "Quarantined": report.Quarantined{},
		"Collision": manifest.Collision{}, "Selection": manifest.Globs{}, "Verification": report.Verification{},
		"Plan": Plan{Sources: []SourcePlan{}}, "SourcePlan": SourcePlan{}, "Refusal": Refusal{}, "Rate": Rate{},
		"PruneRequest": PruneRequest{}, "Prunes": Prunes{}, "Pruned": report.Pruned{},
		"PullRequest": PullRequest{}, "VerifyRequest": VerifyRequest{}, "DatasetRequest": DatasetRequest{},
		"BWLimitRequest": BWLimitRequest{}, "Accepted": Accepted{}, "Reloaded": Reloaded{}, "History": History{}, "Throughput": Throughput{},
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(types)), slices.Sorted(maps.Keys(d.Components.Schemas))); diff != "" {
		t.Fatalf("schemas (-types +openapi.json):\n%s", diff)
	}
	for name, zero := range types {
		s := d.resolve(d.Components.Schemas[name])
		full := reflect.New(reflect.TypeOf(zero)).Elem()
		fill(full)
		d.check(t, name, s, decoded(t, full.Interface()))
		always, _ := decoded(t, zero).(map[string]any)
		slices.Sort(s.Required)
		if diff := cmp.Diff(slices.Sorted(maps.Keys(always)), s.Required, cmp.Transformer("list", func(l []string) string { return strings.Join(l, " ") })); diff != "" {
			t.Errorf("%s: fields that are always there (-type +openapi.json):\n%s", name, diff)
		}
	}
}

// The words of enumerations are those that the types have.
func TestOpenAPIHasTheWordsOfTheTypes(t *testing.T) {
	d := readDocument(t)
	var states, phases []string
	for s := store.Running; s <= store.Failed; s++ {
		states = append(states, s.String())
	}
	for p := progress.PhaseManifest; p <= progress.PhaseEnd; p++ {
		phases = append(phases, p.String())
		var again progress.Phase
		if err := again.UnmarshalText([]byte(p.String())); err != nil || again != p {
			t.Errorf("UnmarshalText(%q) = %v, %v", p, again, err)
		}
	}
	pass := d.Components.Schemas["PassStatus"].Properties
	for property, want := range map[string][]string{"state": states, "phase": phases, "kind": {"refresh", "pull", "verify", "scrub"}} {
		if diff := cmp.Diff(want, pass[property].Enum); diff != "" {
			t.Errorf("%s (-type +openapi.json):\n%s", property, diff)
		}
	}
}

// resolve follows references, and makes one object of those that are all to hold.
func (d document) resolve(s schema) schema {
	if s.Ref != "" {
		return d.resolve(d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")])
	}
	for _, part := range s.AllOf {
		part = d.resolve(part)
		properties := maps.Clone(part.Properties)
		maps.Copy(properties, s.Properties)
		s.Type, s.Properties, s.Required = part.Type, properties, append(s.Required, part.Required...)
	}
	return s
}

// check compares a decoded value, all of whose fields are set, with a schema.
func (d document) check(t *testing.T, at string, s schema, v any) {
	t.Helper()
	s = d.resolve(s)
	kind := map[string]bool{}
	switch v := v.(type) {
	case map[string]any:
		kind["object"] = true
		if diff := cmp.Diff(slices.Sorted(maps.Keys(v)), slices.Sorted(maps.Keys(s.Properties))); diff != "" {
			t.Errorf("%s: fields (-type +openapi.json):\n%s", at, diff)
		}
		for name, property := range s.Properties {
			d.check(t, at+"."+name, property, v[name])
		}
	case []any:
		kind["array"] = true
		for _, e := range v {
			d.check(t, at+"[]", *s.Items, e)
		}
	case json.Number:
		kind["number"] = true
		kind["integer"] = !strings.Contains(v.String(), ".")
	case string:
		kind["string"] = true
	case bool:
		kind["boolean"] = true
	}
	if !slices.ContainsFunc(s.Type, func(name string) bool { return kind[name] }) {
		t.Errorf("%s: %v, want the type %q", at, v, s.Type)
	}
}

func decoded(t *testing.T, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(b)))
	decoder.UseNumber()
	var out any
	if err := decoder.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// fill sets everything in v to something that is not zero.
func fill(v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(1, 0)))
		return
	case v.Type() == reflect.TypeFor[error]():
		v.Set(reflect.ValueOf(errors.New("why")))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.String:
		v.SetString("word")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint8:
		v.SetUint(1)
	default:
		panic("fill knows no " + v.Type().String())
	}
}
