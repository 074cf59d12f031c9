package session

import (
	"context"
	"slices"
	"unicode/utf8"

	"brenda/pipeline"
)

// newTurn fixes all that a turn needs. before is the turn that it interrupts, if any.
func (l *live) newTurn(q Question, rec *Record, before *running) *pipeline.Turn {
	cfg := l.hub.cfg
	model := firstOf(q.Model, rec.Model)
	system := firstOf(q.System, cfg.System)
	language := firstOf(q.Language, cfg.Language)
	return &pipeline.Turn{
		Engines: l.hub.engines,
		Sound:   q.Sound, Text: q.Text, Mute: q.Mute,
		Listen:   pipeline.ListenOptions{Language: language, Quick: true},
		Voice:    firstOf(q.Voice, cfg.Voice),
		Language: language,
		Compose: func(ctx context.Context, user string) (pipeline.Prompt, error) {
			if before != nil { // what was heard of the interrupted answer belongs into the prompt
				select {
				case <-before.ended:
				case <-ctx.Done():
					return pipeline.Prompt{}, context.Cause(ctx)
				}
				if err := l.do(ctx, func(l *live) { *rec = *l.record(ctx) }); err != nil {
					return pipeline.Prompt{}, err
				}
			}
			ms := compose(system, rec.Turns, user, cfg.ContextTokens-cfg.MaxTokens)
			return pipeline.Prompt{Model: model, Messages: ms, MaxTokens: cfg.MaxTokens, Affinity: l.id}, nil
		},
		Shorten: Shorten,
	}
}

// compose returns the system prompt, as many of the newest turns as fit into budget tokens, and what the person says now.
func compose(system string, turns []Turn, user string, budget int) []pipeline.Message {
	last := pipeline.Message{Role: "user", Content: user}
	budget -= tokens(system) + tokens(user)
	var past []pipeline.Message // newest first
	for _, t := range slices.Backward(turns) {
		budget -= tokens(t.User) + tokens(t.Assistant)
		if budget < 0 {
			break
		}
		if t.Assistant != "" {
			answer := t.Assistant
			if t.Cut {
				answer += " …"
			}
			past = append(past, pipeline.Message{Role: "assistant", Content: answer})
		}
		past = append(past, pipeline.Message{Role: "user", Content: t.User})
	}
	slices.Reverse(past)
	ms := make([]pipeline.Message, 0, len(past)+2)
	if system != "" {
		ms = append(ms, pipeline.Message{Role: "system", Content: system})
	}
	return append(append(ms, past...), last)
}

// Shorten drops the older half of the past, for a prompt that the estimate let through and the model did not.
func Shorten(p pipeline.Prompt) (pipeline.Prompt, bool) {
	head := 0
	if len(p.Messages) > 0 && p.Messages[0].Role == "system" {
		head = 1
	}
	past := len(p.Messages) - head - 1
	if past <= 0 {
		return p, false
	}
	drop := (past + 1) / 2
	for drop < past && p.Messages[head+drop].Role != "user" { // a conversation begins with the person
		drop++
	}
	p.Messages = slices.Delete(slices.Clone(p.Messages), head, head+drop)
	return p, true
}

// tokens estimates how many tokens a message takes: French is about 3.3 characters a token in the vocabularies of today,
// and each message has a frame of a few tokens around it. Too high is better than too low.
func tokens(s string) int { return utf8.RuneCountInString(s)/3 + 8 }

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
