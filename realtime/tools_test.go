package realtime

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"brenda/pipeline"
	"brenda/pipeline/session"
)

const weatherTool = `"tools":[{"type":"function","name":"meteo","description":"La météo","parameters":{"type":"object"}},` +
	`{"type":"function","name":"heure","parameters":{}}]`

// errands is a model that says before, calls when nobody has answered yet, and otherwise answers.
func errands(before string, calls ...pipeline.ToolCall) script {
	fresh := func(p pipeline.Prompt) bool { return p.Messages[len(p.Messages)-1].Role == "user" }
	return script{
		update: `{"type":"realtime","audio":{"input":{"transcription":{"model":"whisper-1"}}},` + weatherTool + `}`,
		llm: func(p pipeline.Prompt) (string, error) {
			if fresh(p) {
				return before, nil
			}
			return "Il fait beau à Paris.", nil
		},
		calls: func(p pipeline.Prompt) []pipeline.ToolCall {
			if fresh(p) {
				return calls
			}
			return nil
		},
	}
}

func paris() pipeline.ToolCall {
	return pipeline.ToolCall{ID: "call_1", Name: "meteo", Arguments: `{"ville":"Paris"}`}
}

func (p *person) result(call, output string) {
	p.send(fmt.Sprintf(`{"type":"conversation.item.create","item":{"type":"function_call_output","call_id":%q,"output":%q}}`, call, output))
}

// roles is the order of a prompt's messages.
func roles(p pipeline.Prompt) string {
	var out []string
	for _, m := range p.Messages {
		role := []string{m.Role}
		for _, c := range m.ToolCalls {
			role = append(role, "+", c.ID)
		}
		if m.ToolCallID != "" {
			role = append(role, ":", m.ToolCallID)
		}
		out = append(out, strings.Join(role, ""))
	}
	return strings.Join(out, " ")
}

func TestFunctionCall(t *testing.T) {
	scene(t, errands("", paris()), func(p *person) {
		n := p.read
		p.types("Quel temps fait-il à Paris ?")
		done := p.wait("response.done")
		const want = "conversation.item.added conversation.item.done response.created response.output_item.added conversation.item.added " +
			"response.function_call_arguments.delta* response.function_call_arguments.done response.output_item.done " +
			"conversation.item.done response.done(completed)"
		if got := p.since(n); !strings.HasPrefix(got, want) {
			t.Errorf("got  %s\nwant %s…", got, want)
		}
		call := done.get("response", "output").([]any)[0].(map[string]any)
		if call["type"] != "function_call" || call["status"] != "completed" || call["arguments"] != `{"ville":"Paris"}` || call["call_id"] != "call_1" {
			t.Errorf("the output is %v", call)
		}
		prompt := p.llm.last()
		if len(prompt.Tools) != 2 || prompt.Tools[0].Name != "meteo" || prompt.ToolChoice.Mode != "auto" || prompt.OneCall {
			t.Errorf("the prompt was %+v", prompt)
		}
		if turns := p.store.turns("me"); len(turns) != 0 {
			t.Errorf("the history has %+v before there is an answer", turns)
		}
		p.result("call_1", "grand soleil")
		p.send(`{"type":"response.create"}`)
		if e := p.wait("response.done"); e.str("response", "output", "content", "transcript") != "Il fait beau à Paris." {
			t.Errorf("got %v", e.body)
		}
		if got := roles(p.llm.last()); got != "system user assistant+call_1 tool:call_1" {
			t.Errorf("the prompt was %s", got)
		}
		turns := p.store.turns("me")
		if len(turns) != 1 || len(turns[0].Calls) != 1 || turns[0].Calls[0].Output != "grand soleil" || turns[0].User != "Quel temps fait-il à Paris ?" {
			t.Errorf("the history has %+v", turns)
		}
		p.types("Merci.")
		p.wait("response.created")
		synctest.Wait()
		if got := roles(p.llm.last()); got != "system user assistant+call_1 tool:call_1 assistant user" {
			t.Errorf("the prompt was %s", got)
		}
	})
}

