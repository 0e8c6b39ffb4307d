// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"encoding"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/vswitch"
)

var update = flag.Bool("update", false, "write the tables of the document and the schema")

const (
	document = "../../../../docs/configuration.md"
	schema   = "../../../../docs/vde-switch.schema.json"
)

// TestKeys checks that no two fields have the same key, and that the keys of vswitch's
// configuration are those of its JSON form.
func TestKeys(t *testing.T) {
	for _, s := range sections {
		seen := make(map[string]bool)
		for _, f := range fieldsOf(s.typ) {
			if seen[f.key] {
				t.Errorf("%v has two keys %s", s.typ, f.key)
			}
			seen[f.key] = true
		}
	}
	for _, v := range []any{
		vswitch.Config{KeepTags: true, AgeingTime: 1, LoopInterval: 1, Mode: 1, DirMode: 1, HandshakeTimeout: 1},
		vswitch.PortConfig{Tagged: []uint16{1}, Isolated: true, Reserved: true, RoundRobin: true, Wait: 1, LoopProtection: 1, Static: []vswitch.StaticEntry{{}}, Impair: impair.Config{Seed: 1}},
		vswitch.PortGroup{}, vswitch.StaticEntry{}, impair.Config{}, impair.Impairment{},
	} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(b, &fields); err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for name := range fields {
			want = append(want, keyOf(name))
		}
		for _, f := range fieldsOf(reflect.TypeOf(v)) {
			got = append(got, f.key)
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%T has the keys %v, and in JSON %v", v, got, want)
		}
	}
}

// TestForever checks which times may be forever: those for which a switch takes it.
func TestForever(t *testing.T) {
	for _, f := range fieldsOf(reflect.TypeFor[vswitch.Config]()) {
		var c vswitch.Config
		if f.typ == durationType {
			reflect.ValueOf(&c).Elem().FieldByIndex(f.index).SetInt(int64(vswitch.Forever))
			if err := Check(c); (err == nil) != mayBeForever(f.name) {
				t.Errorf("%s: %v", f.key, err)
			}
		}
	}
	if err := checkPort(vswitch.PortConfig{Wait: vswitch.Forever}); err != nil || !mayBeForever("Wait") {
		t.Errorf("wait: %v", err)
	}
}

// TestDescribed checks that each key of each struct in a file is described, and no other.
func TestDescribed(t *testing.T) {
	described := make(map[reflect.Type]bool)
	for _, s := range sections {
		described[s.typ] = true
		keys := slices.Sorted(maps.Keys(s.keys))
		var want []string
		for _, f := range fieldsOf(s.typ) {
			want = append(want, f.key)
		}
		slices.Sort(want)
		if !slices.Equal(keys, want) {
			t.Errorf("%s: described are %v, there are %v", s.name, keys, want)
		}
	}
	for _, s := range sections {
		for _, f := range fieldsOf(s.typ) {
			typ := f.typ
			for typ.Kind() == reflect.Map || typ.Kind() == reflect.Slice {
				typ = typ.Elem()
			}
			if typ.Kind() == reflect.Struct && !hasText(typ) && !described[typ] {
				t.Errorf("%s.%s: %v is not described", s.name, f.key, typ)
			}
		}
	}
}

// TestDocument checks that the tables of the document list the keys, what they take and
// what holds without them.
func TestDocument(t *testing.T) {
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, s := range sections {
		begin := "<!-- keys: " + s.name + " -->\n"
		region := regexp.MustCompile("(?s)" + regexp.QuoteMeta(begin) + ".*?<!-- end -->\n")
		if n := len(region.FindAllString(text, -1)); n != 1 {
			t.Errorf("%d tables of %s", n, s.name)
			continue
		}
		text = region.ReplaceAllLiteralString(text, begin+table(s)+"<!-- end -->\n")
	}
	if !t.Failed() {
		keep(t, document, b, text)
	}
}

