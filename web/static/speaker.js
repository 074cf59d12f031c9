// Speaker plays Brenda's voice through an AudioWorklet, and can be silenced within a few milliseconds. A speaker that
// could not be opened plays nothing, and fails at nothing: the answer is still read.

import { RATE, decode } from "./pcm.js";

export class Speaker {
  // on has the handlers started(id), drained() and level(0…1).
  constructor(context, on) {
    this.context = context;
    this.on = on;
    this.tickets = new Map(); // flushes that wait for the sound thread's answer
    this.ticket = 0;
    this.node = null; // until it is open
  }

  async open() {
    await this.context.audioWorklet.addModule("/static/speaker.worklet.js").catch((cause) => {
      throw new Error("the speaker's sound module did not load", { cause }); // whose own name is that of a busy device
    });
    const node = new AudioWorkletNode(this.context, "brenda-speaker", { numberOfInputs: 0, outputChannelCount: [2] });
    node.port.onmessage = ({ data }) => this.hear(data);
    node.connect(this.context.destination);
    this.node = node;
  }

  // play queues sound of an item: base64 of PCM16 at 24 kHz.
  play(id, audio) {
    const pcm = decode(audio);
    this.node?.port.postMessage({ kind: "push", id, pcm }, [pcm.buffer]);
  }

  // finish says that the reply has no more sound.
  finish() {
    this.node?.port.postMessage({ kind: "finish" });
  }

  // flush silences the speaker at once. It resolves to the items that were cut: {id, ms}, ms being how much of
  // them reached the loudspeaker.
  flush() {
    if (!this.node) return Promise.resolve([]);
    const ticket = ++this.ticket;
    this.node.port.postMessage({ kind: "flush", ticket });
    return new Promise((resolve) => this.tickets.set(ticket, resolve));
  }

  hear(data) {
    if (data.kind !== "flushed") {
      if (this.tickets.size === 0) this.on[data.kind](data.id ?? data.level); // else it is about what was flushed
      return;
    }
    const late = 1000 * (this.context.outputLatency || this.context.baseLatency || 0); // not out of the device yet
    const cut = data.cut.map(({ id, samples }) => ({ id, ms: Math.max(0, Math.round((1000 * samples) / RATE - late)) }));
    this.tickets.get(data.ticket)(cut);
    this.tickets.delete(data.ticket);
  }
}