// TestWordsBeforeACall are spoken while the function is at work, and the answer follows them without a second request.
func TestWordsBeforeACall(t *testing.T) {
	scene(t, errands("Un instant, je regarde ce que dit la météo.", paris()), func(p *person) {
		p.types("Quel temps ?")
		name := p.wait("response.function_call_arguments.done")
		if name.str("name") != "meteo" || name.get("output_index").(float64) != 1 {
			t.Errorf("got %v", name.body)
		}
		p.result("call_1", "soleil")
		p.send(`{"type":"response.create"}`) // the first one is still being spoken
		one := p.wait("response.done")
		if n := len(one.get("response", "output").([]any)); n != 2 || one.str("response", "status") != "completed" {
			t.Errorf("got %v", one.body)
		}
		two := p.wait("response.done")
		if two.str("response", "output", "content", "transcript") != "Il fait beau à Paris." {
			t.Errorf("got %v", two.body)
		}
		if got := roles(p.llm.last()); got != "system user assistant+call_1 tool:call_1" {
			t.Errorf("the prompt was %s", got)
		}
		if m := p.llm.last().Messages[2]; m.Content != "Un instant, je regarde ce que dit la météo." {
			t.Errorf("the call's message is %+v", m)
		}
		turns := p.store.turns("me")
		if len(turns) != 2 || turns[0].Assistant == "" || turns[1].User != "" || len(turns[1].Calls) != 1 {
			t.Errorf("the history has %+v", turns)
		}
	})
}

func TestParallelCalls(t *testing.T) {
	two := pipeline.ToolCall{ID: "call_2", Name: "heure", Arguments: "{}"}
	scene(t, errands("", paris(), two), func(p *person) {
		p.types("Le temps et l'heure ?")
		done := p.wait("response.done")
		items := done.get("response", "output").([]any)
		if len(items) != 2 || items[1].(map[string]any)["name"] != "heure" {
			t.Errorf("got %v", done.body)
		}
		p.result("call_2", "midi") // in the other order
		p.result("call_1", "soleil")
		p.send(`{"type":"response.create"}`)
		p.wait("response.done")
		if got := roles(p.llm.last()); got != "system user assistant+call_1+call_2 tool:call_1 tool:call_2" {
			t.Errorf("the prompt was %s", got)
		}
		p.send(`{"type":"session.update","session":{"type":"realtime","parallel_tool_calls":false,"tool_choice":"required"}}`)
		p.types("Encore.")
		p.wait("response.done")
		if q := p.llm.last(); !q.OneCall || q.ToolChoice.Mode != "required" {
			t.Errorf("the prompt was %+v", q)
		}
	})
}

func TestToolChoice(t *testing.T) {
	scene(t, errands(""), func(p *person) {
		p.send(`{"type":"response.create","response":{"tool_choice":{"type":"function","name":"heure"}}}`)
		p.wait("response.done")
		tools, must := p.llm.last().CanCall()
		if len(tools) != 1 || tools[0].Name != "heure" || !must {
			t.Errorf("offered %+v", tools)
		}
		p.send(`{"type":"response.create","response":{"tool_choice":"none"}}`)
		p.wait("response.done")
		if tools, _ := p.llm.last().CanCall(); len(tools) != 0 {
			t.Errorf("offered %+v", tools)
		}
		p.send(`{"type":"response.create","event_id":"x","response":{"tool_choice":{"type":"function","name":"rien"}}}`)
		if e := p.wait("error"); e.str("error", "event_id") != "x" {
			t.Errorf("got %v", e.body)
		}
	})
}

