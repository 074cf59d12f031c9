package httpx

import (
	"bufio"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"

	"brenda/pipeline/fault"
)

// Read reads a request's body as the JSON object of a T, whatever its Content-Type says. Unknown fields are
// ignored; malformed JSON and wrong types are fault.Invalid and name the field.
func Read[T any](r *http.Request) (T, error) {
	v, _, err := ReadBlobs[T](r, "")
	return v, err
}

// ReadBlobs is [Read] for a body with big fields of base64, which are decoded as they arrive and never held
// in memory whole. Files for them are made in dir; empty means the system's own. The caller closes the blobs.
// T has no fields of these names.
func ReadBlobs[T any](r *http.Request, dir string, fields ...string) (T, Blobs, error) {
	var v T
	s := &scanner{
		br: bufio.NewReaderSize(r.Body, 32<<10), dir: dir, big: map[string]bool{}, blobs: Blobs{},
	}
	for _, name := range fields {
		s.big[name] = true
	}
	err := s.scan()
	if err == nil {
		err = typeFault(json.Unmarshal(s.rest.Bytes(), &v))
	}
	if err != nil {
		s.blobs.Close()
		return v, nil, err
	}
	return v, s.blobs, nil
}

// typeFault makes an error of encoding/json one that the client understands.
func typeFault(err error) error {
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong):
		return fault.Field(wrong.Field, "%s must be %s, not %s", wrong.Field, typeWord(wrong.Type), wrong.Value)
	}
	return fault.Wrap(err, fault.Invalid, "invalid_json", "the body is not valid JSON")
}

func typeWord(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return typeWord(t.Elem())
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "an integer"
	}
}

// Blank tells whether a text has nothing but white space.
func Blank(s string) bool { return strings.TrimSpace(s) == "" }

// Require returns the fault of a required text that is missing or blank.
func Require(param, value string) error {
	if Blank(value) {
		return fault.Field(param, "%s is missing; it must be a text that is not blank", param)
	}
	return nil
}
