package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Opt is a field of a partial update: absent, null or a value. The zero value is absent.
type Opt[T any] struct {
	Set   bool // the field was there, null or not
	Null  bool
	Value T
}

// Some returns a field with a value.
func Some[T any](v T) Opt[T] { return Opt[T]{Set: true, Value: v} }

// Get returns the value, and whether there is one.
func (o Opt[T]) Get() (T, bool) { return o.Value, o.Set && !o.Null }

// to writes the value, if there is one, to dst.
func (o Opt[T]) to(dst *T) {
	if o.Set && !o.Null {
		*dst = o.Value
	}
}

func (o *Opt[T]) decodeAt(raw json.RawMessage, path string, r rule) *Error {
	o.Set, o.Null = true, isNull(raw)
	if o.Null {
		return nil
	}
	return decode(raw, reflect.ValueOf(&o.Value).Elem(), path, r)
}

// selfDecoder is a type with a form of its own in JSON.
type selfDecoder interface {
	decodeAt(raw json.RawMessage, path string, r rule) *Error
}

// checker is a struct with conditions over several fields; check runs after they are read.
type checker interface {
	check(path string) *Error
}

// rule is what the tag "rule" of a field says: required, min=, max=, maxlen=, enum=a|b.
type rule struct {
	required bool
	min, max float64
	maxLen   int
	enum     []string
}

func parseRule(tag string) rule {
	r := rule{min: math.Inf(-1), max: math.Inf(1), maxLen: math.MaxInt}
	for tag != "" {
		var part string
		part, tag, _ = strings.Cut(tag, ",")
		name, value, _ := strings.Cut(part, "=")
		number, _ := strconv.ParseFloat(value, 64)
		switch name {
		case "required":
			r.required = true
		case "min":
			r.min = number
		case "max":
			r.max = number
		case "maxlen":
			r.maxLen = int(number)
		case "enum":
			r.enum = strings.Split(value, "|")
		}
	}
	return r
}

// decode reads raw into v. encoding/json would do, but for three things: it cannot tell absent from null in
// a value, its errors lose the path behind a type with its own form, and it matches names without regard to
// case.
func decode(raw json.RawMessage, v reflect.Value, path string, r rule) *Error {
	if v.CanAddr() {
		if d, ok := reflect.TypeAssert[selfDecoder](v.Addr()); ok {
			return d.decodeAt(raw, path, r)
		}
	}
	if isNull(raw) {
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		return decodeString(raw, v, path, r)
	case reflect.Bool:
		if json.Unmarshal(raw, v.Addr().Interface()) != nil {
			return wrongType(path, "a boolean", raw)
		}
	case reflect.Int, reflect.Int64:
		return decodeInt(raw, v, path, r)
	case reflect.Float64:
		n, err := number(raw, path, "a number", r)
		v.SetFloat(n)
		return err
	case reflect.Slice:
		return decodeSlice(raw, v, path, r)
	case reflect.Map:
		return decodeMap(raw, v, path, r)
	case reflect.Struct:
		return decodeStruct(raw, v, path)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return decode(raw, v.Elem(), path, r)
	default:
		panic(fmt.Sprintf("protocol: no decoder for %s", v.Type()))
	}
	return nil
}

func decodeString(raw json.RawMessage, v reflect.Value, path string, r rule) *Error {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return wrongType(path, "a string", raw)
	}
	if r.enum != nil && !slices.Contains(r.enum, s) {
		return notOneOf(path, s, r.enum)
	}
	if utf8.RuneCountInString(s) > r.maxLen {
		return Invalid(CodeInvalidValue, path, "Invalid value: at most %d characters are allowed.", r.maxLen)
	}
	v.SetString(s)
	return nil
}

func decodeInt(raw json.RawMessage, v reflect.Value, path string, r rule) *Error {
	n, err := number(raw, path, "an integer", r)
	if err != nil {
		return err
	}
	if n != math.Trunc(n) || math.Abs(n) > 1<<53 {
		return wrongType(path, "an integer", raw)
	}
	v.SetInt(int64(n)) // 300.0 is an integer to JavaScript, so it is one here
	return nil
}