// keep checks that the file name, with the contents b, holds text, and has it do so if the
// flag asks for that.
func keep(t *testing.T, name string, b []byte, text string) {
	t.Helper()
	if string(b) == text {
		return
	}
	if !*update {
		t.Errorf("%s is out of date: run go test ./cmd/vde/internal/config -update", name)
		return
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// table returns the table of a section.
func table(s section) string {
	var b strings.Builder
	b.WriteString("| key | value | without it | meaning |\n|---|---|---|---|\n")
	for _, f := range fieldsOf(s.typ) {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.key, takes(f), without(s, f), s.keys[f.key].meaning)
	}
	return b.String()
}

// takes says what can be given for a field.
func takes(f field) string {
	switch t := f.typ; {
	case t == durationType && mayBeForever(f.name):
		return "time, or `forever`"
	case t == durationType:
		return "time"
	case t == modeType:
		return "octal number"
	case isVLAN(t, f.name):
		return "number, or `none`"
	case isVLANs(t, f.name):
		return "list of numbers, or `all`"
	case len(words(t)) > 0:
		return "`" + strings.Join(words(t), "`, `") + "`"
	case t == reflect.TypeFor[frame.MAC]():
		return "MAC address"
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Bool:
		return "`true`, `false`"
	case t.Kind() == reflect.Float64:
		return "probability, 0 to 1"
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64 || t.Kind() == reflect.Uint64:
		return "number"
	default:
		return shape(t)
	}
}

// shape says what a value of a type with other values in it is.
func shape(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Map:
		if t.Key().Kind() == reflect.Int {
			return "for each number: " + shape(t.Elem())
		}
		return "for each name: " + shape(t.Elem())
	case reflect.Slice:
		return "list of: " + shape(t.Elem())
	}
	i := slices.IndexFunc(sections, func(s section) bool { return s.typ == t })
	titles := map[string]string{
		"port": "Ports", "port-group": "Port groups", "static-entry": "Static entries", "uplink": "Uplinks", "mirror": "Mirrors", "impairments": "Impairments", "impairment": "Impairment of a direction", "console": "Console", "api": "API", "http": "HTTP",
	}
	title := titles[sections[i].name]
	return fmt.Sprintf("[%s](#%s)", title, strings.ReplaceAll(strings.ToLower(title), " ", "-"))
}

// words returns the words that stand for the values of a type, if it is an enumeration.
func words(t reflect.Type) (list []string) {
	if t == reflect.TypeFor[slog.Level]() {
		return []string{"debug", "info", "warn", "error"}
	}
	if t.Kind() != reflect.Int || !hasText(t) {
		return nil
	}
	for i := range 100 {
		v := reflect.New(t).Elem()
		v.SetInt(int64(i))
		b, err := v.Interface().(encoding.TextMarshaler).MarshalText()
		if err != nil || reflect.New(t).Interface().(encoding.TextUnmarshaler).UnmarshalText(b) != nil {
			break
		}
		list = append(list, string(b))
	}
	return list
}

// without says what holds without a key.
func without(s section, f field) string {
	if text := s.keys[f.key].without; text != "" {
		return text
	}
	v := reflect.New(s.typ).Elem()
	c := vswitch.New(vswitch.Config{}).Config()
	switch p := v.Addr().Interface().(type) {
	case *File:
		p.Config = c
	case *vswitch.PortConfig:
		*p = c.DefaultPort
	}
	v = v.FieldByIndex(f.index)
	if text, ok := v.Interface().(fmt.Stringer); ok {
		return "`" + strings.ToLower(text.String()) + "`"
	}
	return fmt.Sprintf("`%v`", v.Interface())
}

