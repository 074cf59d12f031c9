// Stopwatch measures, at the place where it matters, how long a person waits: from the last sound of the question at
// the microphone until the first sound of the answer at the loudspeaker.

import { RATE } from "./pcm.js";

export class Stopwatch {
  constructor(now = () => performance.now()) {
    this.now = now;
    this.restart();
  }

  // restart begins a new connection: the server counts the sound from its beginning.
  restart() {
    this.samples = 0;
    this.end = null; // when the question ended, on the clock of now
    this.heard = null; // ms from there to the first sound of the answer
  }

  // sent counts microphone samples that went to the server.
  sent(samples) {
    this.samples += samples;
  }

  event({ type, audio_end_ms }) {
    if (type === "input_audio_buffer.speech_stopped") {
      this.end = this.now() - Math.max(0, (1000 * this.samples) / RATE - audio_end_ms);
      this.heard = null;
    } else if (type === "page.submit" || type === "input_audio_buffer.speech_started") {
      this.end = this.heard = null;
    }
  }

  // started tells that the answer sounds; latency is that of the device, in seconds.
  started(latency) {
    if (this.end === null || this.heard !== null) return;
    this.heard = Math.round(this.now() - this.end + 1000 * latency);
  }
}
