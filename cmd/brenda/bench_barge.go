package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"time"

	"brenda/audio"
	"brenda/pipeline"
)

// The kinds of sound that are made over answers.
const (
	noiseKind  = "noise"
	coughKind  = "cough"
	assentKind = "backchannel"
	speechKind = "interruption" // the only one that must cut
)

// bargeSound is a sound that somebody makes while Brenda speaks.
type bargeSound struct {
	kind string
	clip benchClip
}

// bargeTrial is what came of one.
type bargeTrial struct {
	Kind  string `json:"kind"`
	Sound string `json:"sound"`
	Error string `json:"error,omitempty"`
	Cut   bool   `json:"cut"` // the answer was cut
	// In milliseconds after the beginning of the sound: when the last of the answer's sound came (0: before that), when the
	// answer was said to be cancelled, and when that somebody speaks, at which clients stop what they play.
	Silence   float64 `json:"silence"`
	Cancelled float64 `json:"cancelled"`
	Told      float64 `json:"told"`
}

// interruptions makes every sound over an answer of its own, as many of each kind as there are clips.
func (to benchTarget) interruptions(
	ctx context.Context, env *environment, in *instance, clips []benchClip,
) ([]bargeTrial, error) {
	sounds := disturbances(len(clips))
	for _, c := range clips {
		sounds = append(sounds, bargeSound{speechKind, c})
	}
	if in != nil {
		said, err := assents(ctx, in.engines.scheduled.Voice, len(clips))
		if err != nil {
			return nil, err
		}
		sounds = append(sounds, said...)
	}
	var trials []bargeTrial
	for i, s := range sounds {
		t, err := to.barge(ctx, s)
		if ctx.Err() != nil {
			return trials, context.Cause(ctx)
		}
		if err != nil {
			t.Error = err.Error()
		}
		trials = append(trials, t)
		env.log.Info("interruption measured", "number", i+1, "of", len(sounds), "kind", t.Kind, "sound", t.Sound,
			"cut", t.Cut, "error", t.Error)
	}
	return trials, nil
}

// barge has a long answer spoken, makes the sound a second after it began, and waits for what comes of that.
func (to benchTarget) barge(ctx context.Context, s bargeSound) (bargeTrial, error) {
	t := bargeTrial{Kind: s.kind, Sound: s.clip.File}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	c, err := to.dial(ctx)
	if err != nil {
		return t, err
	}
	defer c.close()
	if err := c.ask(ctx); err != nil {
		return t, err
	}
	began, err := c.say(ctx, s.clip.pcm)
	if err != nil {
		return t, err
	}
	err = c.watch(ctx, &t, began.Add(s.clip.from), began.Add(s.clip.length()))
	return t, err
}

