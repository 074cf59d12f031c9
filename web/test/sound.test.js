import assert from "node:assert/strict";
import { test } from "node:test";
import { RATE, decode, encode, level, toFloat, toPCM16 } from "../static/pcm.js";
import { Resampler } from "../static/resampler.js";
import { Playout, Ring } from "../static/ring.js";
import { Speaker } from "../static/speaker.js";
import { Stopwatch } from "../static/stopwatch.js";

const sine = (hz, rate, n) => Float32Array.from({ length: n }, (_, i) => Math.sin((2 * Math.PI * hz * i) / rate));
const rms = (x) => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length);

// resampled returns the sound after it went through in pieces of a size, without the filter's beginning.
function resampled(from, to, x, size) {
  const r = new Resampler(from, to);
  const out = [];
  for (let i = 0; i < x.length; i += size) out.push(...r.process(x.subarray(i, i + size)));
  return out;
}

for (const [from, to] of [[48000, 24000], [44100, 24000], [24000, 48000], [24000, 44100], [16000, 24000], [96000, 24000], [8000, 24000]]) {
  test(`resample ${from} to ${to}: pitch, loudness and length stay`, () => {
    const out = resampled(from, to, sine(1000, from, from), 128);
    assert.ok(Math.abs(out.length - to) <= to * 0.006, `${out.length} samples for one second`);
    const middle = out.slice(2000, -2000);
    assert.ok(Math.abs(rms(middle) - Math.SQRT1_2) < 0.005, `loudness ${rms(middle)}`);
    let crossings = 0;
    for (let i = 1; i < middle.length; i++) if (middle[i - 1] < 0 && middle[i] >= 0) crossings++;
    assert.ok(Math.abs((crossings * to) / middle.length - 1000) < 15, `${crossings} crossings`);
  });
}

test("resample: what the lower rate cannot hold is gone, not folded back", () => {
  for (const hz of [13500, 15000, 20000, 23000]) {
    const out = resampled(48000, 24000, sine(hz, 48000, 48000), 128).slice(500);
    assert.ok(20 * Math.log10(rms(out)) < -60, `${hz} Hz: ${20 * Math.log10(rms(out))} dB`);
  }
});

test("resample: pieces of any size make the same sound", () => {
  const x = sine(440, 44100, 5000);
  const whole = resampled(44100, RATE, x, x.length);
  for (const size of [1, 7, 128, 441]) assert.deepEqual(resampled(44100, RATE, x, size), whole);
});

test("resample: the same rate changes nothing", () => {
  assert.deepEqual([...new Resampler(RATE, RATE).process(Float32Array.of(0.5, -1))], [0.5, -1]);
});

test("pcm: base64 there and back, little endian, clipped", () => {
  assert.equal(encode(Int16Array.of(1, -2)), "AQD+/w==");
  const all = Int16Array.from({ length: 65536 }, (_, i) => i - 32768);
  assert.deepEqual(decode(encode(all)), all);
  assert.deepEqual([...toPCM16(Float32Array.of(0, 1, -1, 3, -3))], [0, 32767, -32768, 32767, -32768]);
  assert.deepEqual(toPCM16(toFloat(all)), all);
  assert.equal(decode(btoa("abc")).length, 1);
  assert.equal(decode("").length, 0);
});

test("pcm: level", () => {
  assert.equal(level(new Float32Array(480)), 0);
  assert.equal(level(new Float32Array(480).fill(1)), 1);
  assert.ok(Math.abs(level(new Float32Array(480).fill(0.0316227)) - 0.5) < 0.001);
});

test("ring: keeps the order across its seam, grows to its limit", () => {
  const ring = new Ring(4, 16);
  const got = [];
  let next = 0;
  let seed = 7;
  for (let round = 0; round < 500; round++) {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    const n = ring.push(Float32Array.from({ length: seed % 9 }, (_, i) => next + i));
    next += n;
    const out = new Float32Array((seed >> 8) % 9);
    got.push(...out.subarray(0, ring.pull(out)));
  }
  const rest = new Float32Array(ring.length);
  ring.pull(rest);
  assert.deepEqual([...got, ...rest], Array.from({ length: next }, (_, i) => i));
  assert.equal(ring.push(new Float32Array(100)), 16);
  assert.equal(ring.push(new Float32Array(1)), 0);
});

