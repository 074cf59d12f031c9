package image

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/rest/httpx"
)

// The limits of the specification and its contract.
const (
	minSide     = 64
	maxSide     = 2048
	sideStep    = 8
	maxSteps    = 150
	maxPrompt   = 4000 // characters
	maxSeed     = 1<<32 - 1
	maxGuidance = 30
)

// What a request means that does not say it.
const (
	defaultSide     = 512
	defaultSteps    = 20
	defaultStrength = 0.6
)

// order is the body of a request, and then what it means.
type order struct {
	Prompt   string   `json:"prompt"`
	Negative string   `json:"negative_prompt"`
	Width    *int     `json:"width"`
	Height   *int     `json:"height"`
	Steps    *int     `json:"steps"`
	Strength *float64 `json:"strength"`
	// These are beyond the specification.
	Seed     *int64   `json:"seed"` // −1 means a random one
	Guidance *float64 `json:"cfg_scale"`
	Sampler  string   `json:"sampler"`
	Model    string   `json:"model"`

	source   []byte   // PNG of the canvas, for refine
	size     size     // of the picture asked for
	ignored  []string // fields that the back end has no use for
	seedless bool     // the back end takes no seed
}

// size is a width and a height in pixels.
type size struct{ w, h int }

// read reads the body of a request. Blobs of the named fields are the caller's to close.
func (s *Service) read(r *http.Request, blobs ...string) (*order, httpx.Blobs, error) {
	o, bs, err := httpx.ReadBlobs[order](r, s.cfg.SpoolDir, blobs...)
	if err != nil {
		return nil, nil, err
	}
	if err := o.check(); err != nil {
		bs.Close()
		return nil, nil, err
	}
	return &o, bs, nil
}

// check refuses what no back end may be trusted to refuse: some take odd sizes, unknown names and commands in the prompt
// without a word.
func (o *order) check() error {
	if err := httpx.Require("prompt", o.Prompt); err != nil {
		return err
	}
	for _, text := range []struct{ param, value string }{{"prompt", o.Prompt}, {"negative_prompt", o.Negative}} {
		switch {
		case utf8.RuneCountInString(text.value) > maxPrompt:
			return fault.Field(text.param, "%s may have at most %d characters", text.param, maxPrompt)
		case strings.Contains(strings.ToLower(text.value), "sd_cpp_extra_args"):
			return fault.Field(text.param, "%s must not hold commands for the image server (sd_cpp_extra_args)", text.param)
		}
	}
	for param, v := range map[string]*int{"width": o.Width, "height": o.Height} {
		if v != nil && (*v < minSide || *v > maxSide || *v%sideStep != 0) {
			return fault.Field(param, "%s must be a multiple of %d between %d and %d", param, sideStep, minSide, maxSide)
		}
	}
	switch {
	case o.Steps != nil && (*o.Steps < 1 || *o.Steps > maxSteps):
		return fault.Field("steps", "steps must be between 1 and %d", maxSteps)
	case o.Strength != nil && !(*o.Strength >= 0 && *o.Strength <= 1):
		return fault.Field("strength", "strength must be between 0 and 1")
	case o.Guidance != nil && !(*o.Guidance >= 0 && *o.Guidance <= maxGuidance):
		return fault.Field("cfg_scale", "cfg_scale must be between 0 and %d", maxGuidance)
	case o.Seed != nil && (*o.Seed < -1 || *o.Seed > maxSeed):
		return fault.Field("seed", "seed must be between 0 and %d, or -1 for a random one", int64(maxSeed))
	}
	return nil
}

// leave deals with the fields that the back end has no use for: those of the specification are named in the answer,
// the others refused.
func (o *order) leave(lacks []string) error {
	o.seedless = slices.Contains(lacks, "seed")
	for _, name := range lacks {
		asked := false
		switch name {
		case "steps":
			asked = o.Steps != nil
		case "strength":
			asked = o.Strength != nil
		case "seed":
			asked = o.Seed != nil && *o.Seed >= 0
		case "cfg_scale":
			asked = o.Guidance != nil
		case "sampler":
			asked = o.Sampler != ""
		}
		switch {
		case !asked:
		case name == "steps" || name == "strength":
			o.ignored = append(o.ignored, name)
		default:
			return fault.Field(name, "the configured image server takes no %s; leave it out", name)
		}
	}
	return nil
}

// painting is the order as a painter takes it.
func (o *order) painting() pipeline.Painting {
	p := pipeline.Painting{
		Prompt: o.Prompt, Negative: o.Negative, Width: roundUp(o.size.w), Height: roundUp(o.size.h),
		Steps: or(o.Steps, defaultSteps), Seed: or(o.Seed, -1), Guidance: o.Guidance, Sampler: o.Sampler, Model: o.Model,
		Source: o.source, Strength: or(o.Strength, defaultStrength),
	}
	if p.Seed < 0 {
		p.Seed = int64(rand.Uint32()) //nolint:gosec // it need not be unguessable
	}
	return p
}

func or[T any](v *T, otherwise T) T {
	if v == nil {
		return otherwise
	}
	return *v
}

// roundUp returns the next size that every back end takes as it is.
func roundUp(side int) int {
	const g = pipeline.PaintGrain
	return (side + g - 1) / g * g
}

// seed returns what to tell of the seed: nothing where the back end takes none.
func (o *order) seed(p pipeline.Painting) *int64 {
	if o.seedless {
		return nil
	}
	return &p.Seed
}
