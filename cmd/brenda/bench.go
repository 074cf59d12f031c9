package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"brenda/pipeline"
)

// benchCmd measures Brenda as a person on the line would: with a stopwatch outside the server.
type benchCmd struct {
	Turns    benchTurnsCmd    `cmd:"" help:"Speak recorded prompts, and over answers: where the time goes, and what is lost."`
	Sessions benchSessionsCmd `cmd:"" help:"Have more and more people talk at the same time, and say when it becomes too many."`
	Carrier  benchCarrierCmd  `cmd:"" hidden:""`
}

// benchSource is what measurements are made of.
type benchSource struct {
	Speech string `placeholder:"DIR" help:"Recorded speech made by deploy/test-speech.sh; default: speech beside the models."`
	URL    string `placeholder:"ws://…" help:"Measure a server that runs elsewhere; default: one started for this."`
	JSON   bool   `help:"As JSON."`
}

// clips returns n recorded prompts.
func (b *benchSource) clips(env *environment, n int) ([]benchClip, error) {
	dir := b.Speech
	if dir == "" {
		dir = filepath.Join(filepath.Dir(env.Models.Dir), "speech")
	}
	return benchClips(dir, n)
}

// server returns where to call, and the server itself if it was started here. done ends it.
func (b *benchSource) server(ctx context.Context, env *environment) (to benchTarget, in *instance, done func(), err error) {
	if b.URL != "" {
		to.url = b.URL
		if len(env.Tokens) > 0 {
			to.header = http.Header{"Authorization": {"Bearer " + string(env.Tokens[0])}}
		}
		return to, nil, func() {}, nil
	}
	in, addr, done, err := benchServer(ctx, env)
	to.url = "ws://" + addr + "/v1/realtime"
	return to, in, done, err
}

// benchServer starts a server in this process, with conversations of its own that are gone afterwards, and returns it
// warm.
func benchServer(ctx context.Context, env *environment) (in *instance, addr string, done func(), err error) {
	data, err := os.MkdirTemp("", "brenda-bench-*")
	if err != nil {
		return nil, "", nil, err
	}
	remove := func() { _ = os.RemoveAll(data) }
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		remove()
		return nil, "", nil, err
	}
	cfg := *env.config
	cfg.Data, cfg.Listen, cfg.Tokens, cfg.TLS = data, ln.Addr().String(), nil, tlsConfig{}
	in, err = newInstance(ctx, &cfg, quieter(env.log))
	if err != nil {
		remove()
		return nil, "", nil, errors.Join(err, ln.Close())
	}
	ctx, stop := context.WithCancel(ctx)
	ended, ready := make(chan error, 1), make(chan struct{})
	go func() {
		ended <- in.serve(ctx, ln, parts{LLM: true, STT: true, TTS: true}, func() { close(ready) })
	}()
	done = func() {
		stop()
		if err := <-ended; err != nil {
			env.log.Warn("ending", "error", err)
		}
		remove()
	}
	select {
	case <-ready:
		return in, cfg.Listen, done, nil
	case <-in.stuck:
		err = fmt.Errorf("%w; see: brenda doctor", in.stuckErr)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	done()
	return nil, "", nil, err
}

// benchTurnsCmd measures whole turns, and interruptions.
type benchTurnsCmd struct {
	benchSource `embed:""`

	Prompts   int `default:"30" help:"How many prompts are spoken; 0: none."`
	MaxTokens int `placeholder:"N" help:"The longest answer to a prompt, in tokens; default: the server's."`
	Barge     int `default:"5" help:"How often each kind of sound is made over an answer, after the prompts; 0: not at all."`
}

// Run speaks the prompts one after the other, then makes sounds over answers, and prints what was measured.
func (b *benchTurnsCmd) Run(ctx context.Context, env *environment) error {
	clips, err := b.clips(env, b.Prompts)
	if err != nil {
		return err
	}
	over, err := b.clips(env, b.Barge)
	if err != nil {
		return err
	}
	to, in, done, err := b.server(ctx, env)
	if err != nil {
		return err
	}
	defer done()
	short := to
	short.maxTokens = b.MaxTokens
	report := benchReport{Settings: benchSettings(env, in)}
	err = report.measure(ctx, env, short, in, clips) // what was measured before it is told of all the same
	if err == nil {
		report.Barge, err = to.interruptions(ctx, env, in, over)
	}
	if b.JSON {
		return errors.Join(err, printJSON(env.out, report.withSummary()))
	}
	return errors.Join(err, report.print(env.out))
}

// measure has every prompt answered, and the bare engines beside that where they are of this process.
func (r *benchReport) measure(ctx context.Context, env *environment, to benchTarget, in *instance, clips []benchClip) error {
	for i, clip := range clips {
		t, err := to.timed(ctx, clip, in != nil)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			t.Error = err.Error()
		}
		r.Turns = append(r.Turns, t)
		env.log.Info("turn measured", "number", i+1, "of", len(clips), "file", clip.File, "first_audio", t.FirstAudio,
			"error", t.Error)
		if in == nil {
			continue
		}
		if t.firstWordMissed() {
			whole, err := in.engines.ear.STT.Transcribe(ctx, pipeline.Speech{PCM: clip.listening(), Language: env.STT.Language})
			if err != nil {
				return fmt.Errorf("a whole recording: %w", err)
			}
			r.Turns[i].Whole = whole.Text
		}
		// Another prompt than the one just spoken: the language model still has that one in its cache.
		raw, err := benchRawChain(ctx, in.engines, clips[(i+len(clips)/2)%len(clips)], i)
		if err != nil {
			return fmt.Errorf("the bare engines: %w", err)
		}
		r.Raw = append(r.Raw, raw)
	}
	return nil
}

// timed has one prompt answered, and notes what it cost where the server is of this process.
func (to benchTarget) timed(ctx context.Context, clip benchClip, here bool) (benchTurn, error) {
	before := 0.0
	if here {
		before = processorSeconds(os.Getpid())
	}
	ctx, cancel := context.WithTimeout(ctx, clip.length()+2*time.Minute)
	defer cancel()
	t, err := to.turn(ctx, clip)
	if here {
		t.CPU = processorSeconds(os.Getpid()) - before
	}
	return t, err
}
