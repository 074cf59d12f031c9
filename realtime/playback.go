package realtime

import (
	"strings"
	"time"
	"unicode"

	"brenda/audio"
	"brenda/audio/g711"
	"brenda/pipeline"
	"brenda/realtime/protocol"
)

// How sound is sent: at first as much as hides a network's moods, then hardly faster than it is played, so that little is
// on its way when somebody interrupts.
const (
	burst    = 400 * time.Millisecond // sent at once
	lead     = 200 * time.Millisecond // sent ahead of the moment when it is played
	maxPiece = 200 * time.Millisecond // of one event
	minPiece = 40 * time.Millisecond
)

// playback is the sound of one answer on its way to the client, and the clock of what was heard of it.
type playback struct {
	format protocol.Format
	rate   *audio.Resampler // nil when the voice's own rate is asked for
	chunks []chunk
	queue  []byte    // encoded, not sent
	total  int       // bytes so far, sent or not
	sent   int       // bytes sent
	base   time.Time // when the first byte is (or would have been, without gaps) played; zero before it is sent
	device device    // what the client says of it, if it says anything
	item   string    // whose sound it is
	trace  *trace    // of its turn
}

// chunk is a piece of speech: its words and where its sound ends, in bytes.
type chunk struct {
	words string
	end   int
}

func newPlayback(f protocol.Format) *playback {
	p := &playback{format: f}
	if f.Rate != pipeline.OutputRate {
		p.rate = audio.NewResampler(pipeline.OutputRate, f.Rate)
	}
	return p
}

// add takes the sound of the next chunk.
func (p *playback) add(pcm []float32, words string) {
	if p.rate != nil {
		pcm = p.rate.Process(nil, pcm)
	}
	b := encodeSound(p.format, pcm)
	p.queue = append(p.queue, b...)
	p.total += len(b)
	p.chunks = append(p.chunks, chunk{words, p.total})
}

// finish takes what the resampler still holds.
func (p *playback) finish() {
	if p.rate == nil {
		return
	}
	b := encodeSound(p.format, p.rate.Flush(nil))
	p.queue = append(p.queue, b...)
	p.total += len(b)
	if n := len(p.chunks); n > 0 {
		p.chunks[n-1].end = p.total
	}
}

// encodeSound returns samples in a format.
func encodeSound(f protocol.Format, pcm []float32) []byte {
	b := audio.PCM16(pcm)
	encode := g711.EncodeULaw
	switch f.Type {
	case protocol.PCM:
		return b
	case protocol.ALaw:
		encode = g711.EncodeALaw
	}
	for i := range len(b) / 2 {
		b[i] = encode(int16(uint16(b[2*i]) | uint16(b[2*i+1])<<8)) //nolint:gosec // two's complement
	}
	return b[:len(b)/2]
}

// duration returns how long n bytes play.
func (p *playback) duration(n int) time.Duration {
	return time.Duration(n) * time.Second / time.Duration(p.format.BytesPerSecond())
}

// bytes returns how many whole samples play in d.
func (p *playback) bytes(d time.Duration) int {
	n := int(d * time.Duration(p.format.BytesPerSecond()) / time.Second)
	return n &^ 1
}

// next returns the sound that may be sent now, nil for none.
func (p *playback) next(now time.Time) []byte {
	if len(p.queue) == 0 {
		return nil
	}
	sent := p.duration(p.sent)
	if p.base.IsZero() || now.Sub(p.base) > sent { // the beginning, or the client has run dry
		p.base = now.Add(-sent)
	}
	may := p.bytes(max(burst, now.Sub(p.base)+lead) - sent)
	n := min(may, len(p.queue), p.bytes(maxPiece))
	if n < min(len(p.queue), p.bytes(minPiece)) {
		return nil
	}
	piece := p.queue[:n:n]
	if p.queue = p.queue[n:]; len(p.queue) == 0 {
		p.queue = nil // gives the memory back
	}
	p.sent += n
	return piece
}

// due returns when next will have something; false for never, as things are.
func (p *playback) due() (time.Time, bool) {
	if len(p.queue) == 0 {
		return time.Time{}, false
	}
	piece := min(minPiece, p.duration(len(p.queue)))
	const rounding = time.Millisecond
	return p.base.Add(p.duration(p.sent) + piece - lead + rounding), true
}

// ends returns when the sound that was sent has been played.
func (p *playback) ends() time.Time {
	if d := p.device; d.told {
		return d.when.Add(p.duration(p.sent) - d.at)
	}
	return p.base.Add(p.duration(p.sent))
}

// position returns how much has been played.
func (p *playback) position(now time.Time) time.Duration {
	switch {
	case p.base.IsZero():
		return 0
	case p.device.told:
		return min(p.device.position(now), p.duration(p.sent))
	}
	return min(max(now.Sub(p.base), 0), p.duration(p.sent))
}

// said returns the words of the chunks whose sound has begun to be sent.
func (p *playback) said() string {
	var b strings.Builder
	begin := 0
	for _, c := range p.chunks {
		if begin >= p.sent {
			break
		}
		b.WriteString(c.words)
		begin = c.end
	}
	return b.String()
}

// heard returns the words that were said up to a position. Within a chunk they are taken to be spoken evenly, and a word
// that was begun does not count.
func (p *playback) heard(at time.Duration) string {
	return heardOf(p.chunks, p.bytes(at))
}

func heardOf(chunks []chunk, at int) string {
	var b strings.Builder
	begin := 0
	for _, c := range chunks {
		if c.end <= at {
			b.WriteString(c.words)
			begin = c.end
			continue
		}
		if length := c.end - begin; at > begin && length > 0 {
			b.WriteString(firstWords(c.words, float64(at-begin)/float64(length)))
		}
		break
	}
	return strings.TrimSpace(b.String())
}

// firstWords returns the share of a text that lies before a fraction of its letters, in whole words.
func firstWords(text string, share float64) string {
	limit := int(share * float64(len(text)))
	end := 0
	for i, r := range text {
		if i > limit {
			break
		}
		if unicode.IsSpace(r) {
			end = i
		}
	}
	return text[:end]
}
