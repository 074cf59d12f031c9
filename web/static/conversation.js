// The conversation as the page knows it: a pure reducer. step takes the state and an event, and returns the new state
// and what there is to do. Events are the server's (OpenAI Realtime, GA dialect) and the page's own, "page.…".
//
// What there is to do, by its key "do":
//   send {event}      send this to the server          play {id, audio}   queue sound of an item
//   silence           flush the speaker at once        finish             the reply has no more sound
//   stages {metadata} draw where the time of a turn went

export const initial = Object.freeze({
  link: "idle", // idle, connecting, online, offline
  mic: false,
  hearing: false, // the person speaks
  awaiting: false, // a reply is due, and not begun
  sounding: false, // the speaker plays
  response: null, // the id of the reply that is being made
  muted: null, // the id of the reply whose sound is stale
  asking: false, // a response.create waits for the end of the running reply
  lines: [], // {id, who: "person"|"brenda", text, state: "live"|"done"|"cut", response?}
  notice: null, // {key, detail?} of i18n.js
});

// What the page asks for. What is left out is the server's choice.
export const SESSION = {
  type: "realtime",
  output_modalities: ["audio"],
  audio: {
    input: {
      format: { type: "audio/pcm", rate: 24000 },
      transcription: { language: "fr" },
      turn_detection: { type: "semantic_vad", eagerness: "auto", create_response: true, interrupt_response: true },
    },
    output: { format: { type: "audio/pcm", rate: 24000 } },
  },
};

// Errors that are the end of a race between page and server, and nothing to tell a person.
const HARMLESS = new Set([
  "response_cancel_not_active", "conversation_already_has_active_response", "input_audio_buffer_commit_empty",
  "item_not_found", "item_truncate_invalid_item_id",
]);

// phase is the one word for what goes on.
export function phase(s) {
  if (s.link === "connecting" || s.link === "offline") return s.link;
  if (s.hearing) return "hearing";
  if (s.sounding) return "speaking";
  if (s.response || s.awaiting || s.asking) return "thinking";
  return s.mic ? "listening" : "ready";
}

export function step(s, event) {
  const handler = handlers[event.type];
  return handler ? handler(s, event) : [s, []];
}

const send = (event) => ({ do: "send", event });
const create = send({ type: "response.create" });

// line returns the state with a line changed, or added when there is none with this id.
function line(s, id, change) {
  const old = s.lines.find((l) => l.id === id);
  const changed = change(old ?? { id, who: "brenda", text: "", state: "live" });
  return { ...s, lines: old ? s.lines.map((l) => (l === old ? changed : l)) : [...s.lines, changed] };
}

// known is line for one that must be there.
function known(s, id, change) {
  return s.lines.some((l) => l.id === id) ? line(s, id, change) : s;
}

const without = (s, drop) => ({ ...s, lines: s.lines.filter((l) => !drop(l)) });
const unspoken = (l) => l.who === "person" && l.state === "live" && !l.committed;

// hush silences Brenda: the reply that runs, or still sounds, is stale from now on.
function hush(s) {
  if (!s.response && !s.sounding) return [s, []];
  const muted = s.response ?? s.muted;
  return [{ ...s, sounding: false, muted }, [{ do: "silence" }]];
}

const words = (content = []) => content.map((c) => c.transcript ?? c.text ?? "").join("");

