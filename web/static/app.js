// The page: it joins microphone, speaker, connection and conversation, and shows their state.

import { Captions } from "./captions.js";
import { initial, phase, step } from "./conversation.js";
import { past } from "./history.js";
import { apply, choose, translator } from "./i18n.js";
import { Microphone, problem } from "./microphone.js";
import { encode } from "./pcm.js";
import { forgetSession, hasSession, keepToken, sessionID, token } from "./session.js";
import { Socket, validToken } from "./socket.js";
import { Speaker } from "./speaker.js";
import { Stopwatch } from "./stopwatch.js";
import { Waterfall, stages } from "./waterfall.js";

const BACKLOG = 150; // microphone frames kept while there is no connection: the last 3 s
const PATIENCE = 20000; // ms until the page no longer waits for a reply that nobody announced
const IDLE = 120000; // ms without a word after which the connection is given back

const $ = (id) => document.getElementById(id);
const t = translator(choose(navigator.languages));
apply(document.documentElement, t);
const captions = new Captions($("captions"), $("live"), t);
const waterfall = new Waterfall($("times"), t);
const watch = new Stopwatch();
const socket = new Socket({ session: sessionID, token, on: { event: dispatch, link: linked, refused } });

let state = initial;
let context, speaker, microphone;
let backlog = []; // microphone frames
let outbox = []; // events
let metadata = null; // of the turn that sounds, once it is known
let patience, idle, countdown;
let resume = false; // talk on once there is a token

// dispatch is the only place where the state changes.
function dispatch(event) {
  watch.event(event);
  if (event.type === "response.created") metadata = null;
  const before = state;
  const [next, todo] = step(state, event);
  state = next;
  for (const what of todo) act(what);
  if (state === before) return;
  if (state.link === "online" && before.link !== "online") flushOutbox();
  if (!state.mic) closeMicrophone();
  render(before);
}

function act(what) {
  switch (what.do) {
    case "send":
      return send(what.event);
    case "play":
      return speaker?.play(what.id, what.audio);
    case "finish":
      return speaker?.finish();
    case "silence":
      return speaker?.flush().then((cut) => cut.forEach(({ id, ms }) => dispatch({ type: "page.cut", id, ms })));
    case "stages":
      metadata = what.metadata;
      return waterfall.draw(stages(metadata, watch.heard));
  }
}

// send keeps questions until there is a connection; everything else is about the one that is there.
function send(event) {
  if (event.type === "session.update" || state.link === "online") socket.send(event);
  else if (/\.create$/.test(event.type)) outbox.push(event);
}

function flushOutbox() {
  const last = outbox.findLast((event) => event.type === "response.create"); // one answer to all that was asked
  for (const event of outbox) if (event.type !== "response.create" || event === last) socket.send(event);
  for (const pcm of backlog) append(pcm);
  outbox = [];
  backlog = [];
}

function append(pcm) {
  if (socket.send({ type: "input_audio_buffer.append", audio: encode(pcm) })) watch.sent(pcm.length);
}

function linked(link, ms) {
  clearInterval(countdown);
  if (link !== "online") watch.restart();
  dispatch({ type: "page.link", link });
  if (link !== "offline") return;
  const due = performance.now() + ms;
  const tell = () => ($("hint").textContent = t("retry", { s: Math.max(1, Math.ceil((due - performance.now()) / 1000)) }));
  tell();
  countdown = setInterval(tell, 1000);
}

function refused(why) {
  resume = state.mic;
  dispatch({ type: "page.stop" });
  if (why === "token") askToken();
  else dispatch({ type: "page.notice", notice: { key: "forbidden" } });
}

function askToken() {
  $("key").hidden = false;
  $("token").focus();
  dispatch({ type: "page.notice", notice: { key: token() ? "tokenWrong" : "tokenNeeded" } });
}

// wake starts the sound; browsers allow it only within a gesture of the person.
async function wake() {
  if (!context) {
    context = new AudioContext({ latencyHint: "interactive" });
    speaker = new Speaker(context, {
      started: () => {
        watch.started(context.outputLatency || 0);
        dispatch({ type: "page.started" });
        if (metadata) waterfall.draw(stages(metadata, watch.heard));
      },
      drained: () => dispatch({ type: "page.drained" }),
      level: show,
    });
  }
  speaker.opened ??= speaker.open().catch((err) => {
    speaker.opened = null; // the next gesture tries again
    throw err;
  });
  await Promise.all([context.resume(), speaker.opened]);
}

