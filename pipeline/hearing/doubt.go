package hearing

import (
	"context"
	"time"

	"brenda/pipeline"
)

// Below these confidences a transcript is worth a second try. In a long one the doubtful words average
// out, so that its bound is higher. Measured with Whisper base on 82 recorded French prompts: 29 % of the
// utterances are below, and the second try leaves 171 of 187 wrong words in 1000.
const (
	sureFrom     = 0.72
	sureFromLong = 0.80
	longFrom     = 16 // tokens
)

// doubtful reports whether the recognizer itself hesitated.
func doubtful(t pipeline.Transcript) bool {
	return t.Confidence > 0 && (t.Confidence < sureFrom || t.Confidence < sureFromLong && t.Tokens >= longFrom)
}

// surer reports whether the second try is to be believed rather than the first. Saying everything twice
// makes a recognizer surer of itself, so a much longer text is not.
func surer(again, first pipeline.Transcript) bool {
	return again.Confidence > first.Confidence && again.Text != "" &&
		2*letters(again.Text) <= 3*letters(first.Text)+8
}

// spare reports whether there is time for a second try, after a first one that took so long: it costs up
// to four times as much. Without a deadline there is.
func spare(ctx context.Context, first time.Duration) bool {
	end, ok := ctx.Deadline()
	return !ok || time.Until(end) > 4*first
}