const playout = () => new Playout(new Ring(8, 10000), 100, 400);
const pull = (p, n) => p.pull(new Float32Array(n));

test("playout: waits for its start, plays a short reply at its end", () => {
  const p = playout();
  p.push("a", new Float32Array(99));
  assert.equal(pull(p, 10), 0);
  p.push("a", new Float32Array(1));
  assert.equal(pull(p, 10), 10);
  const short = playout();
  short.push("a", new Float32Array(5));
  assert.equal(pull(short, 10), 0);
  short.finish();
  assert.equal(pull(short, 10), 5);
  assert.equal(pull(short, 10), 0);
});

test("playout: waits longer after each stutter, up to a limit", () => {
  const p = playout();
  for (const need of [100, 200, 400, 400]) {
    p.push("a", new Float32Array(need - 1));
    assert.equal(pull(p, 10), 0, `with ${need - 1}`);
    p.push("a", new Float32Array(1));
    assert.equal(pull(p, 500), need);
  }
});

test("playout: a flush tells how much of each item was played, and fades", () => {
  const p = playout();
  p.push("a", new Float32Array(150).fill(1));
  p.push("b", new Float32Array(150).fill(1));
  pull(p, 120);
  const out = new Float32Array(10);
  assert.deepEqual(p.flush(out), [{ id: "a", samples: 130 }, { id: "b", samples: 0 }]);
  assert.ok(out[0] < 1 && out[9] === 0);
  assert.equal(pull(p, 10), 0, "silence after it");
  assert.deepEqual(p.flush(out), [], "nothing is cut twice");
});

test("playout: what was played to its end is not cut; what stutters is", () => {
  const whole = playout();
  whole.push("a", new Float32Array(100));
  whole.finish();
  pull(whole, 200);
  assert.deepEqual(whole.flush(new Float32Array(10)), []);
  const stutters = playout();
  stutters.push("a", new Float32Array(100));
  pull(stutters, 200);
  assert.deepEqual(stutters.flush(new Float32Array(10)), [{ id: "a", samples: 100 }]);
});

test("playout: the next reply counts from its own beginning", () => {
  const p = playout();
  p.push("a", new Float32Array(300));
  pull(p, 150);
  p.flush(new Float32Array(10));
  p.push("b", new Float32Array(300));
  pull(p, 50);
  assert.deepEqual(p.flush(new Float32Array(10)), [{ id: "b", samples: 60 }]);
});

test("stopwatch: from the last sound of the question to the first of the answer", () => {
  let now = 5000;
  const w = new Stopwatch(() => now);
  w.sent(RATE * 3);
  w.event({ type: "input_audio_buffer.speech_stopped", audio_end_ms: 2400 }); // it ended 600 ms ago
  now += 400;
  w.started(0.05);
  assert.equal(w.heard, 1050);
  w.started(0.05);
  assert.equal(w.heard, 1050, "only the first sound counts");
  w.event({ type: "page.submit" });
  w.started(0);
  assert.equal(w.heard, null, "a typed question has no such time");
});

test("speaker: one that could not be opened fails at nothing, and tries again", async () => {
  let tries = 0;
  const addModule = () => Promise.reject(Object.assign(new Error(), { name: "AbortError", tries: ++tries }));
  const speaker = new Speaker({ audioWorklet: { addModule } }, {});
  for (const _ of [1, 2]) await assert.rejects(speaker.open(), { name: "Error" }); // AbortError is a busy microphone
  assert.equal(tries, 2);
  speaker.play("a", "AAAA");
  speaker.finish();
  assert.deepEqual(await speaker.flush(), []);
});
