package pipeline

import "context"

// Painter makes pictures.
type Painter interface {
	// Paint makes the picture that p describes and returns it as the back end gave it: a PNG, JPEG or WebP file, not yet
	// checked. It tells how far it is through emit, whose failing stops it. When ctx ends, the back end is told to stop.
	Paint(ctx context.Context, p Painting, emit func(PaintStep) error) ([]byte, error)
	// Palette tells what the back end has to paint with. A back end that does not answer is fault.Unavailable.
	Palette(ctx context.Context) (Palette, error)
}

// Painting is what a Painter is asked for. It was checked before: a painter passes it on.
type Painting struct {
	Prompt   string
	Negative string   // what must not be seen; may be empty
	Width    int      // pixels, a multiple of PaintGrain
	Height   int      // likewise
	Steps    int      // 1…150
	Seed     int64    // 0…2³²−1; the same seed gives the same picture
	Guidance *float64 // how strictly the prompt is followed; nil means the back end's default
	Sampler  string   // a name of the Palette; empty means the back end's default
	Model    string   // likewise
	Source   []byte   // a PNG of Width×Height to start from; nil for none
	Strength float64  // 0…1: how far the result may be from Source
}

// PaintGrain is what widths and heights are multiples of, in pixels. Back ends round other sizes up without a word.
const PaintGrain = 64

// PaintStep is how far a painting is.
type PaintStep struct {
	State string // "queued", while others come first, or "generating"
	Step  int    // steps done; stays 0 where the back end does not tell
	Steps int    // of how many
}

// The states of a PaintStep.
const (
	PaintQueued     = "queued"
	PaintGenerating = "generating"
)

// Palette is what a back end has to paint with.
type Palette struct {
	Models   []string
	Samplers []string // names, and other names for the same; nil where the back end lists none
	// Lacks are the fields of a Painting, by their names in JSON, that the back end has no use for: "seed".
	Lacks []string
}
