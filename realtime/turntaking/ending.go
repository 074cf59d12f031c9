package turntaking

// The waits of Semantic mode, in frames on top of nothing: how long the silence must be, by how finished the turn seems.
// The least one is Config.Silence: most of an answer is prepared in that time, so that a shorter one gains nothing and cuts
// people who breathe.
const (
	unsureWait  = 28 // 900 ms: the sound or the words are undecided
	hangingWait = 56 // 1.8 s: the sentence hangs in the air
)

// wait returns how many frames of silence end the turn, and why.
func (m *Machine) wait() (need int, why string) {
	least := frames(m.cfg.Silence)
	if m.cfg.Mode != Semantic {
		return least, "silence"
	}
	longest := max(frames(m.cfg.Longest), least)
	// Somebody who is known to pause long within a turn is given that time again.
	if m.pauses.seen >= 2 {
		least = max(least, min(int(1.3*m.pauses.value)+2, 2*frames(m.cfg.Silence)))
	}
	switch s := m.finished(); {
	case s >= 0.5:
		return min(least, longest), "finished"
	case s >= 0.25:
		return min(max(least, unsureWait), longest), "unsure"
	default:
		return min(max(least, hangingWait), longest), "unfinished"
	}
}

// finished joins the judgement of the sound with that of the words, 0…1. The sound knows the melody, the words know that
// "je voudrais un" wants a noun; an unfinished sentence weighs more than a falling voice.
func (m *Machine) finished() float64 {
	sound, words := 0.5, 0.5
	if m.judged >= 0 {
		sound = float64(m.judged)
	}
	if m.hasWords && m.cfg.Words != nil {
		words = m.cfg.Words.Complete(m.words)
	}
	if words < 0.3 {
		return min(sound, 0.4) * (0.5 + words)
	}
	return 0.6*sound + 0.4*words
}

// ema is an exponential moving average.
type ema struct {
	value, weight float64
	seen          int
}

func (e *ema) add(v float64) {
	if e.seen == 0 {
		e.value = v
	} else {
		e.value += e.weight * (v - e.value)
	}
	e.seen++
}
