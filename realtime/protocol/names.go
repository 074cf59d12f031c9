package protocol

import (
	"slices"
	"strings"
)

// Names are what a server really has. Clients made for the hosted API ask for its names, which are aliases
// of the defaults here: the session then shows the name that is in effect.
type Names struct {
	Models       []string // that answer; empty: any name is taken
	Transcribers []string // that write down; empty: any name is taken
	Voices       []string // empty: any name is taken

	Model, Transcriber, Voice string // the defaults
}

// Resolve puts the names that are in effect into s. The error is an [*Error] for a name that is neither
// hosted nor here.
func (n Names) Resolve(s *Session) error {
	var err *Error
	if s.Model, err = pick(s.Model, n.Model, n.Models, HostedModel, "session.model"); err != nil {
		return err
	}
	s.Output.Voice, err = pick(s.Output.Voice, n.Voice, n.Voices, HostedVoice, "session.audio.output.voice")
	if err != nil {
		return err
	}
	if s.Input.Transcription == nil {
		return nil
	}
	t := *s.Input.Transcription
	const param = "session.audio.input.transcription.model"
	t.Model, err = pick(t.Model, n.Transcriber, n.Transcribers, HostedModel, param)
	if err != nil {
		return err
	}
	s.Input.Transcription = &t
	return nil
}

// ResolveVoice returns the voice that is in effect for a response; the error is an [*Error].
func (n Names) ResolveVoice(name string) (string, error) {
	v, err := pick(name, n.Voice, n.Voices, HostedVoice, "response.audio.output.voice")
	if err != nil {
		return "", err
	}
	return v, nil
}

// pick returns the local name for what a client asked for. Names are compared without regard to case.
func pick(name, otherwise string, have []string, hosted func(string) bool, param string) (string, *Error) {
	for _, h := range have {
		if strings.EqualFold(h, name) {
			return h, nil
		}
	}
	switch {
	case name == "", hosted(name):
		return otherwise, nil
	case len(have) == 0:
		return name, nil
	}
	return "", notOneOf(param, name, have)
}

// HostedModel tells whether a name is one of the hosted service's models, for answering or hearing.
func HostedModel(name string) bool {
	name = strings.ToLower(name)
	beginnings := []string{"gpt-", "chatgpt-", "whisper-1", "o1", "o3", "o4"}
	return slices.ContainsFunc(beginnings, func(prefix string) bool {
		return strings.HasPrefix(name, prefix)
	})
}

// HostedVoice tells whether a name is one of the hosted service's voices.
func HostedVoice(name string) bool {
	return slices.Contains([]string{
		"alloy", "ash", "ballad", "cedar", "coral", "echo", "fable",
		"marin", "nova", "onyx", "sage", "shimmer", "verse",
	}, strings.ToLower(name))
}
