import assert from "node:assert/strict";
import { test } from "node:test";
import { SESSION, initial, phase, step } from "../static/conversation.js";

// run feeds events to a conversation that is online, and collects what there is to do.
function run(...events) {
  let state = { ...initial, link: "online", mic: true };
  const todo = [];
  for (const event of events) {
    const [next, more] = step(state, event);
    state = next;
    todo.push(...more);
  }
  const sent = todo.filter((d) => d.do === "send").map((d) => d.event.type);
  return { state, todo, sent, kinds: todo.map((d) => d.do), words: state.lines.map((l) => `${l.who} ${l.state} ${l.text}`) };
}

const started = (item_id = "u1") => ({ type: "input_audio_buffer.speech_started", item_id, audio_start_ms: 0 });
const stopped = { type: "input_audio_buffer.speech_stopped", item_id: "u1", audio_end_ms: 900 };
const committed = { type: "input_audio_buffer.committed", item_id: "u1", previous_item_id: null };
const transcript = (text, item_id = "u1") => ({ type: "conversation.item.input_audio_transcription.completed", item_id, transcript: text });
const created = { type: "response.created", response: { id: "r1" } };
const ref = { response_id: "r1", item_id: "a1", output_index: 0, content_index: 0 };
const added = { type: "response.output_item.added", ...ref, item: { id: "a1", type: "message", role: "assistant" } };
const says = (delta) => ({ type: "response.output_audio_transcript.delta", ...ref, delta });
const sounds = { type: "response.output_audio.delta", ...ref, delta: "AAAA" };
const ended = (status = "completed", more = {}) => ({ type: "response.done", response: { id: "r1", status, ...more } });
const question = [started(), stopped, committed, transcript(" Quelle heure est-il ? ")];
const answer = [created, added, says("Il est "), says("midi."), sounds];

test("the session is configured as soon as it is there", () => {
  const { todo } = run({ type: "session.created", session: {} });
  assert.deepEqual(todo, [{ do: "send", event: { type: "session.update", session: SESSION } }]);
});

test("the phases of a turn", () => {
  const events = [...question, ...answer, { type: "page.started" }, ended(), { type: "page.drained" }];
  const seen = events.map((_, i) => phase(run(...events.slice(0, i + 1)).state));
  assert.deepEqual(seen.filter((p, i) => p !== seen[i - 1]), ["hearing", "thinking", "speaking", "listening"]);
  assert.equal(phase({ ...initial, link: "offline", hearing: true }), "offline");
  assert.equal(phase(initial), "ready");
});

test("captions of both", () => {
  const { words, state } = run(...question, ...answer, ended());
  assert.deepEqual(words, ["person done Quelle heure est-il ?", "brenda done Il est midi."]);
  assert.equal(state.response, null);
});

test("captions grow by deltas, and the complete text replaces them", () => {
  const delta = (d) => ({ type: "conversation.item.input_audio_transcription.delta", item_id: "u1", delta: d });
  assert.deepEqual(run(started(), delta("Quelle "), delta("eure")).words, ["person live Quelle eure"]);
  assert.deepEqual(run(started(), delta("Quelle "), transcript("Quelle heure ?")).words, ["person done Quelle heure ?"]);
});

test("speech silences the speaker at once, and stale sound is not played", () => {
  const { kinds, state } = run(...question, ...answer, { type: "page.started" }, started("u2"), sounds, sounds);
  assert.deepEqual(kinds, ["play", "silence"]);
  assert.equal(phase(state), "hearing");
});

test("the next reply is played after an interruption", () => {
  const next = { ...sounds, response_id: "r2", item_id: "a2" };
  const { kinds } = run(...answer, started("u2"), ended("cancelled"), { type: "response.created", response: { id: "r2" } }, next);
  assert.deepEqual(kinds, ["play", "silence", "finish", "play"]);
});

test("a reply that was cut is truncated where it was heard, and shows what was heard", () => {
  const heard = { type: "conversation.item.retrieved", item: { id: "a1", content: [{ type: "output_audio", transcript: "Il est" }] } };
  const { sent, todo, words } = run(
    ...question, ...answer, { type: "page.started" }, started("u2"), { type: "page.cut", id: "a1", ms: 640 },
    { type: "conversation.item.truncated", item_id: "a1", content_index: 0, audio_end_ms: 640 }, heard, ended("cancelled"),
  );
  assert.deepEqual(sent, ["conversation.item.truncate", "conversation.item.retrieve"]);
  assert.deepEqual(todo.find((d) => d.do === "send").event, {
    type: "conversation.item.truncate", item_id: "a1", content_index: 0, audio_end_ms: 640,
  });
  assert.equal(words[1], "brenda cut Il est");
});

