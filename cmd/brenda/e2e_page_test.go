package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"brenda/audio"
	"brenda/audio/audiotest"
	"brenda/audio/wav"
	"brenda/pipeline/enginetest"
)

// pageReport is the last line that web/browser/page.mjs prints: what a person saw, and what was played to her.
type pageReport struct {
	Phase    string
	Told     string // of the microphone
	Notice   string
	Times    int  // stages of the last turn
	Overflow bool // is the page wider than the screen?
	Captions []pageCaption
	Rate     int // of the sound played, in Hz
	Marks    []pageMark
	Sent     map[string]int // events by type
	Sessions []string       // of each connection
	Errors   []string
	Version  string
	played   []float32
}

type pageCaption struct{ Who, State, Text string }

// pageMark is an event of the server, and at which sample of what was played it came.
type pageMark struct {
	Type, ID string
	At       int
}

const firstSound = "response.output_audio.delta"

// TestPage has a person use the page in Chromium: recorded French is the microphone, and the sound that goes to the
// loudspeaker is listened to.
func TestPage(t *testing.T) {
	p := server(t)
	t.Run("talk", func(t *testing.T) {
		r, said := visit(t, p, "talk", "fr/ss-noservice.wav")
		captions(t, r, "person done", "brenda done")
		understood(t, said, r.Captions[0].Text)
		if r.Phase != "listening" || r.Times == 0 {
			t.Errorf("at the end the page is %q, and shows %d stages of the turn", r.Phase, r.Times)
		}
		spoken(t, p, r, 1)
	})
	t.Run("interrupt", func(t *testing.T) {
		r, said := visit(t, p, "interrupt", "fr/transfer.wav")
		captions(t, r, "person done", "brenda cut", "person done", "brenda cut")
		understood(t, said, r.Captions[2].Text)
		if !strings.HasSuffix(r.Captions[1].Text, "…") {
			t.Errorf("the cut answer is %q", r.Captions[1].Text)
		}
		silenced(t, r)
	})
	t.Run("reconnect", func(t *testing.T) {
		r, _ := visit(t, p, "reconnect", "fr/transfer.wav")
		captions(t, r, "person done", "brenda cut", "person done", "brenda done")
		if all := slices.Compact(slices.Clone(r.Sessions)); len(r.Sessions) < 2 || len(all) != 1 {
			t.Errorf("%d connections, to the conversations %q", len(r.Sessions), all)
		}
		spoken(t, p, r, 3)
	})
	t.Run("denied", func(t *testing.T) {
		r, _ := visit(t, p, "denied", "fr/transfer.wav")
		captions(t, r, "person done", "brenda done")
		if !strings.Contains(r.Told, "Le microphone est bloqué") || r.Notice != "" || r.Sent["input_audio_buffer.append"] != 0 {
			t.Errorf("told %q, and %q after the answer; %d frames sent", r.Told, r.Notice, r.Sent["input_audio_buffer.append"])
		}
		spoken(t, p, r, 1)
	})
	t.Run("push_to_talk", func(t *testing.T) {
		r, said := visit(t, p, "push_to_talk", "fr/transfer.wav")
		captions(t, r, "person done", "brenda done")
		understood(t, said, r.Captions[0].Text)
		if r.Sent["input_audio_buffer.commit"] != 1 || r.Phase != "ready" || r.Overflow {
			t.Errorf("%d commits, at the end %q, wider than the screen: %v", r.Sent["input_audio_buffer.commit"], r.Phase, r.Overflow)
		}
	})
}

// visit runs one scenario with a recorded prompt as the microphone, and returns the report and what the prompt says.
func visit(t *testing.T, p *program, scenario, name string) (r pageReport, said string) {
	t.Helper()
	pcm, said := recorded(t, name)
	const rate, lead = 24000, 24000 / 2 // a person presses the button, and then speaks
	end := len(pcm)
	for end > 0 && max(pcm[end-1], -pcm[end-1]) < 0.02 {
		end--
	}
	dir, out := t.TempDir(), t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "web", "browser"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(enginetest.CacheDir(t, "clients"), "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	speech := filepath.Join(dir, "speech.wav")
	sound := slices.Concat(make([]float32, lead), pcm, make([]float32, rate))
	if err := os.WriteFile(speech, wav.Encode(sound, rate), 0o600); err != nil {
		t.Fatal(err)
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	line := browse(t, dir, scenario, "BASE="+p.base, "CHROMIUM="+chromium, "SPEECH="+speech, "OUT="+out,
		fmt.Sprint("HOLD=", (lead+end)/(rate/50)))
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	raw, err := os.ReadFile(filepath.Join(out, "played.raw"))
	if err != nil {
		t.Fatal(err)
	}
	r.played = audio.FloatsFromPCM16(nil, raw)
	t.Logf("Chromium %s: %+v", r.Version, r.Captions)
	if len(r.Errors) > 0 {
		t.Errorf("errors of the page: %q", r.Errors)
	}
	return r, said
}

// browse runs page.mjs and returns the last line it prints. The browser is its child, and ends with it.
func browse(t *testing.T, dir, scenario string, env ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "page.mjs", scenario)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, last(errs.String(), 6000))
	}
	lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	return lines[len(lines)-1]
}

