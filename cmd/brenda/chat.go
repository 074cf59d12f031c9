package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/term"
)

type chatCmd struct {
	Text    []string `arg:"" optional:"" help:"What to say; without it each line of standard input is said in turn."`
	Audio   string   `type:"existingfile" help:"A sound file (WAV, MP3) to say instead."`
	Output  string   `short:"o" placeholder:"FILE" help:"Write the spoken answers to this file (.wav, .mp3)."`
	Mute    bool     `help:"Do not play the answers."`
	Session string   `help:"The conversation to go on with; default: a new one."`
	Model   string   `help:"The model that answers."`
	Voice   string   `help:"The voice that speaks."`
}

// Run asks, and prints and plays the answers.
func (c *chatCmd) Run(ctx context.Context, env *environment) error {
	cl, done, err := connect(ctx, env, parts{LLM: true, STT: c.Audio != "", TTS: true})
	if err != nil {
		return err
	}
	defer done()
	interactive := term.IsTerminal(int(os.Stdout.Fd()))
	to, err := newSink(ctx, c.Output, interactive && !c.Mute)
	if err != nil {
		env.log.Warn("no sound", "reason", err)
		to = silent{}
	}
	if c.Session == "" {
		c.Session = "chat-" + uuid.Must(uuid.NewV7()).String()
	}
	return errors.Join(c.converse(ctx, env, cl, to), to.Close())
}

// converse asks what the command line says, or line after line.
func (c *chatCmd) converse(ctx context.Context, env *environment, cl *client, to sink) error {
	if c.Audio != "" || len(c.Text) > 0 {
		return c.ask(ctx, env, cl, to, strings.Join(c.Text, " "))
	}
	prompt := ""
	if term.IsTerminal(int(os.Stdin.Fd())) {
		prompt = "» "
	}
	lines := bufio.NewScanner(os.Stdin)
	for fmt.Fprint(env.out, prompt); lines.Scan(); fmt.Fprint(env.out, prompt) {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		if err := c.ask(ctx, env, cl, to, lines.Text()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// ask has one question answered.
func (c *chatCmd) ask(ctx context.Context, env *environment, cl *client, to sink, text string) error {
	fields := map[string]any{}
	set(fields, "text", text)
	set(fields, "model", c.Model)
	set(fields, "voice", c.Voice)
	body, err := withText(fields)
	if c.Audio != "" {
		body, err = withSound(fields, c.Audio)
	}
	if err != nil {
		return err
	}
	err = cl.stream(ctx, "/v1/ai/chaining/chat", c.Session, body, func(ev *talkEvent) error {
		switch ev.Type {
		case "transcript":
			fmt.Fprintln(env.out, "«", ev.words(), "»")
		case "text":
			fmt.Fprint(env.out, ev.words())
		case "audio":
			file, err := ev.sound()
			if err != nil {
				return err
			}
			return pour(to, file)
		}
		return nil
	})
	fmt.Fprintln(env.out)
	return err
}

type sayCmd struct {
	Text   []string `arg:"" optional:"" help:"What to say; default: standard input."`
	Output string   `short:"o" placeholder:"FILE" help:"The sound file to write (.wav, .mp3); default: play it."`
	Voice  string   `help:"The voice that speaks."`
}

// Run speaks a text.
func (c *sayCmd) Run(ctx context.Context, env *environment) error {
	text := strings.Join(c.Text, " ")
	if text == "" {
		b, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		text = string(b)
	}
	cl, done, err := connect(ctx, env, parts{TTS: true})
	if err != nil {
		return err
	}
	defer done()
	fields := map[string]any{"text": text}
	set(fields, "voice_path", c.Voice)
	body, err := withText(fields)
	if err != nil {
		return err
	}
	to, err := newSink(ctx, c.Output, true)
	if err != nil {
		return err
	}
	err = cl.stream(ctx, "/v1/ai/speech/text-to-speech", "", body, func(ev *talkEvent) error {
		if ev.Type != "audio" {
			return nil
		}
		file, err := ev.sound()
		if err != nil {
			return err
		}
		return pour(to, file)
	})
	if f, ok := to.(*fileSink); ok && err != nil {
		f.bad = err // half a file is no file
	}
	return errors.Join(err, to.Close())
}

type transcribeCmd struct {
	File     string `arg:"" type:"existingfile" help:"A sound file: WAV or MP3."`
	Language string `help:"What is spoken: ISO 639-1, or auto; default: the server's."`
	Model    string `help:"Size of the model."`
	JSON     bool   `help:"All that is known, as JSON."`
}

// Run writes down what is said in a file.
func (c *transcribeCmd) Run(ctx context.Context, env *environment) error {
	cl, done, err := connect(ctx, env, parts{STT: true})
	if err != nil {
		return err
	}
	defer done()
	fields := map[string]any{}
	set(fields, "language", c.Language)
	set(fields, "model_size", c.Model)
	body, err := withSound(fields, c.File)
	if err != nil {
		return err
	}
	var answer struct {
		Text     string  `json:"text"`
		Language string  `json:"language"`
		Duration float64 `json:"duration"`
		Model    string  `json:"model"`
		Segments []struct {
			Start float64 `json:"start"`
			End   float64 `json:"end"`
			Text  string  `json:"text"`
		} `json:"segments"`
	}
	if err := cl.postJSON(ctx, "/v1/ai/speech/speech-to-text", body, &answer); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.out, answer)
	}
	fmt.Fprintln(env.out, answer.Text)
	return nil
}