test("silence or noise leaves no line and no waiting", () => {
  assert.deepEqual(run(started(), stopped, committed, transcript("  ")).words, []);
  assert.equal(phase(run(started(), stopped, committed, transcript("")).state), "listening");
  assert.deepEqual(run(started(), started("u2")).words, ["person live "], "a false start is forgotten");
});

test("typing: shown at once, asked, and answered", () => {
  const { words, sent, todo } = run({ type: "page.submit", id: "w1", text: "Bonjour" }, {
    type: "conversation.item.added", item: { id: "w1", type: "message", role: "user", content: [{ type: "input_text", text: "Bonjour" }] },
  });
  assert.deepEqual(words, ["person done Bonjour"]);
  assert.deepEqual(sent, ["conversation.item.create", "response.create"]);
  assert.deepEqual(todo[0].event.item, { id: "w1", type: "message", role: "user", content: [{ type: "input_text", text: "Bonjour" }] });
});

test("typing into a reply ends it, and asks when it has ended", () => {
  const before = run(...answer, { type: "page.submit", id: "w1", text: "Non" });
  assert.deepEqual(before.sent, ["response.cancel", "conversation.item.create"]);
  assert.ok(before.kinds.includes("silence"));
  const after = run(...answer, { type: "page.submit", id: "w1", text: "Non" }, ended("cancelled"));
  assert.deepEqual(after.sent, ["response.cancel", "conversation.item.create", "response.create"]);
});

test("the button within a sentence ends the turn, and keeps the question", () => {
  const { sent, state } = run(started(), { type: "page.mic", on: false });
  assert.deepEqual(sent, ["input_audio_buffer.commit", "response.create"]);
  assert.equal(phase(state), "thinking");
  assert.equal(state.lines.length, 1);
});

test("the button while Brenda speaks silences her", () => {
  const { sent, kinds, state } = run(...answer, { type: "page.started" }, { type: "page.mic", on: false });
  assert.ok(kinds.includes("silence") && sent.includes("response.cancel") && !state.mic);
});

test("Escape stops everything", () => {
  const { sent, kinds, state } = run(...answer, { type: "page.started" }, { type: "page.stop" });
  assert.deepEqual(sent, ["response.cancel"]);
  assert.ok(kinds.includes("silence") && !state.mic);
  assert.deepEqual(run(started(), { type: "page.stop" }).sent, ["input_audio_buffer.clear"]);
  assert.deepEqual(run(started(), { type: "page.stop" }).words, []);
});

test("a lost connection cuts the reply that was being made, keeps what was said, and waits for nothing", () => {
  const { words, state } = run(...question, ...answer, { type: "page.link", link: "offline" });
  assert.deepEqual(words, ["person done Quelle heure est-il ?", "brenda cut Il est midi."]);
  assert.equal(state.response, null);
  assert.equal(phase(run({ type: "page.link", link: "offline" }, { type: "session.updated" }).state), "listening");
});

test("a reply without words leaves no line; a failed one says so", () => {
  assert.deepEqual(run(created, added, ended("cancelled")).words, []);
  const { state } = run(created, added, ended("failed", { status_details: { error: { message: "no engine" } } }));
  assert.deepEqual(state.notice, { key: "failed", detail: "no engine" });
});

test("errors are shown, races are not", () => {
  const fails = (code) => run({ type: "error", error: { code, message: "m" } }).state.notice;
  assert.equal(fails("response_cancel_not_active"), null);
  assert.deepEqual(fails("overloaded"), { key: "serverError", detail: "m" });
});

test("times of a turn are drawn", () => {
  const metadata = { decision: "250" };
  assert.deepEqual(run(created, ended("completed", { metadata })).todo.at(-1), { do: "stages", metadata });
});

test("what is unknown changes nothing, and no state is ever changed in place", () => {
  assert.deepEqual(run({ type: "rate_limits.updated", rate_limits: [] }).todo, []);
  const freeze = (o) => (Object.values(o).forEach((v) => v && typeof v === "object" && freeze(v)), Object.freeze(o));
  let state = { ...initial, link: "online", mic: true };
  for (const e of [...question, ...answer, { type: "page.cut", id: "a1", ms: 1 }, ended(), { type: "page.stop" }]) {
    [state] = step(freeze(state), e);
  }
});