const handlers = {
  "page.link": (s, { link }) => {
    if (link === "online" || link === s.link) return [{ ...s, link }, []];
    const lines = s.lines.filter((l) => !unspoken(l))
      .map((l) => (l.state !== "live" ? l : { ...l, state: l.response === s.response ? "cut" : "done" }));
    return [
      { ...s, link, lines, hearing: false, awaiting: false, asking: false, response: null, muted: null },
      [{ do: "finish" }],
    ];
  },

  "page.mic": (s, { on }) => {
    if (on || !s.mic) return [{ ...s, mic: on, notice: on ? null : s.notice }, []];
    if (s.hearing) { // the person is done: no need to wait for silence
      return [
        { ...s, mic: false, hearing: false, awaiting: true },
        [send({ type: "input_audio_buffer.commit" }), create],
      ];
    }
    return s.sounding ? stop(s) : [{ ...s, mic: false }, []];
  },

  "page.stop": (s) => stop(s),

  "page.submit": (s, { id, text }) => {
    const [hushed, todo] = hush(s);
    const busy = s.response !== null;
    const lines = [...hushed.lines, { id, who: "person", text, state: "done" }];
    const item = { id, type: "message", role: "user", content: [{ type: "input_text", text }] };
    const sends = [send({ type: "conversation.item.create", item })];
    if (busy) sends.unshift(send({ type: "response.cancel" }));
    else sends.push(create);
    return [{ ...hushed, lines, asking: busy, awaiting: !busy, notice: null }, [...todo, ...sends]];
  },

  "page.past": (s, { lines }) => [s.lines.length > 0 || lines.length === 0 ? s : { ...s, lines }, []],

  "page.started": (s) => [{ ...s, sounding: true, awaiting: false }, []],
  "page.drained": (s) => [{ ...s, sounding: false }, []],

  "page.cut": (s, { id, ms }) => [
    known(s, id, (l) => ({ ...l, state: "cut" })),
    [send({ type: "conversation.item.truncate", item_id: id, content_index: 0, audio_end_ms: ms })],
  ],

  "page.patience": (s) => [s.response ? s : { ...s, awaiting: false }, []],
  "page.notice": (s, { notice }) => [{ ...s, notice }, []],

  "session.created": (s) => [s, [send({ type: "session.update", session: SESSION })]],
  "session.updated": (s) => [{ ...s, link: "online" }, []],

  "input_audio_buffer.speech_started": (s, { item_id }) => {
    const [hushed, todo] = hush(s);
    const next = without(hushed, unspoken);
    const spoken = line(next, item_id, (l) => ({ ...l, who: "person" }));
    return [{ ...spoken, hearing: true, awaiting: false, notice: null }, todo];
  },
  "input_audio_buffer.speech_stopped": (s) => [{ ...s, hearing: false, awaiting: true }, []],
  "input_audio_buffer.committed": (s, { item_id }) => [
    line(s, item_id, (l) => ({ ...l, who: "person", committed: true })), [],
  ],
  "input_audio_buffer.cleared": (s) => [{ ...without(s, unspoken), hearing: false }, []],

  "conversation.item.input_audio_transcription.delta": (s, { item_id, delta }) => [
    line(s, item_id, (l) => ({ ...l, who: "person", text: l.text + (delta ?? "") })), [],
  ],
  "conversation.item.input_audio_transcription.completed": (s, { item_id, transcript }) => {
    const text = transcript.trim();
    if (text === "") return [{ ...without(s, (l) => l.id === item_id), awaiting: false }, []];
    return [line(s, item_id, (l) => ({ ...l, who: "person", text, state: "done" })), []];
  },
  "conversation.item.input_audio_transcription.failed": (s, { item_id }) => [
    known({ ...s, awaiting: false, notice: { key: "notUnderstood" } }, item_id, (l) => ({ ...l, state: "cut" })), [],
  ],

  "conversation.item.added": (s, { item }) => {
    if (item.type !== "message" || item.role !== "user") return [s, []];
    const text = words(item.content);
    if (text === "" || s.lines.some((l) => l.id === item.id)) return [s, []];
    return [line(s, item.id, (l) => ({ ...l, who: "person", text, state: "done" })), []];
  },
  "conversation.item.deleted": (s, { item_id }) => [without(s, (l) => l.id === item_id), []],
  "conversation.item.truncated": (s, { item_id }) => [s, [send({ type: "conversation.item.retrieve", item_id })]],
  "conversation.item.retrieved": (s, { item }) => [
    known(s, item.id, (l) => ({ ...l, text: words(item.content) || l.text })), [],
  ],

  "response.created": (s, { response }) => [{ ...s, response: response.id, awaiting: false }, []],
  "response.output_item.added": (s, { response_id, item }) => {
    if (item.type !== "message") return [s, []];
    return [line(s, item.id, (l) => ({ ...l, response: response_id })), []];
  },
  "response.output_audio_transcript.delta": (s, e) => spoken(s, e, (l) => l.text + e.delta),
  "response.output_text.delta": (s, e) => spoken(s, e, (l) => l.text + e.delta),
  "response.output_audio_transcript.done": (s, e) => spoken(s, e, (l) => e.transcript || l.text),
  "response.output_text.done": (s, e) => spoken(s, e, (l) => e.text || l.text),
  "response.output_audio.delta": (s, { response_id, item_id, delta }) => [
    s, response_id === s.muted ? [] : [{ do: "play", id: item_id, audio: delta }],
  ],
  "response.output_audio.done": (s, { response_id }) => [s, response_id === s.muted ? [] : [{ do: "finish" }]],
  "response.output_item.done": (s, { item }) => {
    const text = words(item.content);
    const cut = item.status === "incomplete";
    return [known(s, item.id, (l) => ({
      ...l, text: text || l.text, state: cut || l.state === "cut" ? "cut" : "done",
    })), []];
  },
  "response.done": (s, { response }) => done(s, response),

  error: (s, { error }) => {
    if (HARMLESS.has(error.code)) return [s, []];
    return [{ ...s, awaiting: false, notice: { key: "serverError", detail: error.message } }, []];
  },
};

// spoken changes the text of a reply while nothing cut it.
function spoken(s, { item_id, response_id }, text) {
  return [line(s, item_id, (l) => (l.state === "cut" ? l : { ...l, response: response_id, text: text(l) })), []];
}

function stop(s) {
  const [hushed, todo] = hush(s);
  if (s.response) todo.push(send({ type: "response.cancel" }));
  if (s.hearing) todo.push(send({ type: "input_audio_buffer.clear" }));
  const next = without(hushed, unspoken);
  return [{ ...next, mic: false, hearing: false, awaiting: false, asking: false }, todo];
}

function done(s, response) {
  const mine = (l) => l.response === response.id;
  const whole = response.status === "completed" || response.status === "incomplete";
  const lines = s.lines.filter((l) => !(mine(l) && l.text === ""))
    .map((l) => (mine(l) && l.state === "live" ? { ...l, state: whole ? "done" : "cut" } : l));
  const next = { ...s, lines, response: s.response === response.id ? null : s.response, asking: false };
  const todo = [{ do: "finish" }];
  if (response.metadata) todo.push({ do: "stages", metadata: response.metadata });
  if (s.asking) {
    todo.push(create);
    next.awaiting = true;
  }
  if (response.status === "failed") {
    next.awaiting = false;
    next.notice = { key: "failed", detail: response.status_details?.error?.message };
  }
  return [next, todo];
}