func number(raw json.RawMessage, path, want string, r rule) (float64, *Error) {
	var n float64
	if json.Unmarshal(raw, &n) != nil {
		return 0, wrongType(path, want, raw)
	}
	if n < r.min {
		return 0, Invalid(CodeInvalidValue, path, "Invalid value: must be at least %v.", r.min)
	}
	if n > r.max {
		return 0, Invalid(CodeInvalidValue, path, "Invalid value: must be at most %v.", r.max)
	}
	return n, nil
}

func decodeSlice(raw json.RawMessage, v reflect.Value, path string, r rule) *Error {
	var parts []json.RawMessage
	if json.Unmarshal(raw, &parts) != nil {
		return wrongType(path, "an array", raw)
	}
	if len(parts) > r.maxLen {
		return Invalid(CodeInvalidValue, path, "Invalid value: at most %d entries are allowed.", r.maxLen)
	}
	r.maxLen = math.MaxInt
	out := reflect.MakeSlice(v.Type(), len(parts), len(parts))
	for i, p := range parts {
		at := path + "[" + strconv.Itoa(i) + "]"
		if isNull(p) {
			return wrongType(at, "a value", p)
		}
		if err := decode(p, out.Index(i), at, r); err != nil {
			return err
		}
	}
	v.Set(out)
	return nil
}

func decodeMap(raw json.RawMessage, v reflect.Value, path string, r rule) *Error {
	var parts map[string]json.RawMessage
	if json.Unmarshal(raw, &parts) != nil {
		return wrongType(path, "an object", raw)
	}
	out := reflect.MakeMapWithSize(v.Type(), len(parts))
	for name, p := range parts {
		elem := reflect.New(v.Type().Elem()).Elem()
		if isNull(p) {
			return wrongType(join(path, name), "a value", p)
		}
		if err := decode(p, elem, join(path, name), r); err != nil {
			return err
		}
		out.SetMapIndex(reflect.ValueOf(name), elem)
	}
	v.Set(out)
	return nil
}

func decodeStruct(raw json.RawMessage, v reflect.Value, path string) *Error {
	var parts map[string]json.RawMessage
	if json.Unmarshal(raw, &parts) != nil {
		return wrongType(path, "an object", raw)
	}
	if err := decodeFields(parts, v, path); err != nil {
		return err
	}
	if c, ok := reflect.TypeAssert[checker](v.Addr()); ok {
		return c.check(path)
	}
	return nil
}

func decodeFields(parts map[string]json.RawMessage, v reflect.Value, path string) *Error {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			if err := decodeFields(parts, v.Field(i), path); err != nil {
				return err
			}
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		r := parseRule(f.Tag.Get("rule"))
		part, there := parts[name]
		if r.required && (!there || isNull(part)) {
			return missing(join(path, name))
		}
		if !there {
			continue
		}
		if err := decode(part, v.Field(i), join(path, name), r); err != nil {
			return err
		}
	}
	return nil
}

// Any is JSON that is kept as it came. A null is nil.
type Any json.RawMessage

// MarshalJSON returns the JSON, null for nothing.
func (a Any) MarshalJSON() ([]byte, error) {
	if len(a) == 0 {
		return []byte("null"), nil
	}
	return a, nil
}

func (a *Any) decodeAt(raw json.RawMessage, _ string, _ rule) *Error {
	*a = nil
	if !isNull(raw) {
		*a = Any(bytes.Clone(raw))
	}
	return nil
}

func isNull(raw []byte) bool { return string(raw) == "null" }

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// kindOf says in words what a piece of valid JSON is.
func kindOf(raw []byte) string {
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// decodeInto is decode for types that read their own form.
func decodeInto(raw json.RawMessage, to any, path string, tag ...string) *Error {
	return decode(raw, reflect.ValueOf(to).Elem(), path, parseRule(strings.Join(tag, ",")))
}
