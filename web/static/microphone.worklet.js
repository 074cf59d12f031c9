// The sound thread's side of microphone.js: 20 ms frames of PCM16 at 24 kHz, each with its loudness.

import { FRAME, RATE, level, toPCM16 } from "./pcm.js";
import { Resampler } from "./resampler.js";

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.frame = new Float32Array(FRAME);
    this.filled = 0;
    this.open = true;
    this.port.onmessage = () => (this.open = false); // any message ends it
  }

  process([[input]]) {
    if (!input) return this.open; // nothing is connected yet, or any more
    for (const v of this.resampler.process(input)) {
      this.frame[this.filled++] = v;
      if (this.filled === FRAME) this.send();
    }
    return this.open;
  }

  send() {
    const pcm = toPCM16(this.frame);
    this.port.postMessage({ pcm, level: level(this.frame) }, [pcm.buffer]);
    this.filled = 0;
  }
}

registerProcessor("brenda-microphone", Microphone);