// TestBadArguments never reach a client as a call that is whole.
func TestBadArguments(t *testing.T) {
	broken := pipeline.ToolCall{ID: "call_1", Name: "meteo", Arguments: `{"ville":`}
	scene(t, errands("", broken), func(p *person) {
		n := p.read
		p.types("Quel temps ?")
		e := p.wait("response.done")
		if e.str("response", "status") != "failed" || e.str("response", "status_details", "error", "code") != "bad_tool_call" {
			t.Errorf("got %v", e.body)
		}
		if got := p.since(n); strings.Contains(got, "arguments.done") {
			t.Errorf("got %s", got)
		}
		p.types("Alors ?")
		p.wait("response.done")
		if got := roles(p.llm.last()); got != "system user" {
			t.Errorf("the prompt was %s", got)
		}
	})
}

// TestInterruptedCall: the person speaks while a call is being written. It is not carried out, and not in the next prompt.
func TestInterruptedCall(t *testing.T) {
	long := pipeline.ToolCall{ID: "call_1", Name: "meteo", Arguments: `{"a":1` + strings.Repeat(`,"b":2`, 200) + `}`}
	s := errands("", long)
	s.words = []string{"attends"}
	scene(t, s, func(p *person) {
		n := p.read
		p.types("Quel temps ?")
		p.wait("response.function_call_arguments.delta")
		p.says(0, 900)
		e := p.wait("response.done")
		if e.str("response", "status") != "cancelled" || e.str("response", "output", "status") != "incomplete" {
			t.Errorf("got %v", e.body)
		}
		if got := p.since(n); strings.Contains(got, "arguments.done") {
			t.Errorf("got %s", got)
		}
		p.quiet(1500)
		synctest.Wait()
		last := p.llm.last()
		if got := roles(last); got != "system user" || !strings.HasSuffix(last.Messages[1].Content, "attends") {
			t.Errorf("the prompt was %s: %+v", got, last.Messages)
		}
		p.send(`{"type":"response.cancel"}`)
		p.quiet(200)
	})
}

// TestInterruptedBeforeTheNextResponse: the person speaks over the words before a call, whose result is there and waits to
// be told. It is told in the answer to what the person says.
func TestInterruptedBeforeTheNextResponse(t *testing.T) {
	s := errands("Un instant, je regarde ce que dit la météo pour la ville de Paris, et je vous le dis.", paris())
	s.words = []string{"attends"}
	scene(t, s, func(p *person) {
		p.types("Quel temps ?")
		p.wait("response.function_call_arguments.done")
		p.result("call_1", "soleil")
		p.send(`{"type":"response.create"}`)
		p.wait("response.output_audio.delta")
		p.says(0, 1200)
		n := p.read
		if e := p.wait("response.done"); e.str("response", "status") != "cancelled" {
			t.Errorf("got %v", e.body)
		}
		p.quiet(1500)
		p.wait("response.created")
		if got := strings.Count(p.since(n), "response.created"); got != 1 {
			t.Errorf("%d responses: %s", got, p.since(n))
		}
		last := p.llm.last()
		if got := roles(last); got != "system user assistant+call_1 tool:call_1 user" || last.Messages[3].Content != "soleil" {
			t.Errorf("the prompt was %s", got)
		}
	})
}

// TestSpeechWhileAFunctionWorks: a call that has no result yet is valid in the prompt, and its result finds its place.
func TestSpeechWhileAFunctionWorks(t *testing.T) {
	s := errands("", paris())
	s.words = []string{"Et demain ?"}
	scene(t, s, func(p *person) {
		p.types("Quel temps ?")
		p.wait("response.done")
		p.says(0, 900)
		p.quiet(1500)
		p.wait("response.done")
		last := p.llm.last()
		if got := roles(last); got != "system user assistant+call_1 tool:call_1 user" || last.Messages[3].Content != noResult {
			t.Errorf("the prompt was %s", got)
		}
		p.result("call_1", "soleil")
		p.send(`{"type":"response.create"}`)
		p.wait("response.done")
		last = p.llm.last()
		if !strings.HasPrefix(roles(last), "system user assistant+call_1 tool:call_1 user") || last.Messages[3].Content != "soleil" {
			t.Errorf("the prompt was %s: %+v", roles(last), last.Messages)
		}
	})
}

