package realtime

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shown is a test outside of the tables, and what it shows.
type shown struct{ dir, test, shows string }

// elsewhere are the tests of turn-taking that are no table.
func elsewhere() []shown {
	const here, machine = "realtime", "realtime/turntaking"
	return []shown{
		{here, "TestVoiceTurn", "order: speech started, stopped, committed, the message, its words, the answer"},
		{here, "TestTextTurn", "order: a typed question and its answer, to response.done and rate_limits.updated"},
		{here, "TestWrittenAnswer", "order: an answer in text"},
		{here, "TestFunctionCall", "order: a function call and its result"},
		{here, "TestWordsBeforeACall", "order: a call while words are spoken"},
		{here, "TestParallelCalls", "order: several calls in one response"},
		{here, "TestInterruptedCall", "pain 6: a call that is cut is never done"},
		{here, "TestInterruptedBeforeTheNextResponse", "pain 6: a result is told in the answer to the interruption"},
		{here, "TestSpeechWhileAFunctionWorks", "pain 5: a call without a result holds nothing up"},
		{here, "TestInterruption", "pain 4: cut at what was heard; order of an interrupted response"},
		{here, "TestStopWord", "pain 8: “stop” cuts at once"},
		{here, "TestHarmlessSounds", "pains 1 to 3: six sounds that cut nothing"},
		{here, "TestSoundIsHeldAtOnce", "pain 1: the answer is held while it is unclear who speaks"},
		{here, "TestReplyIntoTheMicrophone", "pain 3: with a fast and a slow recognizer, and people can interrupt"},
		{here, "TestShortEcho", "pain 3: an echo that is known when the answer is over"},
		{here, "TestMicrophoneGoesOffOverTheReply", "pain 5: an answer that is held goes on"},
		{here, "TestNoInterruptionWhenTurnedOff", "pain 6: interrupt_response: false"},
		{here, "TestTruncate", "pain 4: the client's word on what was heard"},
		{here, "TestWordOfTheDevice", "pain 4: the device's word on what was heard"},
		{here, "TestHangUpKeepsWhatWasSaid", "pain 4: the line goes dead in mid-answer"},
		{here, "TestAnswerIsPrepared", "pain 16: all work is done within the silence"},
		{here, "TestPauseWithinATurn", "pain 8: a draft is thrown away without a trace"},
		{here, "TestSettingsChangeInAPause", "pain 19: a draft with old settings is thrown away"},
		{here, "TestSemanticTurns", "pain 8: how long a finished and an unfinished sentence are waited for"},
		{here, "TestPushToTalk", "turns that the client ends"},
		{here, "TestIdleTimeout", "somebody who says nothing is spoken to"},
		{here, "TestSpeechBeforeTheAnswer", "pain 6: two sentences, one answer"},
		{here, "TestNoiseGetsNoAnswer", "pain 11: sound without words"},
		{here, "TestTranscriptionFails", "pain 5: the recognizer fails"},
		{here, "TestFailedResponse", "pain 5: the model or the voice fails"},
		{here, "TestSecondResponseIsRefused", "pain 7: one response at a time"},
		{here, "TestCancelAtAnyMoment", "one terminal event: cancelled each 25 ms of an answer"},
		{here, "TestStopByREST", "pain 6: stopped by another way"},
		{here, "TestLanguages", "pain 12: the languages of a session"},
		{here, "TestPacing", "pain 6: little sound is on its way"},
		{here, "TestSoundIsBounded", "pain 13: the microphone's sound"},
		{here, "TestNothingIsLeft", "pain 13: goroutines, handles and memory after 200 connects"},
		{here, "TestOverload", "pain 14: nobody is let in when sound is late"},
		{here, "TestWaterfall", "pain 20: the times of a turn"},
		{here, "TestResumeInMidReply", "pain 18: all of the answer is heard"},
		{here, "TestResumeReplays", "pain 18: what was missed comes again, once"},
		{here, "TestResumeAfterALongSilence", "pain 18: no old sound"},
		{here, "TestRandomDrops", "pain 18: 200 dropped lines"},
		{here, "TestAnything", "the rules: 100 random conversations"},
		{here, "TestAnyErrand", "the rules: 40 random conversations with functions"},
		{here, "TestAnyPatience", "the rules, and that there is an answer: 100 random conversations with slow engines"},
		{here, "TestViolations", "each rule of ids and ends can fail"},
		{here, "TestDisorder", "each rule of order can fail"},
		{machine, "TestScenarios", "pains 1, 2, 3 and 8: the decisions, without engines"},
		{machine, "TestTurnKeepsItsFirstSyllable", "pain 17: the sound before the first speech"},
		{machine, "TestSlowSpeakerIsGivenTime", "pain 8: somebody who pauses long"},
		{machine, "TestInvariants", "the rules of the decisions: 300 random microphones"},
		{"pipeline/speechtext", "TestNeverCut", "pain 9: abbreviations, numbers, quotations"},
		{"pipeline/speechtext", "TestFrench", "pain 10: what is written and how it is spoken"},
		{"pipeline/hearing", "TestGuards", "pain 11: what recognizers invent"},
	}
}

