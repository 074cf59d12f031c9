package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"brenda/audio/audiotest"
)

func TestSpeechBounds(t *testing.T) {
	const rate = 24000
	quiet := func(ms int) []float32 { return audiotest.Silence(rate * ms / 1000) }
	tone := func(ms int, amplitude float64) []float32 { return audiotest.Tone(200, amplitude, rate, rate*ms/1000) }
	join := func(parts ...[]float32) []float32 {
		var all []float32
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for name, c := range map[string]struct {
		pcm       []float32
		from, end int // ms
	}{
		"nothing":            {nil, 0, 0},
		"silence":            {quiet(500), 0, 0},
		"speech only":        {tone(500, 0.5), 0, 500},
		"between silences":   {join(quiet(200), tone(300, 0.5), quiet(250)), 200, 500},
		"a pause inside":     {join(quiet(100), tone(100, 0.5), quiet(300), tone(100, 0.5), quiet(100)), 100, 600},
		"a soft end counts":  {join(tone(300, 0.5), tone(100, 0.01), quiet(200)), 0, 400}, // −34 dB
		"noise does not":     {join(tone(300, 0.5), tone(200, 0.001)), 0, 300},            // −54 dB
		"loudness is no bar": {join(quiet(100), tone(300, 0.004), quiet(200)), 100, 400},
	} {
		t.Run(name, func(t *testing.T) {
			from, end := speechBounds(c.pcm, rate)
			want := [2]time.Duration{time.Duration(c.from) * time.Millisecond, time.Duration(c.end) * time.Millisecond}
			if got := [2]time.Duration{from, end}; got != want {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]float64, 101)
	for i := range hundred {
		hundred[len(hundred)-1-i] = float64(i)
	}
	for _, c := range []struct {
		values []float64
		p      float64
		want   float64
	}{
		{[]float64{7}, 0.5, 7},
		{[]float64{7}, 0.95, 7},
		{[]float64{1, 2}, 0.5, 1.5},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{3, 1, 2}, 1, 3},
		{hundred, 0.95, 95},
		{hundred, 0, 0},
	} {
		if got := percentile(c.values, c.p); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("percentile(%v, %v) = %v, want %v", c.values, c.p, got, c.want)
		}
	}
	if !math.IsNaN(percentile(nil, 0.5)) {
		t.Error("nothing has a percentile")
	}
}

func TestWholeSentences(t *testing.T) {
	got := wholeSentences("fr/a.wav\t2.50\tVotre appel est important.\n" +
		"fr/b.wav\t2.50\t... a joint la conférence.\n" + // half a sentence
		"fr/c.wav\t2.50\tsuivi du dièse\n" +
		"fr/d.wav\t0.90\tMerci.\n" + // too short
		"fr/e.wav\t6.10\tC'est trop long.\n" +
		"en/f.wav\t2.50\tYour call is important.\n" +
		"armelle/g.wav\t2.50\t\n" +
		"fr/h.wav\t6.00\tQui est là ?\n")
	if len(got) != 2 || got[0].File != "fr/a.wav" || got[1].File != "fr/h.wav" || got[1].Text != "Qui est là ?" {
		t.Errorf("%+v", got)
	}
}

// TestBenchReport has a turn that failed and one that was cut off kept out of the figures, and told of.
func TestBenchReport(t *testing.T) {
	r := benchReport{
		Settings: map[string]any{"load_before": "0.10"},
		Turns: []benchTurn{
			{File: "a", Seconds: 2, FirstAudio: 800, Own: 4, Server: map[string]float64{"first_chunk": 500}, CPU: 2},
			{File: "b", Seconds: 5, FirstAudio: 1600, Own: 6, Server: map[string]float64{"first_chunk": 900}, CPU: 4},
			{File: "c", Seconds: 2, FirstAudio: 9000, Error: "the answer was interrupted"},
			{File: "d", Seconds: 2, FirstAudio: -300, Early: true},
		},
		Raw: []benchRaw{{Seconds: 2, Total: 1000}, {Seconds: 5, Total: 1400}},
	}
	lines := map[string]benchLine{}
	for _, l := range r.withSummary().Summary {
		lines[l.Name] = l
	}
	for name, want := range map[string]float64{
		"first sound received": 1200, "server: first_chunk": 700, "Brenda's own cost": 5, "processor": 3, "bare: all": 1200,
		"turn / bare engines": 1, "the same, up to 4 s": 0.8,
	} {
		if got := lines[name]; math.Abs(got.Median-want) > 1e-9 {
			t.Errorf("%s: %+v, want %v", name, got, want)
		}
	}
	var out bytes.Buffer
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"first sound received    1200", "c: failed: the answer was interrupted", "d: taken to be over too early", "0.80",
		"failed: 1 of 4 prompts",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if _, err := json.Marshal(benchReport{}.withSummary()); err != nil {
		t.Errorf("nothing measured: %v", err)
	}
}

// TestStopwatch has a turn that the server took to be over in a pause measured at its real end, and told of.
func TestStopwatch(t *testing.T) {
	zero := time.Unix(1000, 0)
	w := stopwatch{end: zero.Add(2 * time.Second), over: zero.Add(2100 * time.Millisecond)}
	at := func(ms int, kind, response, status string) {
		t.Helper()
		ev := benchEvent{Type: kind, at: zero.Add(time.Duration(ms) * time.Millisecond), Transcript: "Bonjour."}
		ev.Response.ID, ev.Response.Status = response, status
		ev.Response.Metadata = map[string]string{
			"speech_end": "2010", "decision": "300", "first_audio": "680", "transcript": "250",
		}
		if err := w.take(ev); err != nil {
			t.Fatal(err)
		}
	}
	at(400, "input_audio_buffer.speech_started", "", "")
	at(1500, "input_audio_buffer.speech_stopped", "", "") // a pause
	at(1510, "response.created", "r1", "")
	at(1600, "input_audio_buffer.speech_started", "", "")
	at(1610, "response.done", "r1", "cancelled")
	at(2320, "input_audio_buffer.speech_stopped", "", "")
	at(2325, "conversation.item.input_audio_transcription.completed", "", "")
	at(2330, "response.created", "r2", "")
	at(2500, "response.output_audio_transcript.delta", "", "")
	at(2600, "response.output_audio_transcript.delta", "", "")
	at(2705, "response.output_audio.delta", "", "")
	at(2900, "response.output_audio.delta", "", "")
	if w.done {
		t.Fatal("over before the answer")
	}
	at(4000, "response.done", "r2", "completed")
	w.server(2 * time.Second)
	if !w.done || !w.Early || w.Heard != "Bonjour." {
		t.Errorf("%+v", w.benchTurn)
	}
	if got, want := [4]float64{w.Decision, w.Transcript, w.FirstToken, w.FirstAudio}, [4]float64{320, 325, 500, 705}; got != want {
		t.Errorf("told at %v, want %v", got, want)
	}
	if w.Server["decision"] != 310 || w.Server["first_audio"] != 690 || math.Abs(w.Own-5) > 1e-9 {
		t.Errorf("%v, own %v", w.Server, w.Own)
	}
	failed := stopwatch{end: zero, over: zero, response: "r"}
	ev := benchEvent{Type: "response.done", at: zero.Add(time.Second)}
	ev.Response.ID, ev.Response.Status = "r", "failed"
	if err := failed.take(ev); err == nil {
		t.Error("a failed answer was measured")
	}
}

// TestProcessorSeconds counts what this process and its children use.
func TestProcessorSeconds(t *testing.T) {
	server(t) // has children
	own, all := processorSeconds(shared.p.cmd.Process.Pid), processorSeconds(os.Getpid())
	if own <= 0 || all < own {
		t.Errorf("%v s of it, %v s of it and its parent", own, all)
	}
}

// TestBenchTurns measures one turn with everything real: every stage must have been seen.
func TestBenchTurns(t *testing.T) {
	out := command(t, "", "bench", "turns", "--prompts", "1", "--max-tokens", "40", "--barge", "0", "--json", "--speech", speechDir(t))
	var r benchReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || len(r.Turns) != 1 || len(r.Raw) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	turn, raw := r.Turns[0], r.Raw[0]
	if turn.Error != "" || turn.Early || turn.firstWordLost() || turn.Heard == "" || turn.Text == "" {
		t.Fatalf("%+v", turn)
	}
	for name, v := range map[string]float64{
		"decision": turn.Decision, "transcript": turn.Transcript, "first token": turn.FirstToken, "first audio": turn.FirstAudio,
		"processor": turn.CPU,
		"bare stt":  raw.STT, "bare token": raw.FirstToken, "bare clause": raw.FirstClause, "bare tts": raw.TTS, "bare": raw.Total,
	} {
		if v <= 0 {
			t.Errorf("%s was not measured: %v", name, v)
		}
	}
	order := 0.0
	for _, name := range []string{"transcript", "first_token", "first_chunk", "first_audio", "sent"} {
		v, ok := turn.Server[name]
		if !ok || v < order {
			t.Errorf("the server's waterfall: %s in %v", name, turn.Server)
		}
		order = v
	}
	if turn.FirstAudio+1 < turn.Server["sent"] {
		t.Errorf("received at %v ms, sent at %v ms", turn.FirstAudio, turn.Server["sent"])
	}
}
