package realtime

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"brenda/pipeline"
)

// TestAnyPatience has a person do anything, with engines as slow as they please, and then ask a question, cough, and wait: there is
// an answer, whatever was before. All the while the rules of violations and disorder hold.
func TestAnyPatience(t *testing.T) {
	n := 100
	if testing.Short() {
		n = 20
	}
	for seed := range n {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 2026))
			scene(t, patient(r), func(p *person) {
				for range 15 {
					if r.IntN(4) == 0 {
						p.deletesSomething(r)
					} else {
						anything(p, r)
					}
				}
				p.finalQuestion(r)
			})
		})
	}
}

// patient is a scene with engines that take from no time to many seconds.
func patient(r *rand.Rand) script {
	s := speaking("Quel temps fait-il ?", "oui", "stop", "", "Il fait beau aujourd'hui", "je voudrais un", "Dernière question.")
	s.earTime = time.Duration(1+r.IntN(100*(1+r.IntN(150)))) * time.Millisecond
	thinks := time.Duration(r.IntN(100*(1+r.IntN(100)))) * time.Millisecond
	s.llm = func(pipeline.Prompt) (string, error) {
		time.Sleep(thinks)
		return usualAnswer, nil
	}
	if r.IntN(2) == 0 {
		s.turn = slowJudge{r.Float32(), time.Duration(r.IntN(5000)) * time.Millisecond}
	}
	return s
}

// finalQuestion asks, perhaps coughs while the answer is made, and checks that there is an answer.
func (p *person) finalQuestion(r *rand.Rand) {
	mode := []string{"server_vad", "semantic_vad"}[r.IntN(2)]
	p.send(`{"type":"session.update","session":{"type":"realtime","audio":{"input":{"turn_detection":{"type":"` + mode + `"}}}}}`)
	p.clear()
	time.Sleep(time.Minute) // until all is said that was to be said before
	n := len(p.line.events())
	p.says(6, 1000)
	p.quiet(600 + r.IntN(3000))
	switch r.IntN(4) {
	case 0: // only waits
	case 1:
		p.says(3, 100+r.IntN(200))
		p.clear()
	default:
		p.says(3, 100+r.IntN(200))
	}
	p.hush(time.Minute)
	answered := false
	for _, e := range p.line.events()[n:] {
		answered = answered || e.kind == "response.done" && e.str("response", "status") == "completed"
	}
	if !answered {
		p.t.Errorf("no answer: %s", story(p.line.events()[n:]))
	}
	if left := open(p.line.events()); len(left) > 0 {
		p.t.Errorf("never ended: %v", left)
	}
	if asked := p.llm.last().Messages; !strings.Contains(asked[len(asked)-1].Content, "Dernière question.") {
		p.t.Errorf("the last prompt was %+v", asked)
	}
}

// hush is a long silence, in larger pieces than quiet has.
func (p *person) hush(d time.Duration) {
	const step = 500 * time.Millisecond
	frame := `{"type":"input_audio_buffer.append","audio":"` + base64.StdEncoding.EncodeToString(make([]byte, 2*testRate/2)) + `"}`
	for range d / step {
		time.Sleep(step)
		p.send(frame)
	}
}

// deletesSomething deletes any item, perhaps one whose words are not known yet.
func (p *person) deletesSomething(r *rand.Rand) {
	var ids []string
	for _, e := range p.line.events() {
		if e.kind == "conversation.item.added" {
			ids = append(ids, e.str("item", "id"))
		}
	}
	if len(ids) > 0 {
		p.send(fmt.Sprintf(`{"type":"conversation.item.delete","item_id":%q}`, ids[len(ids)-1-r.IntN(min(3, len(ids)))]))
	}
}
