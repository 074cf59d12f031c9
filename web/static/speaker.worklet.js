// The sound thread's side of speaker.js: it plays what it is sent, and tells what it played.

import { FRAME, RATE, level, toFloat } from "./pcm.js";
import { Resampler } from "./resampler.js";
import { Playout, Ring } from "./ring.js";

const START = RATE * 0.06; // samples that must be there before the sound begins
const MOST = RATE * 0.4; // the same after the network has stuttered again and again
const LONGEST = RATE * 120; // what the ring holds at most: a server that does not pace its sound sends whole replies

class Speaker extends AudioWorkletProcessor {
  constructor() {
    super();
    this.playout = new Playout(new Ring(RATE * 4, LONGEST), START, MOST);
    this.resampler = new Resampler(RATE, sampleRate);
    this.ready = new Float32Array(0); // at the rate of the device, not played yet
    this.block = new Float32Array(FRAME / 4);
    this.sounding = null; // the id of the item that sounds
    this.blocks = 0;
    this.port.onmessage = ({ data }) => this[data.kind](data);
  }

  push({ id, pcm }) {
    this.playout.push(id, toFloat(pcm));
  }

  finish() {
    this.playout.finish();
  }

  flush({ ticket }) {
    const cut = this.playout.flush(this.block);
    const last = this.resampler.process(this.block);
    const fade = new Float32Array(this.ready.length + last.length);
    fade.set(this.ready);
    fade.set(last, this.ready.length);
    this.ready = fade;
    this.sounding = null;
    this.port.postMessage({ kind: "flushed", ticket, cut });
  }

  process(_, [[out, ...others]]) {
    while (this.ready.length < out.length) this.more();
    out.set(this.ready.subarray(0, out.length));
    this.ready = this.ready.slice(out.length);
    for (const channel of others) channel.set(out);
    return true;
  }

  // more makes the next 5 ms.
  more() {
    const n = this.playout.pull(this.block);
    const made = this.resampler.process(this.block);
    const joined = new Float32Array(this.ready.length + made.length);
    joined.set(this.ready);
    joined.set(made, this.ready.length);
    this.ready = joined;
    this.tell(n);
  }

  tell(n) {
    const id = this.playout.marks[0]?.id;
    if (n > 0 && id !== undefined && id !== this.sounding) {
      this.sounding = id;
      this.port.postMessage({ kind: "started", id });
    }
    if (n > 0 && this.blocks++ % 4 === 0) this.port.postMessage({ kind: "level", level: level(this.block) });
    if (this.sounding !== null && !this.playout.playing && this.playout.complete) {
      this.sounding = null;
      this.port.postMessage({ kind: "drained" });
    }
  }
}

registerProcessor("brenda-speaker", Speaker);
