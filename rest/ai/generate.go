package ai

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"brenda/pipeline"
	"brenda/pipeline/fault"
	"brenda/rest/httpx"
	"brenda/rest/sound"
)

// request is the body of POST /v1/ai/generate. Temperature and max_tokens are ours.
type request struct {
	Model       string    `json:"model"`
	Messages    []message `json:"messages"`
	Stream      bool      `json:"stream"`
	Temperature *float64  `json:"temperature"`
	MaxTokens   *int      `json:"max_tokens"`
}

type message struct {
	Role    *string `json:"role"`
	Content *string `json:"content"`
}

func (q *request) check() error {
	if len(q.Messages) == 0 {
		return fault.Field("messages", "messages is missing; it must hold at least one message")
	}
	for i, m := range q.Messages {
		at := "messages[" + strconv.Itoa(i) + "]"
		switch {
		case m.Role == nil || !slices.Contains([]string{"system", "user", "assistant"}, *m.Role):
			return fault.Field(at+".role", "%s.role must be system, user or assistant", at)
		case m.Content == nil:
			return fault.Field(at+".content", "%s.content is missing; it must be a string", at)
		}
	}
	if t := q.Temperature; t != nil && (*t < 0 || *t > 2) {
		return fault.Field("temperature", "temperature must be between 0 and 2")
	}
	if n := q.MaxTokens; n != nil && *n < 1 {
		return fault.Field("max_tokens", "max_tokens must be at least 1")
	}
	return nil
}

func (q *request) prompt(model, affinity string) pipeline.Prompt {
	p := pipeline.Prompt{Model: model, Temperature: q.Temperature, Affinity: affinity}
	if q.MaxTokens != nil {
		p.MaxTokens = *q.MaxTokens
	}
	for _, m := range q.Messages {
		p.Messages = append(p.Messages, pipeline.Message{Role: *m.Role, Content: *m.Content})
	}
	return p
}

// Generate answers POST /v1/ai/generate: with the messages as given, apart from the session's own history.
// Several may run in one session.
func (s *Service) Generate(w http.ResponseWriter, r *http.Request) error {
	req, err := httpx.Read[request](r)
	if err != nil {
		return err
	}
	if err := req.check(); err != nil {
		return err
	}
	if err := s.find(r.Context(), "model", req.Model); err != nil {
		return err
	}
	id := httpx.InfoOf(r).SessionID
	ctx, done, err := s.sessions.Track(r.Context(), id)
	if err != nil {
		return err
	}
	defer done()
	model, err := s.model(ctx, id, req.Model)
	if err != nil {
		return err
	}
	p := req.prompt(model, id)
	if req.Stream {
		return s.stream(ctx, w, r, p)
	}
	return s.whole(ctx, w, r, p)
}

// model returns what to generate with: the model asked for, or the session's, or the default.
func (s *Service) model(ctx context.Context, id, asked string) (string, error) {
	if asked != "" {
		return asked, nil
	}
	info, err := s.sessions.Info(ctx, id)
	if err != nil {
		return "", err
	}
	if info.Model != "" {
		return info.Model, nil
	}
	return s.models.Default(), nil
}

// run generates, and makes an end on purpose an ordinary one.
func (s *Service) run(
	ctx context.Context, r *http.Request, p pipeline.Prompt, emit func(pipeline.Delta) error,
) (pipeline.Completion, error) {
	end, err := s.llm.Generate(ctx, p, emit)
	if err == nil {
		return end, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause // the engine knows only that it had to end
	}
	if cancelled(r, err) {
		end.FinishReason = "cancelled"
		return end, nil
	}
	return end, err
}

func (s *Service) stream(
	ctx context.Context, w http.ResponseWriter, r *http.Request, p pipeline.Prompt,
) error {
	out := httpx.NewStream(w)
	defer out.Close()
	end, err := s.run(ctx, r, p, func(d pipeline.Delta) error {
		if d.Text == "" {
			return nil
		}
		return out.Send(sound.Event{Type: "text", Content: d.Text})
	})
	if err != nil {
		return out.Fail(r, err)
	}
	last := sound.Event{Type: "done", Usage: &end.Usage, FinishReason: end.FinishReason}
	if err := out.Send(last); err != nil {
		return err
	}
	return out.Finish()
}

func (s *Service) whole(
	ctx context.Context, w http.ResponseWriter, r *http.Request, p pipeline.Prompt,
) error {
	var text strings.Builder
	end, err := s.run(ctx, r, p, func(d pipeline.Delta) error {
		text.WriteString(d.Text)
		return nil
	})
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, struct {
		Model        string           `json:"model"`
		Message      pipeline.Message `json:"message"`
		Usage        pipeline.Usage   `json:"usage"`
		FinishReason string           `json:"finish_reason"`
	}{p.Model, pipeline.Message{Role: "assistant", Content: text.String()}, end.Usage, end.FinishReason})
}
