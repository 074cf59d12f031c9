package realtime

import (
	"context"
	"errors"
	"slices"
	"time"

	"brenda/audio"
	"brenda/audio/g711"
	"brenda/pipeline"
	"brenda/realtime/protocol"
)

// input is what the reader hands to the call: an event of the client, or a stretch of the microphone's sound.
type input struct {
	event protocol.ClientEvent
	bad   *protocol.Error // an event that could not be read
	pcm   []float32       // whole frames at pipeline.InputRate
	probs []float32       // how likely each of them is speech
	err   error           // the microphone could not be judged
	done  chan struct{}   // closed when the call has taken it; nil when nobody waits
	from  *leg
}

// read takes the client's events in their order, and has the sound among them judged before the call gets it: so a commit
// that follows sound finds all of it there, and a client that sends faster than it is heard is slowed down by its own
// connection.
func (c *call) read(ctx context.Context, l *leg) error {
	m := &microphone{vad: c.srv.engines.VAD}
	for {
		in := input{from: l}
		ev, err := l.Read(ctx)
		arrived := time.Now()
		switch {
		case errors.As(err, &in.bad):
		case err != nil:
			return err
		default:
			in.event = ev
		}
		switch ev := in.event.(type) {
		case *protocol.InputAudioAppend:
			m.hear(ctx, &in, *c.format.Load(), ev.Audio)
			if in.event = nil; in.pcm == nil && in.err == nil {
				continue // not a whole frame yet
			}
		case *protocol.SessionUpdate:
			in.done = make(chan struct{}) // it may change the format of the sound that follows
		}
		select {
		case c.in <- in:
		case <-l.over:
			l.drain(ctx)
			return nil
		}
		if in.pcm != nil {
			now := time.Now()
			c.srv.meter.add(now, now.Sub(arrived))
		}
		if in.done != nil {
			select {
			case <-in.done:
			case <-l.over:
			}
		}
	}
}

// drain reads on until the connection is closed: the goodbye is among what is read.
func (l *leg) drain(ctx context.Context) {
	for {
		_, err := l.Read(ctx)
		var bad *protocol.Error
		if err != nil && !errors.As(err, &bad) {
			return
		}
	}
}

// microphone turns a client's sound into judged frames.
type microphone struct {
	vad    pipeline.VAD
	state  pipeline.VADState
	format protocol.Format
	rate   *audio.Resampler
	odd    []byte    // half a sample
	rest   []float32 // less than a frame
	raw    []float32 // room for what is decoded
}

// block is how many frames are judged in one go: one second.
const block = 31

// hear puts the frames that are complete now into in.
func (m *microphone) hear(ctx context.Context, in *input, f protocol.Format, sound []byte) {
	pcm := append(m.rest, m.decode(f, sound)...)
	whole := len(pcm) / pipeline.FrameSamples * pipeline.FrameSamples
	if whole == 0 {
		m.rest = pcm
		return
	}
	m.rest = append(make([]float32, 0, 2*pipeline.FrameSamples), pcm[whole:]...) // the call keeps what is in front of it
	for at := 0; at < whole; {
		n := min(whole-at, block*pipeline.FrameSamples)
		probs, err := m.vad.Speech(ctx, &m.state, pcm[at:at+n])
		if err != nil {
			in.err = err
			probs = make([]float32, n/pipeline.FrameSamples)
		}
		in.probs = append(in.probs, probs...)
		at += n
	}
	in.pcm = pcm[:whole]
}

// decode returns sound at the rate that is listened at.
func (m *microphone) decode(f protocol.Format, sound []byte) []float32 {
	if m.format != f {
		m.format, m.odd, m.rate = f, nil, nil
		if f.Rate != pipeline.InputRate {
			m.rate = audio.NewResampler(f.Rate, pipeline.InputRate)
		}
	}
	var pcm []float32
	switch f.Type {
	case protocol.MuLaw:
		pcm = expand(g711.ULawFloats(), sound)
	case protocol.ALaw:
		pcm = expand(g711.ALawFloats(), sound)
	default:
		sound = append(m.odd, sound...)
		whole := len(sound) &^ 1
		m.odd = append([]byte(nil), sound[whole:]...)
		m.raw = audio.FloatsFromPCM16(slices.Grow(m.raw[:0], whole/2), sound[:whole])
		pcm = m.raw
	}
	if cap(m.raw) > 1<<15 { // a client that sends much at once is an exception
		m.raw = nil
	}
	if m.rate == nil {
		return pcm
	}
	return m.rate.Process(make([]float32, 0, len(pcm)*pipeline.InputRate/f.Rate+8), pcm)
}

func expand(table *[256]float32, sound []byte) []float32 {
	pcm := make([]float32, len(sound))
	for i, b := range sound {
		pcm[i] = table[b]
	}
	return pcm
}