// TestSchema checks that the JSON schema says what a file may contain.
func TestSchema(t *testing.T) {
	defs := make(map[string]any)
	for _, s := range sections[1:] {
		defs[s.name] = object(s)
	}
	top := object(sections[0])
	top["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	top["title"] = "Configuration of vde switch"
	top["$defs"] = defs
	text, err := json.MarshalIndent(top, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(schema)
	if err != nil && !*update {
		t.Fatal(err)
	}
	keep(t, schema, b, string(text)+"\n")
}

const timePattern = `(0|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+)`

// object returns the schema of a struct. An empty mapping may be left out.
func object(s section) map[string]any {
	properties := make(map[string]any)
	for _, f := range fieldsOf(s.typ) {
		p := form(f.typ, f.name)
		p["description"] = s.keys[f.key].meaning
		properties[f.key] = p
	}
	return map[string]any{"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties}
}

// form returns the schema of a field of type t with this name.
func form(t reflect.Type, name string) map[string]any {
	number := map[string]any{"type": "integer"}
	switch {
	case t == durationType && mayBeForever(name):
		return map[string]any{"type": "string", "pattern": "^(forever|" + timePattern + ")$"}
	case t == durationType:
		return map[string]any{"type": "string", "pattern": "^" + timePattern + "$"}
	case t == modeType:
		return map[string]any{"anyOf": []any{number, map[string]any{"type": "string", "pattern": "^(0o)?[0-7]{1,4}$"}}}
	case isVLAN(t, name):
		return map[string]any{"anyOf": []any{
			map[string]any{"type": "integer", "minimum": 0, "maximum": vswitch.NoVLAN - 1}, map[string]any{"const": "none"},
		}}
	case isVLANs(t, name):
		return map[string]any{"anyOf": []any{
			map[string]any{"type": []string{"array", "null"}, "items": map[string]any{"type": "integer", "minimum": 0, "maximum": vswitch.NoVLAN - 1}},
			map[string]any{"const": "all"},
		}}
	case isRate(t, name):
		return map[string]any{"anyOf": []any{map[string]any{"type": "number", "minimum": 0}, map[string]any{"type": "string", "pattern": "^[0-9.]+[kMG]?$"}}}
	case len(words(t)) > 0:
		return map[string]any{"enum": words(t)}
	case t == reflect.TypeFor[frame.MAC]():
		return map[string]any{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Float64:
		return map[string]any{"type": "number", "minimum": 0, "maximum": 1}
	case reflect.String:
		return map[string]any{"type": []string{"string", "integer"}}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Map:
		m := map[string]any{"type": []string{"object", "null"}, "additionalProperties": form(t.Elem(), name)}
		if t.Key().Kind() == reflect.Int {
			m["propertyNames"] = map[string]any{"pattern": "^[0-9]+$"}
		}
		return m
	case reflect.Slice:
		return map[string]any{"type": []string{"array", "null"}, "items": form(t.Elem(), name)}
	case reflect.Struct:
		i := slices.IndexFunc(sections, func(s section) bool { return s.typ == t })
		ref := map[string]any{"$ref": "#/$defs/" + sections[i].name}
		if slices.Contains([]reflect.Type{reflect.TypeFor[Uplink](), reflect.TypeFor[Mirror](), reflect.TypeFor[HTTP]()}, t) {
			return map[string]any{"anyOf": []any{map[string]any{"type": []string{"string", "integer"}}, ref}}
		}
		return ref
	}
	return number
}

// TestExample checks that the example of the document can be used, and that it and the
// document name no key that there is not.
func TestExample(t *testing.T) {
	const example = "../../../../docs/lab.yaml"
	if _, err := Read(example, nil); err != nil {
		t.Error(err)
	}
	file, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllSubmatch(text, -1) {
		n++
		if _, err := Parse(fmt.Sprintf("block %d", n), m[1], nil); err != nil {
			t.Error(err)
		}
	}
	if n < 2 || !strings.Contains(string(text), "](lab.yaml)") {
		t.Errorf("%d blocks of YAML; the document should link to lab.yaml, of %d bytes", n, len(file))
	}
}
