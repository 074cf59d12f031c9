package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"

	"brenda/pipeline/engine/apertium"
	"brenda/pipeline/engine/libretranslate"
	"brenda/pipeline/engine/llmtranslate"
	"brenda/pipeline/fault"
	"brenda/pipeline/langid"
	"brenda/pipeline/schedule"
	"brenda/pipeline/translation"
	"brenda/rest/health"
	"brenda/rest/translate"
)

type translateConfig struct {
	Engines   []string      `sep:"," help:"Who translates what, such as fr-en=llm,*=apertium; default *=apertium."`
	URL       string        `help:"A LibreTranslate-compatible server, asked first by default, e.g. http://127.0.0.1:5000."`
	Key       secret        `help:"That server's API key."`
	Languages []string      `sep:"," default:"fr,en,es,it,de,pt,nl" help:"Languages that the engine llm translates between."`
	Parallel  int           `default:"2" help:"Texts translated at the same time, and programs of one pair of Apertium's."`
	Max       int           `default:"100000" help:"Characters of one text."`
	Idle      time.Duration `default:"10m" help:"How long unused programs of Apertium's stay in memory."`
}

// The engines that translate.
const (
	byApertium = "apertium"
	byLibre    = "libretranslate"
	byLLM      = "llm"
)

// check returns every mistake, joined.
func (c *translateConfig) check() error {
	var errs []error
	rules, err := c.rules()
	errs = append(errs, err)
	if c.URL != "" {
		if u, err := url.Parse(c.URL); err != nil || u.Host == "" || !slices.Contains([]string{"http", "https"}, u.Scheme) {
			errs = append(errs, fmt.Errorf("translate.url: %q is not an http or https URL", c.URL))
		}
	} else if slices.ContainsFunc(rules, func(r translation.Rule) bool { return r.Engine == byLibre }) {
		errs = append(errs, errors.New("translate.engines: libretranslate needs translate.url"))
	}
	for _, l := range c.Languages {
		if _, err := language.ParseBase(l); err != nil {
			errs = append(errs, fmt.Errorf("translate.languages: %q is no language code", l))
		}
	}
	if c.Parallel < 1 || c.Max < 1 || c.Idle < time.Second {
		errs = append(errs, errors.New("translate.parallel and translate.max must be at least 1, translate.idle at least 1s"))
	}
	return errors.Join(errs...)
}

// rules reads who translates what.
func (c *translateConfig) rules() ([]translation.Rule, error) {
	list := c.Engines
	if len(list) == 0 {
		list = []string{"*=" + byApertium}
		if c.URL != "" {
			list = []string{"*=" + byLibre, "*=" + byApertium}
		}
	}
	var rules []translation.Rule
	for _, one := range list {
		pair, engine, ok := strings.Cut(strings.TrimSpace(one), "=")
		from, to, both := strings.Cut(pair, "-")
		if !both && pair == "*" {
			to, both = "*", true
		}
		if !ok || !both || !code(from) || !code(to) || !slices.Contains([]string{byApertium, byLibre, byLLM}, engine) {
			return nil, fmt.Errorf("translate.engines: %q is not PAIR=ENGINE, such as fr-en=llm or *=apertium", one)
		}
		rules = append(rules, translation.Rule{From: from, To: to, Engine: engine})
	}
	return rules, nil
}

// code tells whether a side of a rule is a language or "*".
func code(s string) bool {
	base, err := language.ParseBase(s)
	return s == "*" || err == nil && base.String() == s
}

// translator builds the translation service of a server.
func (in *instance) translator() *translate.Service {
	cfg := in.cfg.Translate
	rules, _ := cfg.rules() // checked with the configuration
	local := apertium.New(apertium.Config{Size: cfg.Parallel, Idle: cfg.Idle, Log: in.log})
	in.closers = append(in.closers, local.Close)
	sources := []translation.Source{
		{Name: byApertium, Engine: local},
		{Name: byLLM, Engine: llmtranslate.New(in.engines.scheduled.LLM, cfg.Languages), Piece: llmtranslate.Piece},
	}
	if cfg.URL != "" {
		remote := libretranslate.New(libretranslate.Config{URL: cfg.URL, Key: string(cfg.Key)})
		in.closers = append(in.closers, remote.Close)
		sources = append(sources, translation.Source{Name: byLibre, Engine: remote, Piece: libretranslate.Piece})
	}
	limits := in.cfg.Limits
	t := translation.New(translation.Config{
		Sources: sources, Rules: rules, Identifier: langid.New(local), MaxText: cfg.Max,
		Queue: in.engines.machine.Queue(schedule.Config{
			Name: "translate", Running: cfg.Parallel, Waiting: 4 * limits.Queue, MaxWait: limits.Wait,
		}),
	})
	in.told = append(in.told, func(ctx context.Context) []health.Component {
		return []health.Component{translateComponent(ctx, rules, sources)}
	})
	in.labels.texts.Store(t)
	return translate.New(t)
}

// translateComponent tells of translation, for /ready. It asks the disk at most, no other server.
func translateComponent(ctx context.Context, rules []translation.Rule, sources []translation.Source) health.Component {
	c := health.Component{Name: "translation", State: health.Ready}
	for _, s := range sources {
		used := slices.ContainsFunc(rules, func(r translation.Rule) bool { return r.Engine == s.Name })
		if !used || s.Name != byApertium {
			continue
		}
		if _, err := s.Engine.Ways(ctx); err != nil {
			c.State, c.Detail = health.Degraded, fault.As(err).Msg
			if len(rules) == 1 {
				c.State = health.Missing
			}
		}
	}
	return c
}

// checkTranslation tells what translates, for doctor.
func checkTranslation(ctx context.Context, cfg *config) finding {
	f := finding{Name: "translation", State: fine}
	if rules, err := cfg.Translate.rules(); err == nil &&
		!slices.ContainsFunc(rules, func(r translation.Rule) bool { return r.Engine == byApertium }) {
		f.Says = strings.Join(cfg.Translate.Engines, ", ")
		return f
	}
	ways, err := apertium.New(apertium.Config{Log: slog.New(slog.DiscardHandler)}).Ways(ctx)
	if err != nil {
		f.State, f.Says, f.Mend = warning, "no pair of Apertium is installed", apertium.Install
		return f
	}
	var direct []string
	for _, w := range ways {
		if len(w.Pivot) == 0 {
			direct = append(direct, w.From+"-"+w.To)
		}
	}
	f.Says = fmt.Sprintf("Apertium: %s; %d pairs with those by way of others", strings.Join(direct, " "), len(ways))
	return f
}