async function talk() {
  if (state.mic) return dispatch({ type: "page.mic", on: false });
  dispatch({ type: "page.mic", on: true });
  const mine = (microphone = new Microphone(null, { frame: hear, lost }));
  try {
    const awake = wake();
    mine.context = context;
    await awake;
    await mine.open();
  } catch (err) {
    if (mine !== microphone) return;
    dispatch({ type: "page.mic", on: false });
    dispatch({ type: "page.notice", notice: { key: problem(err) } });
    return;
  }
  if (mine !== microphone) return mine.close(); // stopped in the meantime
  socket.open();
}

function hear(pcm, loudness) {
  show(loudness);
  if (state.link === "online") return append(pcm);
  backlog.push(pcm);
  if (backlog.length > BACKLOG) backlog.shift();
}

function lost() {
  dispatch({ type: "page.mic", on: false });
  dispatch({ type: "page.notice", notice: { key: "micLost" } });
}

function closeMicrophone() {
  microphone?.close();
  microphone = null;
  backlog = [];
}

async function ask(text) {
  await wake().catch(() => {}); // without sound the answer is still read
  socket.open();
  dispatch({ type: "page.submit", id: `web_${Date.now().toString(36)}`, text });
}

function stop() {
  dispatch({ type: "page.stop" });
}

function startAnew() {
  stop();
  socket.close();
  forgetSession();
  outbox = [];
  metadata = null;
  $("times").hidden = true;
  const before = state;
  state = initial;
  render(before);
}

let loud = 0;
function show(level) {
  loud = Math.max(level, loud * 0.8); // falls slower than it rises, which is easier to read
  document.body.style.setProperty("--level", loud.toFixed(3));
}

function render(before) {
  const now = phase(state);
  const heading = now === "ready" && state.lines.length > 0 ? "again" : now;
  document.body.dataset.phase = now;
  document.body.dataset.mic = state.mic;
  $("status").textContent = t(heading);
  if (now !== "offline") $("hint").textContent = t(`hint.${now}`);
  $("talk").setAttribute("aria-pressed", state.mic);
  $("talkWord").textContent = t(state.mic ? "stop" : "talk");
  $("examples").hidden = state.lines.length > 0;
  $("new").hidden = state.lines.length === 0;
  if (!["listening", "hearing", "speaking"].includes(now)) show((loud = 0));
  if (state.lines !== before.lines) captions.render(state.lines);
  if (state.notice !== before.notice) notice();
  timers(before, now);
}

function notice() {
  const { key, detail } = state.notice ?? {};
  $("notice").hidden = !key;
  $("notice").textContent = key ? t(key) + (detail ? ` (${detail})` : "") : "";
}

function timers(before, now) {
  if (state.awaiting !== before.awaiting) {
    clearTimeout(patience);
    if (state.awaiting) patience = setTimeout(() => dispatch({ type: "page.patience" }), PATIENCE);
  }
  clearTimeout(idle);
  if (now === "ready" && state.link === "online") idle = setTimeout(() => socket.close(), IDLE);
}

function form(id, handler) {
  $(id).addEventListener("submit", (event) => {
    event.preventDefault();
    handler();
  });
}

$("talk").addEventListener("click", () => (state.link === "offline" && !state.mic ? socket.hurry() : talk()));
$("new").addEventListener("click", startAnew);
$("examples").addEventListener("click", ({ target }) => target.matches("button") && ask(target.textContent));
form("typed", () => {
  const text = $("text").value.trim();
  $("text").value = "";
  if (text !== "") ask(text);
});
form("key", () => {
  const value = $("token").value.trim();
  $("token").value = "";
  if (!validToken(value)) return dispatch({ type: "page.notice", notice: { key: "tokenWrong" } });
  keepToken(value);
  $("key").hidden = true;
  dispatch({ type: "page.notice", notice: null });
  return resume ? talk() : socket.open();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") return stop();
  const busy = event.target.closest?.("input, button, summary, a, textarea");
  if (event.code !== "Space" || busy || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  talk();
});

render({ ...initial, lines: null });
if (hasSession()) past(sessionID(), token()).then((lines) => dispatch({ type: "page.past", lines }));