func TestToolItemsOfClients(t *testing.T) {
	scene(t, script{}, func(p *person) {
		p.send(`{"type":"conversation.item.create","event_id":"a","item":{"type":"function_call_output","call_id":"none","output":"x"}}`)
		if e := p.wait("error"); e.str("error", "code") != "invalid_tool_call_id" || e.str("error", "event_id") != "a" {
			t.Errorf("got %v", e.body)
		}
		p.send(`{"type":"conversation.item.create","item":{"type":"function_call","name":"f","call_id":"c","arguments":"[1]"}}`)
		if e := p.wait("error"); e.str("error", "param") != "item.arguments" {
			t.Errorf("got %v", e.body)
		}
		p.send(`{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_text","text":"Bonjour"}]}}`)
		p.send(`{"type":"conversation.item.create","item":{"type":"function_call","name":"f","call_id":"c","arguments":""}}`)
		p.result("c", "42")
		p.send(`{"type":"response.create"}`)
		p.wait("response.done")
		if got := roles(p.llm.last()); got != "system user assistant+c tool:c" {
			t.Errorf("the prompt was %s", got)
		}
	})
}

// TestTurnsOfOtherWays: what REST adds to the conversation while the call goes on is there for the next answer.
func TestTurnsOfOtherWays(t *testing.T) {
	scene(t, script{}, func(p *person) {
		p.types("Bonjour")
		p.wait("response.done")
		if err := p.hub.Session("me").Append(p.t.Context(), turnOf("Par REST", "Bien reçu.")); err != nil {
			t.Fatal(err)
		}
		p.types("Et maintenant ?")
		p.wait("response.done")
		var said []string
		for _, m := range p.llm.last().Messages[1:] {
			said = append(said, m.Content)
		}
		if got := strings.Join(said, " | "); got != "Bonjour | "+usualAnswer+" | Par REST | Bien reçu. | Et maintenant ?" {
			t.Errorf("the prompt was %s", got)
		}
		if turns := p.store.turns("me"); len(turns) != 3 || turns[2].User != "Et maintenant ?" {
			t.Errorf("the history has %+v", turns)
		}
	})
}

// TestHangUpKeepsWhatWasSaid: the call ends in the midst of an answer.
func TestHangUpKeepsWhatWasSaid(t *testing.T) {
	scene(t, script{}, func(p *person) {
		p.types("Bonjour")
		p.wait("response.output_audio.delta")
		time.Sleep(2 * time.Second)
		p.line.Close(nil)
		<-p.over
		turns := p.store.turns("me")
		if len(turns) != 1 || turns[0].User != "Bonjour" || turns[0].Assistant == "" || !turns[0].Cut {
			t.Errorf("the history has %+v", turns)
		}
	})
}

// TestTimesOfACancelledAnswer: what was reached before the cancelling is told.
func TestTimesOfACancelledAnswer(t *testing.T) {
	scene(t, script{}, func(p *person) {
		p.types("Bonjour")
		p.wait("response.output_audio.delta")
		p.send(`{"type":"response.cancel"}`)
		e := p.wait("response.done")
		for _, name := range []string{"first_token", "first_chunk", "first_audio", "sent"} {
			if e.str("response", "metadata", name) == "" {
				t.Errorf("no %s in %v", name, e.get("response", "metadata"))
			}
		}
		if n, _ := e.get("response", "usage", "output_tokens").(float64); n == 0 {
			t.Errorf("usage %v", e.get("response", "usage"))
		}
	})
}

func turnOf(user, assistant string) session.Turn {
	return session.Turn{User: user, Assistant: assistant}
}
