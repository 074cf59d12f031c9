package translation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
	"golang.org/x/text/language"

	"brenda/pipeline/fault"
	"brenda/pipeline/schedule"
)

// Auto is the language of a text that is to be found out.
const Auto = "auto"

// Source is an engine under the name that configuration and answers give it.
type Source struct {
	Name   string
	Engine Engine
	Piece  int // characters that it takes at once, where sentences can be joined; 0 gives it single sentences
}

// Rule says which engine translates a pair. "*" stands for every language.
type Rule struct{ From, To, Engine string }

// Identifier tells the language of texts.
type Identifier interface {
	// Identify returns the most likely language of text among those; what comes first wins where it is in doubt. It
	// returns "" when the language cannot be told.
	Identify(ctx context.Context, text string, among []string) (string, error)
}

// Config puts a Translator together.
type Config struct {
	Sources    []Source
	Rules      []Rule // the first that matches and whose engine has the pair wins
	Identifier Identifier
	Queue      *schedule.Queue // of whole texts, as batch work; nil for none
	Parallel   int             // pieces of one text that are translated side by side; default 4
	MaxText    int             // characters; default 100,000
}

// Translator translates texts. Its methods may be called from any goroutine.
type Translator struct{ cfg Config }

// New returns a translator.
func New(cfg Config) *Translator {
	if cfg.Parallel <= 0 {
		cfg.Parallel = 4
	}
	if cfg.MaxText <= 0 {
		cfg.MaxText = 100_000
	}
	return &Translator{cfg: cfg}
}

// Request is what to translate. Languages are codes of ISO 639, with or without a region; From may be Auto.
type Request struct{ Text, From, To string }

// Answer is a translation and where it came from.
type Answer struct {
	Text   string
	From   string // as asked for, in its shortest code, or as found out
	To     string
	Engine string   // a Source's name; "none" when the text is in the target language already
	Pivot  []string // the languages between; empty for a direct translation
}

// route is a pair and the source that translates it.
type route struct {
	Way
	source Source
}

// Ways returns all pairs that can be translated now, sorted. Engines that are not available are left out.
func (t *Translator) Ways(ctx context.Context) []Way {
	routes, _ := t.routes(ctx)
	ways := make([]Way, len(routes))
	for i, r := range routes {
		ways[i] = r.Way
	}
	return ways
}

// routes returns the best route of each pair, sorted, and why engines are not available.
func (t *Translator) routes(ctx context.Context) ([]route, error) {
	var failed error
	best := map[Rule]route{} // by pair
	rank := map[Rule]int{}
	for _, s := range t.cfg.Sources {
		if !slices.ContainsFunc(t.cfg.Rules, func(r Rule) bool { return r.Engine == s.Name }) {
			continue
		}
		ways, err := s.Engine.Ways(ctx)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.Name, err))
			continue
		}
		for _, w := range ways {
			place, pair := t.rank(w, s.Name), Rule{From: w.From, To: w.To}
			if old, ok := rank[pair]; place >= 0 && (!ok || place < old) {
				best[pair], rank[pair] = route{w, s}, place
			}
		}
	}
	out := make([]route, 0, len(best))
	for _, r := range best {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b route) int { return a.Compare(b.Way) })
	return out, failed
}

// rank returns the place of the first rule that gives a pair to an engine, −1 for none.
func (t *Translator) rank(w Way, engine string) int {
	return slices.IndexFunc(t.cfg.Rules, func(r Rule) bool {
		return r.Engine == engine && (r.From == "*" || r.From == w.From) && (r.To == "*" || r.To == w.To)
	})
}

// Translate translates a text. A wrong language or an impossible pair is fault.Invalid and lists what there is, a text
// over the limit fault.TooLarge, an engine that is not installed fault.Unavailable.
func (t *Translator) Translate(ctx context.Context, q Request) (Answer, error) {
	if n := utf8.RuneCountInString(q.Text); n > t.cfg.MaxText {
		f := fault.New(fault.TooLarge, "too_large", "text has %d characters; at most %d are translated at once", n, t.cfg.MaxText)
		f.Param = "text"
		return Answer{}, f
	}
	from, err := code639("from_lang", q.From)
	if err != nil {
		return Answer{}, err
	}
	to, err := code639("to_lang", q.To)
	if err != nil {
		return Answer{}, err
	}
	if to == Auto {
		return Answer{}, fault.Field("to_lang", "to_lang must be a language; only from_lang can be found out")
	}
	routes, failed := t.routes(ctx)
	if from == Auto {
		if from, err = t.identify(ctx, q.Text, to, routes, failed); err != nil {
			return Answer{}, err
		}
		if from == to {
			return Answer{Text: q.Text, From: from, To: to, Engine: "none"}, nil
		}
	}
	r, err := find(routes, failed, from, to)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{From: from, To: to, Engine: r.source.Name, Pivot: r.Pivot}
	work := func(ctx context.Context) error {
		answer.Text, err = t.run(ctx, r, q.Text)
		return err
	}
	ctx = schedule.With(ctx, schedule.Batch) // a conversation goes before
	if t.cfg.Queue == nil {
		err = work(ctx)
	} else {
		err = t.cfg.Queue.Do(ctx, work)
	}
	return answer, err
}

