package session

import (
	"context"
	"slices"
	"strconv"
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
	first := len(turns)
	for i, t := range slices.Backward(turns) {
		for _, m := range t.Messages() {
			budget -= tokens(m.Content)
		}
		if budget < 0 {
			break
		}
		first = i
	}
	for first < len(turns) && turns[first].User == "" { // a conversation begins with the person
		first++
	}
	var ms []pipeline.Message
	if system != "" {
		ms = append(ms, pipeline.Message{Role: "system", Content: system})
	}
	for i, t := range turns[first:] {
		next := user
		if i+1 < len(turns)-first {
			next = turns[first+i+1].User
		}
		if t.Assistant == "" && t.User == next {
			continue // it failed, and was asked again
		}
		ms = Join(ms, t.Messages()...)
	}
	return Join(ms, last)
}

// Messages returns the turn as a prompt has it.
func (t Turn) Messages() []pipeline.Message {
	var ms []pipeline.Message
	if t.User != "" {
		ms = append(ms, pipeline.Message{Role: "user", Content: t.User})
	}
	if len(t.Calls) > 0 {
		call := pipeline.Message{Role: "assistant"}
		var results []pipeline.Message
		for i, c := range t.Calls {
			id := "call_" + strconv.FormatUint(t.Number, 10) + "_" + strconv.Itoa(i)
			call.ToolCalls = append(call.ToolCalls, pipeline.ToolCall{ID: id, Name: c.Name, Arguments: c.Arguments})
			results = append(results, pipeline.Message{Role: "tool", ToolCallID: id, Content: c.Output})
		}
		ms = append(append(ms, call), results...)
	}
	if answer := t.Assistant; answer != "" {
		if t.Cut {
			answer += " …"
		}
		ms = append(ms, pipeline.Message{Role: "assistant", Content: answer})
	}
	return ms
}

// Join adds messages to a prompt. Neighbours that one side says without a call between become one message, as the
// templates of many models want it.
func Join(ms []pipeline.Message, more ...pipeline.Message) []pipeline.Message {
	for _, m := range more {
		n := len(ms)
		if n > 0 && ms[n-1].Role == m.Role && m.Role != "tool" && len(ms[n-1].ToolCalls) == 0 {
			before := &ms[n-1]
			if before.Content != "" && m.Content != "" {
				before.Content += "\n"
			}
			before.Content += m.Content
			before.ToolCalls = m.ToolCalls
			continue
		}
		ms = append(ms, m)
	}
	return ms
}

// Shorten drops the older half of the past, for a prompt that the estimate let through and the model did not. What the
// person said last stays, with all that came after it.
func Shorten(p pipeline.Prompt) (pipeline.Prompt, bool) {
	head := 0
	if len(p.Messages) > 0 && p.Messages[0].Role == "system" {
		head = 1
	}
	past := len(p.Messages) - head - 1
	for past > 0 && p.Messages[head+past].Role != "user" {
		past--
	}
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