// captions holds the page to who said something, and how it ended.
func captions(t *testing.T, r pageReport, want ...string) {
	t.Helper()
	got := make([]string, len(r.Captions))
	for i, c := range r.Captions {
		got[i] = c.Who + " " + c.State
		if c.Text == "" || c.Text == "…" {
			t.Errorf("caption %d is empty", i)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the captions are %q, not %q", got, want)
	}
}

// understood holds a caption to what was said.
func understood(t *testing.T, said, caption string) {
	t.Helper()
	if diff := audiotest.Compare(said, caption); diff.Rate() > 0.35 {
		t.Errorf("the caption is %q, said was %q", caption, said)
	}
}

// spoken holds what was played of the last answer to its caption.
func spoken(t *testing.T, p *program, r pageReport, caption int) {
	t.Helper()
	from := 0
	for _, m := range r.Marks {
		if m.Type == firstSound {
			from = m.At
		}
	}
	resp := p.post(t, "/v1/ai/speech/speech-to-text", "", map[string]any{
		"audio": base64.StdEncoding.EncodeToString(wav.Encode(r.played[min(from, len(r.played)):], r.Rate)),
	})
	var heard struct{ Text string }
	if err := json.NewDecoder(resp.Body).Decode(&heard); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("what was played is not understood: %d, %v", resp.StatusCode, err)
	}
	text := r.Captions[caption].Text
	// By letters: a small model's odd words are easily heard as others that sound alike.
	diff := audiotest.Compare(spelt(text), spelt(heard.Text))
	t.Logf("played %q, caption %q: %v letters", heard.Text, text, diff)
	if heard.Text == "" || diff.Rate() > 0.4 {
		t.Errorf("played was %q, the caption is %q", heard.Text, text)
	}
}

// spelt returns the letters of a text as words.
func spelt(text string) string {
	letters := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return strings.Join(strings.Split(strings.Join(letters, ""), ""), " ")
}

// silenced holds what was played to this: Brenda was heard, then the person, and from there on nothing until the next
// answer; that one was heard until a key was pressed. Times are samples of what was played, not of a clock.
func silenced(t *testing.T, r pageReport) {
	t.Helper()
	next := func(kind string, after int) int {
		for _, m := range r.Marks {
			if m.Type == kind && m.At > after {
				return m.At
			}
		}
		t.Fatalf("no %s after sample %d of %d", kind, after, len(r.played))
		return 0
	}
	begin := next(firstSound, 0)
	person := next("input_audio_buffer.speech_started", begin)
	again := next(firstSound, person)
	escape := next("key.Escape", again)
	for name, part := range map[string][3]int{"a voice": {begin, person, again}, "a key": {again, escape, len(r.played)}} {
		begin, stop, end := part[0], part[1], part[2]
		before, after := lastSound(r.played, begin, stop), lastSound(r.played, stop, end)
		ms := func(samples int) int { return samples * 1000 / r.Rate }
		t.Logf("interrupted by %s: the last sound is %d ms before, %d ms after, then %d ms of silence",
			name, ms(stop-before), ms(after-stop), ms(end-after))
		if before == begin {
			t.Errorf("nothing was heard before %s interrupted", name)
		}
		if ms(after-stop) > 150 {
			t.Errorf("Brenda sounds for %d ms after %s interrupted her", ms(after-stop), name)
		}
	}
}

// lastSound returns the last audible sample of a part of what was played, its beginning when there is none.
func lastSound(pcm []float32, from, to int) int {
	for i := to - 1; i > from; i-- {
		if max(pcm[i], -pcm[i]) > 0.003 {
			return i
		}
	}
	return from
}
