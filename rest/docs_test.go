package rest_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"brenda/rest"
)

// TestSpecificationHasTheTable: every route is documented, and nothing else is.
func TestSpecificationHasTheTable(t *testing.T) {
	f := newFakes()
	a := do(t, f.start(t, open()), http.MethodGet, "/openapi.json", "")
	var spec struct {
		Paths map[string]map[string]struct {
			Summary   string
			Responses map[string]any
		}
		Components map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(a.body), &spec); err != nil {
		t.Fatal(err)
	}
	var documented, served []string
	for path, methods := range spec.Paths {
		for method, op := range methods {
			documented = append(documented, strings.ToUpper(method)+" "+path)
			if op.Summary == "" || len(op.Responses) == 0 {
				t.Errorf("%s %s says nothing", method, path)
			}
		}
	}
	wild := regexp.MustCompile(`[:*]([a-z_]+)`)
	for _, r := range rest.Routes(f.features(t)) {
		served = append(served, r.Method+" "+wild.ReplaceAllString(r.Path, "{$1}"))
	}
	slices.Sort(documented)
	slices.Sort(served)
	if !slices.Equal(documented, served) {
		t.Errorf("documented:\n%s\nserved:\n%s", strings.Join(documented, "\n"), strings.Join(served, "\n"))
	}
	for _, m := range regexp.MustCompile(`"#/components/(\w+)/(\w+)"`).FindAllStringSubmatch(a.body, -1) {
		if spec.Components[m[1]][m[2]] == nil {
			t.Errorf("%s leads nowhere", m[0])
		}
	}
}

// TestDocsNeedNobodyElse: the page works without the internet.
func TestDocsNeedNobodyElse(t *testing.T) {
	a := do(t, newFakes().start(t, open()), http.MethodGet, "/docs", "")
	if a.status != 200 || !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") || strings.Contains(a.body, "://") {
		t.Errorf("got %d %v", a.status, a.header)
	}
}
