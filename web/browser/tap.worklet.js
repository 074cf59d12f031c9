// What the page plays, sample by sample: it passes through here on its way to the loudspeaker.

const CHUNK = 4096; // samples sent at a time

class Tap extends AudioWorkletProcessor {
  constructor() {
    super();
    this.count = 0; // samples since the beginning
    this.chunk = new Float32Array(CHUNK);
    this.filled = 0;
    this.port.onmessage = ({ data }) => this.mark(data);
  }

  // mark tells at which sample an event is, on the clock of the sound itself: a busy machine does not move it.
  mark(event) {
    this.send();
    this.port.postMessage({ mark: { ...event, at: this.count } });
  }

  process([input], [output]) {
    output.forEach((channel, i) => input[i] && channel.set(input[i]));
    const left = output[0];
    if (this.filled + left.length > CHUNK) this.send();
    this.chunk.set(left, this.filled);
    this.filled += left.length;
    this.count += left.length;
    return true;
  }

  send() {
    this.port.postMessage({ chunk: this.chunk.slice(0, this.filled) });
    this.filled = 0;
  }
}

registerProcessor("brenda-tap", Tap);
