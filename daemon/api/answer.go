package api

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxAnswer limits a daemon's answer: a pass with 10,000 failures takes a third of it.
	maxAnswer = 16 << 20
	// maxText limits each text in it; a daemon has no longer ones.
	maxText = 16 << 10
)

// decode reads a daemon's answer for people: it removes control characters from texts, and
// cuts off what is far too long.
func decode(body io.Reader, out any) error {
	limited := &io.LimitedReader{R: body, N: maxAnswer}
	err := json.NewDecoder(limited).Decode(out)
	if limited.N == 0 {
		return errors.New("it is too long to come from a daemon")
	}
	tame(reflect.ValueOf(out))
	return err
}

// tame does so for all texts in a value.
func tame(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			tame(v.Elem())
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			if field.CanSet() {
				tame(field)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			tame(v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(key))
			tame(value)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		if v.CanSet() {
			v.SetString(tamed(v.String()))
		}
	default: // numbers do nothing to a terminal
	}
}

// tamed is a text of limited length without control characters.
func tamed(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsGraphic(r) {
			return r
		}
		return utf8.RuneError
	}, text)
}
