// Package enginetest holds one conformance suite per port of package pipeline. Fakes and real engines pass
// the same.
package enginetest

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"brenda/pipeline"
	"brenda/pipeline/fault"
)

// Generator checks that g keeps the promises of pipeline.Generator. contextTokens is the model's context: a
// prompt of that many words must be refused. The suite takes a few dozen tokens of a real model, and looks at
// no clock: prompt means before the next token.
func Generator(t *testing.T, g pipeline.Generator, contextTokens int) {
	t.Helper()
	s := generatorSuite{g: g, context: contextTokens}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("answers", s.answers)
	t.Run("stops at the token limit", s.stopsAtLimit)
	t.Run("does nothing for a dead context", s.deadContext)
	t.Run("stops before the next token", s.stopsBeforeNextToken)
	t.Run("returns the error of emit", s.returnsErrorOfEmit)
	t.Run("serves several at once", s.servesSeveral)
	t.Run("refuses an unknown model", s.refusesUnknownModel)
	t.Run("refuses a prompt beyond its context", s.refusesLongPrompt)
}

type generatorSuite struct {
	g       pipeline.Generator
	context int
}

// listener is an emit that checks how it is called.
type listener struct {
	t      *testing.T
	text   strings.Builder
	wanted []pipeline.ToolCall
	calls  int
	inside atomic.Bool
	over   atomic.Bool
	then   func() error // what to do on each delta; may be nil
}

func (l *listener) emit(d pipeline.Delta) error {
	if !l.inside.CompareAndSwap(false, true) {
		l.t.Error("emit was called before its last call returned")
	}
	defer l.inside.Store(false)
	if l.over.Load() {
		l.t.Error("emit was called after Generate had returned")
	}
	if (d.Text == "") == (d.Call == nil) {
		l.t.Error("emit was given an empty delta, or text and call at once")
	}
	l.calls++
	l.text.WriteString(d.Text)
	if d.Call != nil {
		l.call(*d.Call)
	}
	if l.then != nil {
		return l.then()
	}
	return nil
}

func (s generatorSuite) run(
	ctx context.Context, l *listener, p pipeline.Prompt,
) (pipeline.Completion, error) {
	done, err := s.g.Generate(ctx, p, l.emit)
	l.over.Store(true)
	return done, err
}

// tale makes any model write for long.
func tale(maxTokens int) pipeline.Prompt {
	zero := 0.0
	return pipeline.Prompt{
		Messages: []pipeline.Message{
			{Role: "system", Content: "Tu es un conteur."},
			{Role: "user", Content: "Raconte une très longue histoire de marins."},
		},
		MaxTokens: maxTokens, Temperature: &zero,
	}
}

func (s generatorSuite) answers(t *testing.T) {
	l := &listener{t: t}
	p := tale(16)
	done, err := s.run(t.Context(), l, p)
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(l.text.String()) == "" {
		t.Error("no text")
	}
	if done.FinishReason != "stop" && done.FinishReason != "length" {
		t.Errorf("FinishReason = %q, want stop or length", done.FinishReason)
	}
	u := done.Usage
	if u.PromptTokens <= 0 || u.CompletionTokens <= 0 || u.TotalTokens != u.PromptTokens+u.CompletionTokens {
		t.Errorf("usage does not add up: %+v", u)
	}
	if u.CachedTokens < 0 || u.CachedTokens > u.PromptTokens {
		t.Errorf("usage claims more cached tokens than there were: %+v", u)
	}
}

func (s generatorSuite) stopsAtLimit(t *testing.T) {
	done, err := s.run(t.Context(), &listener{t: t}, tale(2))
	if err != nil {
		t.Fatal(err)
	}
	if done.FinishReason != "length" || done.Usage.CompletionTokens > 2 {
		t.Errorf("asked for 2 tokens: %+v", done)
	}
}

func (s generatorSuite) deadContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fault.ErrBargeIn)
	l := &listener{t: t}
	_, err := s.run(ctx, l, tale(4))
	wantCancelled(t, err)
	if l.calls != 0 {
		t.Errorf("emit was called %d times", l.calls)
	}
}

func (s generatorSuite) stopsBeforeNextToken(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	l := &listener{t: t, then: func() error {
		cancel(fault.ErrBargeIn)
		return nil
	}}
	_, err := s.run(ctx, l, tale(200))
	wantCancelled(t, err)
	if l.calls != 1 {
		t.Errorf("emit was called %d times, want once: then the context ended", l.calls)
	}
}

// wantCancelled wants the end of the context to be told from a failure. An engine may return the context's
// cause or wrap it.
func wantCancelled(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, fault.ErrBargeIn) || fault.KindOf(err) != fault.Cancelled {
		t.Errorf("error = %v (kind %v), want the context's cause", err, fault.KindOf(err))
	}
}

func (s generatorSuite) returnsErrorOfEmit(t *testing.T) {
	full := errors.New("the receiver is full")
	l := &listener{t: t, then: func() error { return full }}
	_, err := s.run(t.Context(), l, tale(200))
	if !errors.Is(err, full) {
		t.Errorf("error = %v, want emit's", err)
	}
	if l.calls != 1 {
		t.Errorf("emit was called %d times, want once: it failed", l.calls)
	}
}

func (s generatorSuite) servesSeveral(t *testing.T) {
	const callers = 4
	errs := make(chan error, callers)
	for i := range callers {
		go func() {
			p := tale(4)
			p.Affinity = string(rune('a' + i))
			l := &listener{t: t}
			_, err := s.run(t.Context(), l, p)
			if err == nil && l.calls == 0 {
				err = errors.New("no text")
			}
			errs <- err
		}()
	}
	for range callers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func (s generatorSuite) refusesUnknownModel(t *testing.T) {
	p := tale(2)
	p.Model = "no-such-model"
	l := &listener{t: t}
	_, err := s.run(t.Context(), l, p)
	if fault.KindOf(err) != fault.NotFound {
		t.Errorf("error = %v, want fault.NotFound", err)
	}
	if l.calls != 0 {
		t.Errorf("emit was called %d times", l.calls)
	}
}

func (s generatorSuite) refusesLongPrompt(t *testing.T) {
	p := tale(2)
	p.Messages[1].Content = strings.Repeat("bateau ", s.context+1)
	l := &listener{t: t}
	_, err := s.run(t.Context(), l, p)
	if e := fault.As(err); e == nil || e.Kind != fault.Invalid || e.Code != "context_length_exceeded" {
		t.Errorf("error = %v, want fault.Invalid with code context_length_exceeded", err)
	}
	if l.calls != 0 {
		t.Errorf("emit was called %d times", l.calls)
	}
}