var rewrite = flag.Bool("rewrite", false, "write docs/scenarios.md anew")

// TestScenarioList holds docs/scenarios.md to be true: what it lists is there, and what is there is listed.
func TestScenarioList(t *testing.T) {
	pains := append(append(firstPains(), morePains()...), lastPains()...)
	var b strings.Builder
	b.WriteString("# Scenes\n\nConversations in virtual time: a scripted person, scripted engines, and the whole of a call between them. " +
		"This list is\nwritten by `go test ./realtime -run TestScenarioList -rewrite`, and a test holds it to be true.\n" +
		"\n## The twenty pains (TestPains)\n\n")
	table(&b, pains)
	b.WriteString("\n## Engines that take longer than a person waits (TestSlowEngines)\n\n")
	table(&b, slowScenes())
	b.WriteString("\n## Others\n\n| test | shows |\n|---|---|\n")
	for _, s := range elsewhere() {
		fmt.Fprintf(&b, "| `%s` %s | %s |\n", s.dir, s.test, s.shows)
		if !tests(t, s.dir)[s.test] {
			t.Errorf("there is no %s in %s", s.test, s.dir)
		}
	}
	for n := 1; n <= 20; n++ {
		if !strings.Contains(b.String(), fmt.Sprintf("pain %d:", n)) {
			t.Errorf("pain %d has no scene", n)
		}
	}
	if n := len(pains) + len(slowScenes()); n < 40 {
		t.Errorf("%d scenes", n)
	}
	const file = "../docs/scenarios.md"
	if *rewrite {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != b.String() {
		t.Errorf("%s is not what there is: run this test with -rewrite (%v)", file, err)
	}
}

func table(b *strings.Builder, list []scenario) {
	for _, s := range list {
		b.WriteString("- " + s.name + "\n")
	}
}

// tests returns the names of the tests in a folder of the module.
func tests(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(dir), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}

// TestDisorder shows that each rule of order can fail.
func TestDisorder(t *testing.T) {
	ev := func(kind string, more ...string) event {
		body := map[string]any{}
		for i := 0; i+1 < len(more); i += 2 {
			body[more[i]] = more[i+1]
		}
		return event{kind: kind, body: body}
	}
	in := func(e event, id string, more ...string) event {
		it := map[string]any{"id": id}
		for i := 0; i+1 < len(more); i += 2 {
			it[more[i]] = more[i+1]
		}
		e.body["item"] = it
		return e
	}
	started, stopped := ev("input_audio_buffer.speech_started", "item_id", "u"), ev("input_audio_buffer.speech_stopped", "item_id", "u")
	created := ev("response.created")
	created.body["response"] = map[string]any{"id": "r", "conversation_id": "c"}
	unfinished := ev("response.done")
	unfinished.body["response"] = map[string]any{"id": "r"}
	item := in(ev("response.output_item.added", "response_id", "r"), "a")
	for want, events := range map[string][]event{
		"right behind input_audio_buffer.speech_stopped": {started, stopped, created},
		"within a turn":              {started, ev("input_audio_buffer.speech_started", "item_id", "v")},
		"of no turn":                 {stopped},
		"another item than that of":  {started, stopped, ev("input_audio_buffer.committed", "item_id", "v")},
		"another item than the one":  {ev("input_audio_buffer.committed", "item_id", "u"), in(ev("conversation.item.added"), "v")},
		"an item that is not there":  {in(ev("conversation.item.added", "previous_item_id", "x"), "u")},
		"before it was added":        {in(ev("conversation.item.done"), "u")},
		"speech has ended":           {created, item, started, ev("response.output_audio.delta", "response_id", "r", "item_id", "a")},
		"when its message is":        {created, item, ev("response.output_audio.delta", "response_id", "r", "item_id", "a")},
		"has 0 items, 1 were added":  {created, item, unfinished},
		"without a response":         {ev("rate_limits.updated")},
		"before its item":            {ev("conversation.item.input_audio_transcription.completed", "item_id", "u")},
		"right behind response.done": {created, unfinished, created},
		"done in the response":       {created, item, in(ev("conversation.item.added"), "a"), in(ev("conversation.item.done"), "a", "role", "assistant")},
		"and \"\" was shown":         {created, item, ev("response.output_audio_transcript.done", "item_id", "a", "transcript", "Oui")},
		"is number 0, after 1":       {created, item, item},
		"after completed":            {in(ev("conversation.item.added"), "u"), ev("conversation.item.input_audio_transcription.completed", "item_id", "u"), ev("conversation.item.input_audio_transcription.delta", "item_id", "u")},
	} {
		var all []string
		for _, err := range disorder(events) {
			all = append(all, err.Error())
		}
		if !strings.Contains(strings.Join(all, "\n"), want) {
			t.Errorf("%q is not found: %q", want, all)
		}
	}
}
