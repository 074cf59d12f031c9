// Package openaiimages has servers make pictures that speak OpenAI's interface of images, /v1/images: OpenAI's own,
// LocalAI, stable-diffusion.cpp's server. That interface knows neither steps nor seeds, tells of no progress, and is
// cancelled by closing the connection.
package openaiimages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime/multipart"
	"net/textproto"
	"slices"
	"strings"

	"brenda/pipeline"
	"brenda/pipeline/engine/imagepeer"
)

// Engine is a pipeline.Painter. It may be used from many goroutines and owns none.
type Engine struct {
	peer  *imagepeer.Peer
	model string
}

// New returns the engine of a server, which need not be up. model is asked for when a painting names none; empty leaves
// the choice to the server.
func New(cfg imagepeer.Config, model string) (*Engine, error) {
	p, err := imagepeer.New(cfg)
	if err != nil {
		return nil, err
	}
	return &Engine{peer: p, model: model}, nil
}

// Palette implements pipeline.Painter. Where a server lists its picture models among others, only they are told.
func (e *Engine) Palette(ctx context.Context) (pipeline.Palette, error) {
	out := pipeline.Palette{Lacks: []string{"steps", "strength", "seed", "cfg_scale", "sampler"}}
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := e.peer.Get(ctx, "/v1/models", &list); err != nil {
		return out, fmt.Errorf("image models: %w", err)
	}
	if list.Data == nil {
		return out, imagepeer.Broken(errors.New("this is no list of models"))
	}
	var others []string
	for _, m := range list.Data {
		if dalle(m.ID) || strings.Contains(m.ID, "image") {
			out.Models = append(out.Models, m.ID)
		} else {
			others = append(others, m.ID)
		}
	}
	if len(out.Models) == 0 {
		out.Models = others
	}
	if e.model != "" && !slices.Contains(out.Models, e.model) {
		out.Models = append(out.Models, e.model) // some serve models that they do not list
	}
	return out, nil
}

func dalle(model string) bool { return strings.HasPrefix(model, "dall-e") }

// answer of both requests, as far as it matters.
type answer struct {
	Data []struct {
		Base64 string `json:"b64_json"`
	} `json:"data"`
}

// Paint implements pipeline.Painter. What must not be seen is said in the prompt.
func (e *Engine) Paint(
	ctx context.Context, p pipeline.Painting, emit func(pipeline.PaintStep) error,
) ([]byte, error) {
	if err := emit(pipeline.PaintStep{State: pipeline.PaintGenerating, Steps: p.Steps}); err != nil {
		return nil, err
	}
	var out answer
	err := e.ask(ctx, e.fields(p), p.Source, &out)
	switch {
	case err != nil:
		return nil, fmt.Errorf("paint: %w", err)
	case len(out.Data) == 0 || out.Data[0].Base64 == "":
		return nil, imagepeer.Broken(imagepeer.ErrNoPicture) // an address is not followed: it may lead anywhere
	}
	return imagepeer.Picture(out.Data[0].Base64)
}

// fields are what both requests have.
func (e *Engine) fields(p pipeline.Painting) map[string]string {
	prompt := p.Prompt
	if p.Negative != "" {
		prompt += "\n\nAvoid: " + p.Negative
	}
	f := map[string]string{"prompt": prompt, "size": fmt.Sprintf("%dx%d", p.Width, p.Height)}
	model := p.Model
	if model == "" {
		model = e.model
	}
	if model != "" {
		f["model"] = model
	}
	if dalle(model) { // these send an address otherwise, and the newer ones refuse the field
		f["response_format"] = "b64_json"
	} else {
		f["output_format"] = "png"
	}
	return f
}

func (e *Engine) ask(ctx context.Context, fields map[string]string, source []byte, out *answer) error {
	if source == nil {
		return e.peer.Post(ctx, "/v1/images/generations", fields, out)
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range fields {
		if err := form.WriteField(name, value); err != nil {
			return err
		}
	}
	part, err := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="image"; filename="source.png"`}, "Content-Type": {"image/png"},
	})
	if err != nil {
		return err
	}
	if _, err := part.Write(source); err != nil {
		return err
	}
	if err := form.Close(); err != nil {
		return err
	}
	return e.peer.PostForm(ctx, "/v1/images/edits", form.FormDataContentType(), body.Bytes(), out)
}
