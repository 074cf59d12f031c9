package pipeline

import (
	"context"
	"time"
)

// Sound is decoded sound being read: mono, −1…1. audio.Source fits.
type Sound interface {
	// Rate returns the sample rate in Hz.
	Rate() int
	// Read fills dst and returns how many samples it wrote; io.EOF ends the sound.
	Read(dst []float32) (int, error)
}

// Listener finds the speech in a sound of any length and writes it down.
type Listener interface {
	// Listen reads src (at InputRate) to its end and emits each segment as soon as it is known. A sound without speech is
	// fault.Invalid with code "no_speech".
	Listen(ctx context.Context, src Sound, o ListenOptions, emit func(Segment) error) (Heard, error)
}

// ListenOptions says how to listen.
type ListenOptions struct {
	Language string // ISO 639-1 or "auto"; empty means the default
	Model    string // a size; empty means the default
	Quick    bool   // somebody waits for the answer: what is merely unsure gets no second try
}

// Heard is what a Listener made of a sound.
type Heard struct {
	Transcript
	Duration time.Duration // of the sound that was read
	VAD      time.Duration // spent on finding the speech
	STT      time.Duration // spent on writing it down
}
