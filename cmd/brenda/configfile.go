package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// yamlFile gives kong the values of a YAML file. Nested keys are joined: llm.model is --llm-model.
type yamlFile struct {
	path   string
	values map[string]any // by flag name
}

// aliases are keys that users may expect under another name.
var aliases = map[string]string{"auth-tokens": "tokens"} //nolint:gochecknoglobals // a table

// readYAML reads a configuration file. One that is not there is empty, unless it was asked for by name.
func readYAML(path string, asked bool) (*yamlFile, error) {
	f := &yamlFile{path: path, values: map[string]any{}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(data, &tree); err != nil {
		return nil, fmt.Errorf("configuration file %s: %w", path, err)
	}
	f.flatten("", tree)
	return f, nil
}

func (f *yamlFile) flatten(prefix string, tree map[string]any) {
	for k, v := range tree {
		name := prefix + strings.ReplaceAll(strings.ToLower(k), "_", "-")
		if sub, ok := v.(map[string]any); ok {
			f.flatten(name+"-", sub)
			continue
		}
		if a, ok := aliases[name]; ok {
			name = a
		}
		f.values[name] = v
	}
}

// mistakes returns all that is wrong in the file and in the environment: settings that do not exist, and values of a wrong
// type. kong would stop at the first. What is wrong is taken out of both, so that the rest can be checked too; a program
// with mistakes goes no further than that.
func mistakes(app *kong.Application, f *yamlFile) error {
	var errs []error
	known := map[string]bool{}
	for _, flag := range app.Flags {
		known[flag.Name] = true
		text, where := f.text(flag.Name), f.path
		for _, env := range flag.Envs { // the environment wins over the file
			if v, ok := os.LookupEnv(env); ok {
				text, where = &v, "the environment"
			}
		}
		if text == nil {
			continue
		}
		scan := kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: *text})
		ctx := &kong.DecodeContext{Value: flag.Value, Scan: scan}
		if err := flag.Mapper.Decode(ctx, reflect.New(flag.Target.Type()).Elem()); err != nil {
			errs = append(errs, fmt.Errorf("%s (in %s): %w", strings.ReplaceAll(flag.Name, "-", "."), where, err))
			delete(f.values, flag.Name)
			for _, env := range flag.Envs {
				_ = os.Unsetenv(env) // cannot fail for a name that was looked up
			}
		}
	}
	for name := range f.values {
		if !known[name] {
			errs = append(errs, fmt.Errorf("%s: there is no such setting (in %s)", strings.ReplaceAll(name, "-", "."), f.path))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// text returns a setting as a command line would have it, nil when the file does not have it.
func (f *yamlFile) text(name string) *string {
	v, ok := f.values[name]
	if !ok || v == nil {
		return nil
	}
	s := fmt.Sprint(v)
	if list, ok := v.([]any); ok {
		words := make([]string, len(list))
		for i, w := range list {
			words[i] = fmt.Sprint(w)
		}
		s = strings.Join(words, ",")
	}
	return &s
}

// Validate is part of kong.Resolver; mistakes has done it by then.
func (*yamlFile) Validate(*kong.Application) error { return nil }

// Resolve gives kong the value of one flag.
func (f *yamlFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, env := range flag.Envs { // the environment wins over the file
		if _, ok := os.LookupEnv(env); ok {
			return nil, nil //nolint:nilnil // kong: no value here
		}
	}
	if s := f.text(flag.Name); s != nil {
		return *s, nil
	}
	return nil, nil //nolint:nilnil // kong: no value here
}

// printConfig writes the effective configuration as a commented YAML file.
func printConfig(w io.Writer, app *kong.Application) error {
	section, nested := "", sections()
	for _, flag := range app.Flags {
		if flag.Name == "help" || flag.Name == "config" || flag.Hidden {
			continue
		}
		key, indent := flag.Name, ""
		if head, rest, ok := strings.Cut(flag.Name, "-"); ok && nested[head] {
			if head != section {
				fmt.Fprintf(w, "\n%s:\n", head)
				section = head
			}
			key, indent = rest, "  "
		}
		fmt.Fprintf(w, "%s# %s [%s]\n", indent, flag.Help, strings.Join(flag.Envs, " "))
		fmt.Fprintf(w, "%s%s: %s\n", indent, key, yamlValue(flag.Target))
	}
	return nil
}

// sections returns the prefixes under which flags are nested in the file: those of config's parts.
func sections() map[string]bool {
	names := map[string]bool{}
	for f := range reflect.TypeFor[config]().Fields() {
		if prefix := f.Tag.Get("prefix"); prefix != "" {
			names[strings.TrimSuffix(prefix, "-")] = true
		}
	}
	return names
}

// yamlValue writes a value as one line of YAML.
func yamlValue(v reflect.Value) string {
	x := v.Interface()
	switch t := x.(type) {
	case secret:
		x = t.String()
	case fmt.Stringer:
		x = strings.ToLower(t.String())
	case []secret:
		words := make([]string, len(t))
		for i := range t {
			words[i] = t[i].String()
		}
		x = words
	}
	node := &yaml.Node{}
	if err := node.Encode(x); err != nil {
		return fmt.Sprint(x)
	}
	node.Style = yaml.FlowStyle
	if node.Kind == yaml.ScalarNode && node.Tag == "!!str" {
		node.Style = yaml.DoubleQuotedStyle
	}
	out, err := yaml.Marshal(node)
	if err != nil {
		return fmt.Sprint(x)
	}
	return strings.TrimSpace(strings.ReplaceAll(string(out), "\n", " "))
}
