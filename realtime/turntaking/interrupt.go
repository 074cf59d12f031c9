package turntaking

// longVoiced is how long speech over a reply may go on before it cuts without its words being known: a recognizer that has
// nothing to say by then is too slow to ask. In frames: 1.1 s.
const longVoiced = 34

// echoVoiced is the same where our own voice comes back, which is longer than any recognizer takes. 4 s.
const echoVoiced = 125

// long returns how long speech may go on without its words being known.
func (m *Machine) long() int {
	if m.echoes {
		return echoVoiced
	}
	return longVoiced
}

// whenOver follows a sound over the reply until it is known for an interruption, or for none.
func (m *Machine) whenOver() []Effect {
	if m.hasWords {
		return m.verdict()
	}
	speech := m.hush < pauseFrames
	switch {
	case speech && m.count >= m.long():
		return m.cut("long speech")
	case speech && !m.probed && m.count >= frames(m.cfg.CutAfter):
		return m.probe()
	case !speech && !m.probed && m.count >= onsetFrames:
		return m.probe() // short, and over: a word, or a cough
	case !speech && (m.hush >= verdictWait || m.count < onsetFrames && m.hush >= pauseFrames):
		return m.nothing()
	}
	return nil
}

func (m *Machine) probe() []Effect {
	m.probed, m.asked = true, m.rev
	return []Effect{{Kind: Probe, Rev: m.rev, From: max(at(m.first)-m.cfg.Prefix, 0), At: at(m.now)}}
}

// learn takes the words of a probe that come too late to decide anything. That they are an echo is worth knowing even so.
func (m *Machine) learn(rev int, text string) []Effect {
	if m.echoes || rev != m.asked || text == "" || m.cfg.Words == nil || !m.cfg.Words.Echo(text, m.said) {
		return nil
	}
	m.echoes = true
	return []Effect{{Kind: Echo, Rev: rev, Text: text, At: at(m.now)}}
}

// verdict judges the words said over the reply.
func (m *Machine) verdict() []Effect {
	text, w := m.words, m.cfg.Words
	speech := m.hush < pauseFrames
	switch {
	case text == "" || w == nil:
		if !speech {
			return m.nothing()
		}
		if m.count >= m.long() {
			return m.cut("long speech")
		}
		return nil
	case w.Stop(text):
		return m.cut("stop word")
	case w.Echo(text, m.said):
		return m.harmless(Echo, text)
	case w.Backchannel(text):
		return m.harmless(Backchannel, text)
	}
	return m.cut("speech")
}

// harmless lets the reply go on. Speech that lasts after a harmless beginning is asked for its words again.
func (m *Machine) harmless(kind Kind, text string) []Effect {
	m.echoes = m.echoes || kind == Echo
	if m.hush >= pauseFrames {
		m.reset()
		return []Effect{{Kind: kind, Rev: m.rev, Text: text, At: at(m.now)}, {Kind: Unduck, At: at(m.now)}}
	}
	if kind == Backchannel && m.count < longVoiced {
		return nil // "oui…" may become "oui mais non"
	}
	m.newRev()
	m.count, m.probed = onsetFrames, false // so that the next probe comes after CutAfter more
	m.first = m.now - onsetFrames
	if kind == Echo {
		return []Effect{{Kind: Echo, Rev: m.rev, Text: text, At: at(m.now)}}
	}
	return []Effect{{Kind: Probe, Rev: m.rev, From: max(at(m.first)-m.cfg.Prefix, 0), At: at(m.now)}}
}

// nothing ends a noise.
func (m *Machine) nothing() []Effect {
	m.reset()
	return []Effect{{Kind: Unduck, At: at(m.now)}}
}

// cut makes the sound over the reply a turn of its own.
func (m *Machine) cut(why string) []Effect {
	m.playing = false
	return []Effect{{Kind: Interrupted, At: at(m.now), Text: m.words, Why: why}, m.begin()}
}
