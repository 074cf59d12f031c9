package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"time"

	"brenda/audio/audiotest"
)

// decisivePause is how long a pause inside a prompt must be at least to excuse that the turn was taken to be over in it: a
// person who is silent that long may well have finished.
const decisivePause = 0.5 // seconds

// firstWord returns the first word of a text as transcripts are compared, "" for none.
func firstWord(text string) string {
	if words := audiotest.Words(text); len(words) > 0 {
		return words[0]
	}
	return ""
}

// firstWordMissed tells whether the call's transcript begins with another word than the prompt.
func (t benchTurn) firstWordMissed() bool {
	return t.Error == "" && firstWord(t.Text) != firstWord(t.Heard)
}

// firstWordLost tells whether the call lost the first word: the recognizer has it when it is given the whole recording, or
// nobody knows. Else it is the recognizer's mistake, not the call's.
func (t benchTurn) firstWordLost() bool {
	return t.firstWordMissed() && (t.Whole == "" || firstWord(t.Whole) == firstWord(t.Text))
}

// hasty tells whether the turn was taken to be over in a pause that is too short for that.
func (t benchTurn) hasty() bool { return t.Early && t.Pause < decisivePause }

// remarks tells what was wrong with a turn.
func (t benchTurn) remarks() []string {
	if t.Error != "" {
		return []string{"failed: " + t.Error}
	}
	var all []string
	if t.Early {
		all = append(all, fmt.Sprintf("taken to be over too early, and not counted above: "+
			"its longest pause is %.0f ms, heard was %q", t.Pause*1000, t.Heard))
	}
	if t.firstWordMissed() {
		whose := "the recognizer's"
		if t.firstWordLost() {
			whose = "ours"
		}
		all = append(all, fmt.Sprintf("the first word is missing (%s): said %q, heard %q, in the whole recording %q", whose,
			t.Text, t.Heard, t.Whole))
	}
	if t.Dry > 0 {
		all = append(all, fmt.Sprintf("the answer's sound ran dry %d times, for up to %.0f ms", t.Dry, t.LongestDry))
	}
	return all
}

// printJudgement writes what went wrong in turns, by prompt, and how often.
func printJudgement(out io.Writer, turns []benchTurn) {
	for _, t := range turns {
		for _, r := range t.remarks() {
			fmt.Fprintf(out, "%s: %s\n", t.File, r)
		}
	}
	many := func(is func(benchTurn) bool) int {
		n := 0
		for _, t := range turns {
			if t.Error == "" && is(t) {
				n++
			}
		}
		return n
	}
	good := many(func(benchTurn) bool { return true })
	lost, missed := many(benchTurn.firstWordLost), many(benchTurn.firstWordMissed)
	short := many(func(t benchTurn) bool { return t.Pause < decisivePause })
	hasty, early := many(benchTurn.hasty), many(func(t benchTurn) bool { return t.Early })
	dry, longest := 0, 0.0
	for _, t := range turns {
		dry, longest = dry+t.Dry, max(longest, t.LongestDry)
	}
	fmt.Fprintf(out, "first words lost: %d of %d; the recognizer misses %d more in the whole recording too\n", lost, good,
		missed-lost)
	fmt.Fprintf(out, "turns ended inside a prompt: %d of %d whose longest pause is under %.0f ms, %d of %d others\n",
		hasty, short, decisivePause*1000, early-hasty, good-short)
	fmt.Fprintf(out, "answers' sound ran dry: %d times in %d answers, for %.0f ms at the longest\n", dry, good, longest)
	fmt.Fprintf(out, "failed: %d of %d prompts\n", len(turns)-good, len(turns))
}

// playClock is a client that plays sound as soon as it has some.
type playClock struct {
	end     time.Time     // when it has played all that it has
	times   int           // that it ran dry
	longest time.Duration // that it had nothing to play
}

// take gives it sound of that length.
func (p *playClock) take(at time.Time, length time.Duration) {
	if gap := at.Sub(p.end); !p.end.IsZero() && gap > 0 {
		p.times++
		p.longest = max(p.longest, gap)
	}
	if p.end.Before(at) {
		p.end = at
	}
	p.end = p.end.Add(length)
}

// soundLength returns how long PCM16 in base64 plays.
func soundLength(delta string) time.Duration {
	b, err := base64.StdEncoding.DecodeString(delta)
	if err != nil {
		return 0
	}
	return benchDuration(len(b) / 2)
}
