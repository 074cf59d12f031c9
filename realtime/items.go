package realtime

import (
	"slices"
	"strings"

	"brenda/realtime/protocol"
)

// maxItems is how many items a conversation holds; the oldest go first.
const maxItems = 500

// item is one entry of the conversation, and what the client is not shown of it.
type item struct {
	protocol.Item
	words   *words  // what was said, for a message of sound; it may not be known yet
	chunks  []chunk // how the sound of an answer lies against its words
	format  protocol.Format
	seconds float64 // of sound, in a message of the person
	cut     bool    // the answer was not heard to its end
	kept    bool    // it is in the history
	noise   bool    // a sound that was no speech: a prompt is better off without it
}

// words are what the person said, once that is known. Whoever waits for ready may read the rest.
type words struct {
	ready chan struct{}
	text  string
	err   error
}

func newWords() *words { return &words{ready: make(chan struct{})} }

// known says what was said. It is called once.
func (w *words) known(text string, err error) {
	w.text, w.err = text, err
	close(w.ready)
}

// items are the conversation, in order.
type items struct {
	conversation string
	list         []*item
	version      int // counts the changes
}

func (l *items) find(id string) (*item, int) {
	i := slices.IndexFunc(l.list, func(it *item) bool { return it.ID == id })
	if i < 0 {
		return nil, -1
	}
	return l.list[i], i
}

// last returns the id of the newest item, nil for none.
func (l *items) last() *string {
	if len(l.list) == 0 {
		return nil
	}
	return &l.list[len(l.list)-1].ID
}

// before returns the id of the item in front of this one.
func (l *items) before(id string) *string {
	if _, i := l.find(id); i > 0 {
		return &l.list[i-1].ID
	}
	return nil
}

// insert puts an item behind another: "root" is the beginning, nil the end.
func (l *items) insert(it *item, behind *string) bool {
	at := len(l.list)
	switch {
	case behind == nil:
	case *behind == "root":
		at = 0
	default:
		_, i := l.find(*behind)
		if i < 0 {
			return false
		}
		at = i + 1
	}
	l.list = slices.Insert(l.list, at, it)
	if len(l.list) > maxItems {
		l.list = slices.Delete(l.list, 0, len(l.list)-maxItems)
	}
	l.version++
	return true
}

func (l *items) remove(id string) bool {
	_, i := l.find(id)
	if i < 0 {
		return false
	}
	l.list = slices.Delete(l.list, i, i+1)
	l.version++
	return true
}

// text returns what a message says, as far as it is known.
func (it *item) text() string {
	var parts []string
	for _, c := range it.Content {
		s := c.Text
		if c.Transcript != nil {
			s = *c.Transcript
		}
		if s = strings.TrimSpace(s); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "\n")
}

// setText puts the words of a message into its part of sound, or else into the first.
func (it *item) setText(text string) {
	i := slices.IndexFunc(it.Content, func(p protocol.Content) bool {
		return p.Type == protocol.OutputAudio || p.Type == protocol.InputAudio
	})
	switch {
	case i >= 0:
		it.Content[i].Transcript = &text
	case len(it.Content) > 0:
		it.Content[0].Text = text
	}
}

// show returns the item as an event may carry it: with contents of its own.
func (it *item) show() protocol.Item {
	shown := it.Item
	shown.Content = slices.Clone(it.Content)
	for i := range shown.Content {
		shown.Content[i].Audio = nil
	}
	return shown
}

// spoken is an item of the person's sound.
func spoken(id string) *item {
	return &item{
		Item: protocol.Item{
			ID: id, Type: protocol.Message, Role: protocol.User, Status: protocol.Completed,
			Content: []protocol.Content{{Type: protocol.InputAudio}},
		},
		words: newWords(),
	}
}
