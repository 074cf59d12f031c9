// Package vision serves the routes of the specification that look at pictures: 2.4 (what is on it) and 2.5 (what is
// written on it).
package vision

import (
	"context"
	"image"
	"io"
	"net/http"

	"brenda/pipeline/fault"
	"brenda/pipeline/picture"
	"brenda/pipeline/schedule"
	"brenda/rest/httpx"
)

// Reader reads the text in pictures.
type Reader interface {
	// Languages returns the codes that Read takes: of three letters, such as "fra". Refresh looks for new ones.
	Languages(ctx context.Context, refresh bool) ([]string, error)
	// Read returns the text of an upright picture. langs are of Languages, at least one. A missing program is
	// fault.Unavailable.
	Read(ctx context.Context, img image.Image, langs []string) (picture.Page, error)
}

// Judge tells how well labels fit a picture.
type Judge interface {
	// Judge returns a score for each label, in their order; the scores of those that it supports sum to 1. Missing
	// weights are fault.Unavailable.
	Judge(ctx context.Context, img image.Image, labels []string) ([]picture.Score, error)
}

// Queue lets work in when it is its turn; schedule.Queue is one.
type Queue interface {
	Do(ctx context.Context, work func(context.Context) error) error
}

// Config is what a Service needs.
type Config struct {
	Readers  map[string]Reader // by name; the request's "engine" chooses
	Reader   string            // the one used when it names none
	Judges   map[string]Judge  // likewise
	Judge    string
	Language string   // of the text, when the request names none: "fr", "fra+eng"
	Labels   []string // asked for when the request has none; nil means a French set
	Queue    Queue    // bounds how many pictures are decoded and looked at at once
	SpoolDir string   // for bodies too long for memory; empty means the system's own
}

// Service answers the routes of this section.
type Service struct{ cfg Config }

// New returns the service.
func New(cfg Config) *Service {
	if cfg.Labels == nil {
		cfg.Labels = usualLabels()
	}
	return &Service{cfg}
}

// usualLabels is what a picture is compared with when nobody says what it might show.
func usualLabels() []string {
	return []string{
		"chat", "chien", "oiseau", "poisson", "cheval", "vache", "singe", "ours", "éléphant", "serpent", "grenouille",
		"tortue", "papillon", "insecte", "araignée", "crustacé", "voiture", "camion", "autobus", "vélo", "moto", "train",
		"avion", "bateau", "fusée", "chaise", "canapé", "lit", "table", "lampe", "horloge", "ordinateur", "téléphone",
		"télévision", "livre", "bouteille", "tasse", "café", "vin", "pain", "pizza", "fruit", "légume",
		"dessert", "champignon", "chaussure", "chapeau", "robe", "sac", "parapluie", "ballon", "instrument de musique",
		"outil", "montagne", "plage", "maison", "église", "pont", "tour", "barrière",
	}
}

// upload reads the request into a T and its picture, whose head is checked.
func upload[T any](s *Service, r *http.Request, check func(T) error) (T, []byte, error) {
	const field = "image"
	req, blobs, err := httpx.ReadBlobs[T](r, s.cfg.SpoolDir, field)
	if err != nil {
		return req, nil, err
	}
	defer blobs.Close()
	if err := check(req); err != nil {
		return req, nil, err
	}
	if blobs[field] == nil {
		return req, nil, fault.Field(field, "image is missing; it must be a picture in base64")
	}
	b, err := io.ReadAll(blobs[field].Open())
	if err != nil {
		return req, nil, err
	}
	_, err = picture.Inspect(b)
	return req, b, blame(err)
}

// blame says which field a picture's fault is about.
func blame(err error) error {
	if err == nil {
		return nil
	}
	f := *fault.As(err)
	if f.Kind == fault.Unsupported || f.Kind == fault.TooLarge {
		f.Param = "image"
		return &f
	}
	return err
}

// look decodes a picture and works on it when it is its turn.
func (s *Service) look(
	ctx context.Context, b []byte, work func(context.Context, image.Image, picture.Info) error,
) error {
	return s.cfg.Queue.Do(schedule.With(ctx, schedule.Batch), func(ctx context.Context) error {
		img, info, err := picture.Decode(ctx, b)
		if err != nil {
			return blame(err)
		}
		return work(ctx, img, info)
	})
}

// choose returns the engine that a request names, or the usual one, with its name.
func choose[E any](engines map[string]E, name, usual string) (E, string, error) {
	if name == "" {
		name = usual
	}
	e, ok := engines[name]
	if !ok {
		return e, name, fault.Field("engine", "there is no engine %.40q; there is: %s", name, names(engines))
	}
	return e, name, nil
}
