package realtime

import (
	"math"
	"strings"
	"testing"
	"time"

	"brenda/audio"
	"brenda/pipeline"
	"brenda/realtime/protocol"
)

// tone returns a sine of 400 Hz.
func tone(rate int, d time.Duration) []float32 {
	pcm := make([]float32, int(d.Seconds()*float64(rate)))
	for i := range pcm {
		pcm[i] = 0.4 * float32(math.Sin(2*math.Pi*400*float64(i)/float64(rate)))
	}
	return pcm
}

// TestFormats sends a tone through each format in uneven pieces, and looks at what is listened to.
func TestFormats(t *testing.T) {
	for _, f := range []protocol.Format{
		{Type: protocol.PCM, Rate: 24000},
		{Type: protocol.PCM, Rate: 16000},
		{Type: protocol.PCM, Rate: 48000},
		{Type: protocol.MuLaw, Rate: 8000},
		{Type: protocol.ALaw, Rate: 8000},
	} {
		sound := encodeSound(f, tone(f.Rate, 2*time.Second))
		m, in := &microphone{vad: loudVAD{}}, input{}
		var got []float32
		for n := 1; len(sound) > 0; n = n%701 + 3 {
			n = min(n, len(sound))
			in = input{}
			m.hear(t.Context(), &in, f, sound[:n])
			if len(in.pcm) != len(in.probs)*pipeline.FrameSamples || in.err != nil {
				t.Fatalf("%v: %d samples, %d judgements, %v", f, len(in.pcm), len(in.probs), in.err)
			}
			got, sound = append(got, in.pcm...), sound[n:]
		}
		want := tone(pipeline.InputRate, 2*time.Second)[:len(got)]
		if len(got) < pipeline.InputRate*2-2*pipeline.FrameSamples {
			t.Errorf("%v: %d samples", f, len(got))
		}
		diff := make([]float32, len(got))
		for i := range got {
			diff[i] = got[i] - want[i]
		}
		if snr := audio.DB(audio.RMS(want)) - audio.DB(audio.RMS(diff[1000:])); snr < 30 {
			t.Errorf("%v: the tone is %.0f dB above what is wrong with it", f, snr)
		}
	}
}

func TestPlaybackInEachFormat(t *testing.T) {
	for _, f := range []protocol.Format{
		{Type: protocol.PCM, Rate: 24000}, {Type: protocol.PCM, Rate: 16000}, {Type: protocol.MuLaw, Rate: 8000},
	} {
		p := newPlayback(f)
		p.add(tone(pipeline.OutputRate, time.Second), "Bonjour à ")
		p.add(tone(pipeline.OutputRate, time.Second), "vous tous.")
		p.finish()
		if d := p.duration(p.total); d < 1990*time.Millisecond || d > 2010*time.Millisecond {
			t.Errorf("%v: %v of sound", f, d)
		}
		now := time.Now()
		for range 1000 {
			p.next(now)
			now = now.Add(10 * time.Millisecond)
		}
		if p.sent != p.total || len(p.queue) != 0 {
			t.Errorf("%v: %d of %d bytes were sent", f, p.sent, p.total)
		}
		for at, want := range map[time.Duration]string{
			0: "", 700 * time.Millisecond: "Bonjour", time.Second + 10*time.Millisecond: "Bonjour à",
			1600 * time.Millisecond: "Bonjour à vous", 3 * time.Second: "Bonjour à vous tous.",
		} {
			if got := p.heard(at); got != want {
				t.Errorf("%v: after %v %q was heard, not %q", f, at, got, want)
			}
		}
	}
}

func TestSoundIsBounded(t *testing.T) {
	var s sound
	frame := make([]float32, pipeline.FrameSamples)
	for i := range 5000 { // 160 s
		frame[0] = float32(i) / 8192
		s.push(frame, 0.9)
	}
	if d := s.length(); d > maxSound*5/4 || d < maxSound {
		t.Errorf("%v are kept", d)
	}
	got := s.from(s.end() - 2)
	if len(got.probs) != 2 || got.pcm[0] != 4998.0/8192 {
		t.Errorf("%d frames, the first is %v", len(got.probs), got.pcm[0])
	}
	s.keep(time.Second)
	if d := s.length(); d > 1300*time.Millisecond || cap(s.pcm) > 4*pipeline.InputRate {
		t.Errorf("%v are kept, in %d", d, cap(s.pcm))
	}
	s.clear()
	if s.length() != 0 || s.end() != 5000 {
		t.Errorf("%v are kept, the next is %d", s.length(), s.end())
	}
}

// TestViolations shows that each rule can fail.
func TestViolations(t *testing.T) {
	ev := func(kind string, body map[string]any) event {
		if body == nil {
			body = map[string]any{}
		}
		if _, ok := body["event_id"]; !ok {
			body["event_id"] = protocol.NewID("event")
		}
		return event{kind: kind, body: body}
	}
	resp := func(id string) map[string]any {
		return map[string]any{"response": map[string]any{"id": id, "conversation_id": "c"}}
	}
	of := func(id, item string) map[string]any {
		return map[string]any{"response_id": id, "item_id": item, "item": map[string]any{"id": item}}
	}
	for want, events := range map[string][]event{
		"event_id":            {ev("x", map[string]any{"event_id": ""})},
		"created twice":       {ev("response.created", resp("a")), ev("response.done", resp("a")), ev("response.created", resp("a"))},
		"another one":         {ev("response.created", resp("a")), ev("response.created", resp("b"))},
		"of a response that":  {ev("response.created", resp("a")), ev("response.done", resp("a")), ev("response.output_audio.done", of("a", "i"))},
		"before its item":     {ev("response.created", resp("a")), ev("response.output_audio.delta", of("a", "i"))},
		"added twice":         {ev("conversation.item.added", of("", "i")), ev("conversation.item.added", of("", "i"))},
		"item used before":    {ev("response.created", resp("a")), ev("response.output_item.added", of("a", "i")), ev("response.output_item.added", of("a", "i"))},
		"of a response that ": {ev("response.done", resp("a"))},
	} {
		errs := violations(events)
		if len(errs) == 0 || !strings.Contains(errs[len(errs)-1].Error(), want) {
			t.Errorf("%s is not found: %v", want, errs)
		}
	}
	if len(open([]event{ev("response.created", resp("a"))})) != 1 {
		t.Error("a response without an end is not found")
	}
}
