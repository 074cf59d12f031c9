import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Backoff } from "../static/backoff.js";
import { written } from "../static/captions.js";
import { lines } from "../static/history.js";
import { choose, tables, translator } from "../static/i18n.js";
import { problem } from "../static/microphone.js";
import { protocols, validToken, verdict } from "../static/socket.js";
import { stages } from "../static/waterfall.js";

test("back-off: doubles to its limit, half of it by chance, and begins anew", () => {
  const low = new Backoff({ first: 100, most: 1000, random: () => 0 });
  assert.deepEqual([1, 2, 3, 4, 5, 6].map(() => low.next()), [50, 100, 200, 400, 500, 500]);
  const high = new Backoff({ first: 100, most: 1000, random: () => 1 });
  assert.deepEqual([1, 2, 3, 4, 5].map(() => high.next()), [100, 200, 400, 800, 1000]);
  high.reset();
  assert.equal(high.next(), 100);
  assert.equal(high.next(5000), 5200, "the server's own wish comes first");
});

test("waterfall: each stage begins where the ones before it ended", () => {
  const bars = stages({ speech_end: "9000", first_audio: "900", decision: "250", transcript: "300", topic: "x" }, 1000);
  assert.deepEqual(bars, [
    { key: "decision", from: 0, to: 250 }, { key: "transcript", from: 250, to: 300 },
    { key: "first_audio", from: 300, to: 900 }, { key: "heard", from: 900, to: 1000 },
  ]);
});

test("waterfall: what was ready early has no length", () => {
  const bars = stages({ decision: "400", transcript: "350", first_token: "500" });
  assert.deepEqual(bars.map((b) => b.to - b.from), [400, 0, 100]);
  assert.deepEqual(stages({}), []);
});

test("socket: subprotocols and tokens", () => {
  assert.deepEqual(protocols(""), ["realtime"]);
  assert.ok(protocols("k1").includes("openai-insecure-api-key.k1"));
  assert.ok(validToken("abc-DEF_1.2~3"));
  for (const bad of ["", "a b", "a,b", "é", "a/b", "a=b"]) assert.ok(!validToken(bad), bad);
});

test("socket: why there was no connection", () => {
  assert.deepEqual(verdict(401, null), { refused: "token", retryAfter: 0 });
  assert.deepEqual(verdict(403, null), { refused: "forbidden", retryAfter: 0 });
  assert.deepEqual(verdict(503, "5"), { refused: null, retryAfter: 5000 });
  assert.deepEqual(verdict(429, "soon"), { refused: null, retryAfter: 0 });
  assert.deepEqual(verdict(503, "99999"), { refused: null, retryAfter: 60000 });
  assert.deepEqual(verdict(426, "5"), { refused: null, retryAfter: 0 });
});

test("microphone: each problem has its words", () => {
  assert.equal(problem({ name: "NotAllowedError" }, true), "micDenied");
  assert.equal(problem({ name: "NotFoundError" }, true), "micAbsent");
  assert.equal(problem({ name: "NotReadableError" }, true), "micBusy");
  assert.equal(problem({ name: "InsecureError" }, false), "micInsecure");
  assert.equal(problem({ name: "InsecureError" }, true), "micUnsupported");
  assert.equal(problem({ name: "Error" }, true), "micFailed");
});

test("captions: a cut reply ends with an ellipsis", () => {
  assert.equal(written({ text: "Il est midi.", state: "cut" }), "Il est midi …");
  assert.equal(written({ text: "Il est midi.", state: "done" }), "Il est midi.");
  assert.equal(written({ text: "", state: "live" }), "…");
});

test("history: turns become lines", () => {
  const got = lines({ turns: [{ user: "Bonjour", assistant: "Bon", cut: true }, { user: "", assistant: "Oui ?" }] });
  assert.deepEqual(got.map((l) => [l.who, l.text, l.state]), [
    ["person", "Bonjour", "done"], ["brenda", "Bon", "cut"], ["brenda", "Oui ?", "done"],
  ]);
  assert.deepEqual(lines({}), []);
});

test("i18n: French unless the browser's first known language is English", () => {
  assert.equal(choose(["en-US", "fr"]), "en");
  assert.equal(choose(["de", "fr-CA", "en"]), "fr");
  assert.equal(choose(["de"]), "fr");
  assert.equal(choose(undefined), "fr");
});

test("i18n: both tables and the page have the same keys", () => {
  const page = readFileSync(new URL("../static/index.html", import.meta.url), "utf8");
  const used = [...page.matchAll(/data-t(?:-[a-z-]+)?="([^"]+)"/g)].map((m) => m[1]);
  const english = Object.keys(tables.en).filter((k) => !k.startsWith("page."));
  assert.deepEqual(english.sort(), Object.keys(tables.fr).sort());
  assert.deepEqual([...new Set(used)].sort(), Object.keys(tables.en).filter((k) => k.startsWith("page.")).sort());
});

test("i18n: numbers", () => {
  assert.equal(translator("fr").seconds(1234), "1,23 s");
  assert.equal(translator("en").ms(12.4), "12 ms");
  assert.equal(translator("fr")("retry", { s: 3 }), "Nouvel essai dans 3 s");
});