// code639 returns the shortest code of a language.
func code639(param, code string) (string, error) {
	if strings.EqualFold(code, Auto) {
		return Auto, nil
	}
	tag, err := language.Parse(code)
	base, _ := tag.Base()
	if err != nil || base.String() == "und" {
		return "", fault.Field(param, "%s: %q is no language code; it must be one such as \"fr\"", param, code)
	}
	return base.String(), nil
}

// identify finds out the language of a text among those that can be translated. Where it is in doubt, it is one that can
// be translated into the wanted language, rather than that language itself.
func (t *Translator) identify(ctx context.Context, text, to string, routes []route, failed error) (string, error) {
	var likely, others []string
	for _, r := range routes {
		if r.To == to {
			likely = append(likely, r.From)
		} else if r.From != to && !slices.Contains(others, r.From) {
			others = append(others, r.From)
		}
	}
	if len(likely) == 0 {
		_, err := find(routes, failed, Auto, to)
		return "", err
	}
	slices.SortStableFunc(likely, func(a, b string) int { return cmp.Compare(common(a), common(b)) })
	others = slices.DeleteFunc(others, func(l string) bool { return slices.Contains(likely, l) })
	got, err := t.cfg.Identifier.Identify(ctx, text, slices.Concat(likely, []string{to}, others))
	if err == nil && got == "" {
		err = fault.Field("from_lang", "the language of this text cannot be told; say it in from_lang")
	}
	return got, err
}

// common says how likely a language is before the text is looked at: 0 for the most likely.
func common(code string) int {
	list := []string{"fr", "en", "es", "de", "it", "pt", "nl", "ca"}
	if at := slices.Index(list, code); at >= 0 {
		return at
	}
	return len(list)
}

// find returns the route of a pair, or why there is none.
func find(routes []route, failed error, from, to string) (route, error) {
	at := slices.IndexFunc(routes, func(r route) bool { return r.From == from && r.To == to })
	if at >= 0 {
		return routes[at], nil
	}
	var f *fault.Error
	if failed != nil && (errors.As(failed, &f) || len(routes) == 0) {
		return route{}, fault.Wrap(failed, fault.Unavailable, fault.As(failed).Code, "%s", fault.As(failed).Msg)
	}
	pairs := make([]string, len(routes))
	for i, r := range routes {
		pairs[i] = r.From + "-" + r.To
	}
	param := "to_lang"
	if !slices.ContainsFunc(routes, func(r route) bool { return r.From == from }) && from != Auto {
		param = "from_lang"
	}
	return route{}, fault.Field(param, "%s to %s cannot be translated here; possible are: %s",
		from, to, strings.Join(pairs, ", "))
}

// run translates a text piece by piece.
func (t *Translator) run(ctx context.Context, r route, text string) (string, error) {
	pieces := segment(text, r.source.Piece)
	out := make([]string, len(pieces))
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(t.cfg.Parallel)
	for i, p := range pieces {
		if p.keep != "" {
			out[i] = p.keep
			continue
		}
		if inner.Err() != nil {
			break
		}
		g.Go(func() (err error) {
			out[i], err = translate(inner, r, p.held)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	return strings.Join(out, ""), context.Cause(ctx)
}

// translate translates one piece. What does not come back faithful is cut at all that must not change, and the parts
// between are translated alone.
func translate(ctx context.Context, r route, h held) (string, error) {
	got, err := r.source.Engine.Translate(ctx, r.Way, h.text)
	if err == nil && faithful(h.text, got) {
		return h.restore(got), nil
	}
	if err != nil && !errors.Is(err, ErrMarks) {
		return "", err
	}
	var b strings.Builder
	for i, part := range h.shatter() {
		inner := strings.TrimSpace(part)
		if i%2 == 1 || !hasLetter(inner) {
			b.WriteString(part)
			continue
		}
		got, err := r.source.Engine.Translate(ctx, r.Way, inner)
		if err != nil && !errors.Is(err, ErrMarks) {
			return "", err
		}
		if err != nil || !faithful(inner, got) {
			got = inner // it says what the person wrote, at least
		}
		at := strings.Index(part, inner)
		b.WriteString(part[:at] + got + part[at+len(inner):])
	}
	return b.String(), nil
}
