package realtime

import (
	"context"
	"math"
	"strings"
	"unicode/utf8"

	"brenda/pipeline"
	"brenda/pipeline/hearing"
	"brenda/pipeline/session"
	"brenda/realtime/protocol"
)

// entry is one message of a conversation as a prompt wants it. Its text may not be known yet.
type entry struct {
	role, text string
	words      *words // nil when text is all
	call       *pipeline.ToolCall
	answers    string // the call that this is the result of
}

// nudge stands where nobody has said anything that could be answered: a model answers only people.
const nudge = "À toi de parler."

// compose returns what makes the prompt of a response, out of the conversation as it is now. user is what was said besides.
func (c *call) compose(
	cfg protocol.ResponseConfig, user string,
) func(context.Context, string) (pipeline.Prompt, error) {
	list := c.items.list
	if cfg.HasInput {
		list = c.refer(cfg.Input)
	}
	system := []string{cfg.Instructions}
	var entries []entry
	if !cfg.HasInput {
		entries = pastEntries(c.past)
	}
	for _, it := range list {
		switch {
		case it.Type == protocol.FunctionCall && it.Status == protocol.Completed:
			call := pipeline.ToolCall{ID: it.CallID, Name: it.Name, Arguments: it.Arguments}
			entries = append(entries, entry{role: protocol.Assistant, call: &call})
		case it.Type == protocol.FunctionCallOutput:
			entries = append(entries, entry{role: roleTool, text: it.Output, answers: it.CallID})
		case it.Type != protocol.Message, it.noise:
		case it.Role == protocol.System:
			system = append(system, it.text())
		default:
			e := entry{role: it.Role, text: it.text(), words: it.words}
			if it.cut && e.text != "" {
				e.text += " …"
			}
			entries = append(entries, e)
		}
	}
	if user != "" {
		entries = append(entries, entry{role: protocol.User, text: user})
	}
	p := pipeline.Prompt{
		MaxTokens: c.srv.cfg.MaxTokens, Affinity: c.id, Tools: toolsOf(cfg.Tools), OneCall: !cfg.ParallelCalls,
		ToolChoice: pipeline.ToolChoice{Mode: cfg.ToolChoice.Mode, Name: cfg.ToolChoice.Name},
	}
	if n := int(cfg.MaxOutputTokens); n > 0 {
		p.MaxTokens = min(p.MaxTokens, n)
	}
	if c.cfg.Model != c.names.Model {
		p.Model = c.cfg.Model
	}
	const usual = 0.8 // the protocol's default, which says nothing about what suits the model here
	if t := cfg.Temperature; t != usual {
		p.Temperature = &t
	}
	budget := c.srv.cfg.ContextTokens - p.MaxTokens - toolTokens(p.Tools)
	head := strings.TrimSpace(strings.Join(system, "\n\n"))
	return func(ctx context.Context, _ string) (pipeline.Prompt, error) {
		ms, err := known(ctx, entries)
		if err != nil {
			return p, err
		}
		p.Messages = crop(head, ms, budget, cfg.Cut)
		return p, nil
	}
}

// refer returns the items of a response's own input.
func (c *call) refer(input []protocol.Item) []*item {
	var out []*item
	for i := range input {
		if input[i].Type != protocol.ItemReference {
			out = append(out, &item{Item: input[i]})
		} else if it, _ := c.items.find(input[i].ID); it != nil {
			out = append(out, it)
		}
	}
	return out
}

func pastEntries(past []session.Turn) []entry {
	var out []entry
	for _, t := range past {
		for _, m := range t.Messages() {
			e := entry{role: m.Role, text: m.Content, answers: m.ToolCallID}
			if len(m.ToolCalls) == 0 {
				out = append(out, e)
			}
			for i := range m.ToolCalls {
				out = append(out, entry{role: m.Role, call: &m.ToolCalls[i]})
			}
		}
	}
	return out
}

// known waits until it is known what was said, and returns the messages: those without words are left out, and
// neighbours of one role are one message, as the templates of many models want it.
func known(ctx context.Context, entries []entry) ([]pipeline.Message, error) {
	var ms []pipeline.Message
	for i, e := range entries {
		if e.words != nil && e.text == "" {
			select {
			case <-e.words.ready:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
			e.text = e.words.text
			newest := i == len(entries)-1
			switch {
			case newest && e.words.err != nil:
				return nil, e.words.err
			case newest && e.text == "":
				return nil, hearing.ErrNoSpeech()
			}
		}
		n := len(ms)
		switch {
		case e.call != nil && n > 0 && len(ms[n-1].ToolCalls) > 0: // calls at the same time
			ms[n-1].ToolCalls = append(ms[n-1].ToolCalls, *e.call)
		case e.call != nil:
			ms = session.Join(ms, pipeline.Message{Role: e.role, ToolCalls: []pipeline.ToolCall{*e.call}})
		case e.role == roleTool:
			ms = append(ms, pipeline.Message{Role: e.role, Content: e.text, ToolCallID: e.answers})
		case e.text != "":
			ms = session.Join(ms, pipeline.Message{Role: e.role, Content: e.text})
		}
	}
	ms = answered(ms)
	if n := len(ms); n == 0 || ms[n-1].Role == protocol.Assistant {
		ms = append(ms, pipeline.Message{Role: protocol.User, Content: nudge})
	}
	return ms, nil
}

// crop is fit by the session's own rule.
func crop(system string, ms []pipeline.Message, budget int, rule protocol.Cut) []pipeline.Message {
	if rule.Off {
		return fit(system, ms, math.MaxInt)
	}
	head, whole := tokens(system), 0
	for _, m := range ms {
		whole += messageTokens(m)
	}
	if rule.Limit > 0 {
		budget = min(budget, head+rule.Limit)
	}
	if head+whole > budget {
		budget = head + int(float64(budget-head)*rule.Retain)
	}
	return fit(system, ms, budget)
}

// fit returns the system prompt and as many of the newest messages as fit into budget tokens, beginning with the person's.
// What the person said last stays, with all that came after it.
func fit(system string, ms []pipeline.Message, budget int) []pipeline.Message {
	budget -= tokens(system)
	last := len(ms) - 1
	for last > 0 && ms[last].Role != protocol.User {
		last--
	}
	first := last
	for _, m := range ms[last:] {
		budget -= messageTokens(m)
	}
	for first > 0 && budget >= messageTokens(ms[first-1]) {
		first--
		budget -= messageTokens(ms[first])
	}
	for first < last && ms[first].Role != protocol.User {
		first++
	}
	var out []pipeline.Message
	if system != "" {
		out = append(out, pipeline.Message{Role: protocol.System, Content: system})
	}
	return append(out, ms[first:]...)
}

func messageTokens(m pipeline.Message) int {
	n := tokens(m.Content)
	for _, c := range m.ToolCalls {
		n += tokens(c.Name) + tokens(c.Arguments)
	}
	return n
}

// tokens estimates how many tokens a text is in a prompt; too high is better than too low.
func tokens(s string) int { return utf8.RuneCountInString(s)/3 + 8 }

// shorten drops the older half of the past, for a prompt that the estimate let through and the model did not.
func shorten(p pipeline.Prompt) (pipeline.Prompt, bool) { return session.Shorten(p) }