// ask has something told at length, and returns when a second of it has been spoken.
func (c *benchCall) ask(ctx context.Context) error {
	type object = map[string]any
	err := errors.Join(
		c.send(ctx, object{"type": "conversation.item.create", "item": object{
			"type": "message", "role": "user",
			"content": []object{{"type": "input_text", "text": "Raconte-moi l'histoire de la ville de Paris."}},
		}}),
		c.send(ctx, object{"type": "response.create", "response": object{
			"instructions": "Tu racontes longuement, en français, en phrases simples, au moins dix phrases.",
		}}))
	if err != nil {
		return err
	}
	var speaking <-chan time.Time
	for {
		select {
		case ev, open := <-c.events:
			switch {
			case !open:
				return c.err
			case ev.Type == "error" || ev.Type == "response.done":
				return fmt.Errorf("no long answer: %s %s", ev.Type, ev.Error)
			case ev.Type == "response.output_audio.delta" && speaking == nil:
				speaking = time.After(time.Second)
			}
		case <-speaking:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// verdictTime is how long after a sound the answer may still be cut because of it.
const verdictTime = 2500 * time.Millisecond

// watch notes what comes of a sound that began and ended at these times.
func (c *benchCall) watch(ctx context.Context, t *bargeTrial, began, over time.Time) error {
	late := time.NewTimer(time.Until(over.Add(verdictTime)))
	defer late.Stop()
	since := func(at time.Time) float64 { return milliseconds(at.Sub(began)) }
	for {
		select {
		case ev, open := <-c.events:
			switch {
			case !open:
				return c.err
			case ev.Type == "response.output_audio.delta":
				t.Silence = max(since(ev.at), 0)
			case ev.Type == "input_audio_buffer.speech_started":
				t.Told = since(ev.at)
			case ev.Type == "response.done" && ev.Response.Status == "cancelled":
				t.Cut, t.Cancelled = true, since(ev.at)
			case ev.Type == "response.done" && ev.at.Before(over):
				return fmt.Errorf("the answer was too short: %s", ev.Response.Status)
			case ev.Type == "response.done":
				return nil
			}
			if t.Cut && t.Told != 0 {
				return nil
			}
		case <-late.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// disturbances are noises and coughs, the same ones each time.
func disturbances(rounds int) []bargeSound {
	var out []bargeSound
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same noise each time
	for i := range rounds {
		name := fmt.Sprintf("number %d", i+1)
		loud := 0.02 * math.Pow(2, float64(i%4)) // −34…−16 dB
		out = append(out,
			bargeSound{noiseKind, benchClip{File: name, pcm: rumble(random, loud, benchRate*3/2)}},
			bargeSound{coughKind, benchClip{File: name, pcm: cough(random)}})
	}
	return out
}

// rumble is noise with more low tones than high ones, as rooms and streets have.
func rumble(random *rand.Rand, loud float64, samples int) []float32 {
	pcm := make([]float32, samples)
	low := 0.0
	for i := range pcm {
		low += 0.05 * (random.NormFloat64() - low)
		pcm[i] = float32(loud * (5*low + 0.2*random.NormFloat64()))
	}
	audio.SoftClip(pcm)
	return pcm
}

// cough is two bursts of breath, each with a sudden beginning and a quick end.
func cough(random *rand.Rand) []float32 {
	burst := func(seconds, loud float64) []float32 {
		pcm := rumble(random, loud, int(seconds*benchRate))
		for i := range pcm {
			pcm[i] *= float32(math.Exp(-float64(i) / benchRate / (seconds / 4)))
		}
		return pcm
	}
	first := burst(0.25+0.1*random.Float64(), 0.5)
	return append(first, burst(0.2+0.1*random.Float64(), 0.35)...)
}

// assents are what a listener says without wanting to interrupt, spoken by the voice.
func assents(ctx context.Context, voice pipeline.Synthesizer, rounds int) ([]bargeSound, error) {
	words := []string{"Oui.", "D'accord.", "Ah oui.", "Très bien.", "Je vois."}
	var out []bargeSound
	for i := range rounds {
		word := words[i%len(words)]
		var pcm []float32
		err := voice.Synthesize(ctx, pipeline.Line{Text: word, Language: "fr"}, func(part []float32) error {
			pcm = append(pcm, part...)
			return nil
		})
		if err != nil {
			return nil, err
		}
		out = append(out, bargeSound{assentKind, benchClip{File: word, pcm: pcm}})
	}
	return out, nil
}

// printBarge writes what came of all sounds.
func printBarge(out io.Writer, trials []bargeTrial) error {
	for _, kind := range []string{noiseKind, coughKind, assentKind, speechKind} {
		all, cut := 0, 0
		for _, t := range trials {
			switch {
			case t.Kind != kind:
				continue
			case t.Error != "":
				fmt.Fprintf(out, "failed: %s, %s: %s\n", t.Kind, t.Sound, t.Error)
				continue
			case t.Cut && kind != speechKind:
				fmt.Fprintf(out, "cut by %s, %s, after %.0f ms\n", t.Kind, t.Sound, t.Cancelled)
			case !t.Cut && kind == speechKind:
				fmt.Fprintf(out, "not interrupted by %s\n", t.Sound)
			}
			all++
			if t.Cut {
				cut++
			}
		}
		if all > 0 {
			fmt.Fprintf(out, "%-13s cut %2d of %2d answers\n", kind, cut, all)
		}
	}
	cut := func(value func(bargeTrial) float64) []float64 {
		return each(trials, func(t bargeTrial) (float64, bool) {
			return value(t), t.Kind == speechKind && t.Cut && t.Error == ""
		})
	}
	fmt.Fprintln(out, "times after the beginning of an interruption")
	return printLines(out, []benchLine{
		line("last sound received", "ms", cut(func(t bargeTrial) float64 { return t.Silence })),
		line("told: answer cancelled", "ms", cut(func(t bargeTrial) float64 { return t.Cancelled })),
		line("told: somebody speaks", "ms", cut(func(t bargeTrial) float64 { return t.Told })),
	})
}
