package weights

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"go.yaml.in/yaml/v3"
)

//go:embed catalogue.yaml
var catalogueYAML []byte

// loadCatalogue returns the entries for this machine.
func loadCatalogue() ([]Entry, error) {
	entries, err := parseCatalogue(catalogueYAML)
	if err != nil {
		return nil, err
	}
	here := runtime.GOOS + "/" + runtime.GOARCH
	return slices.DeleteFunc(entries, func(e Entry) bool { return e.Platform != "" && e.Platform != here }), nil
}

func parseCatalogue(text []byte) ([]Entry, error) {
	var doc struct {
		Entries []Entry `yaml:"entries"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	var errs []error
	seen := map[string]bool{}
	for _, e := range doc.Entries {
		errs = append(errs, e.check())
		if key := e.Name + " " + e.Platform; seen[key] {
			errs = append(errs, fmt.Errorf("catalogue: %s is there twice", key))
		} else {
			seen[key] = true
		}
	}
	return doc.Entries, errors.Join(errs...)
}
