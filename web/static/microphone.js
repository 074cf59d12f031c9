// Microphone takes the person's voice through an AudioWorklet.

const WANTED = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };

export class Microphone {
  // frame is called with every 20 ms of sound: Int16Array of 24 kHz, and its level 0…1. lost is called when the
  // device goes away.
  constructor(context, { frame, lost }) {
    Object.assign(this, { context, frame, lost });
  }

  // open asks the person for the microphone. Its error has a name that problem() explains.
  async open() {
    if (!navigator.mediaDevices?.getUserMedia) throw new DOMException("no media devices", "InsecureError");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: WANTED });
    try {
      await this.context.audioWorklet.addModule("/static/microphone.worklet.js");
    } catch (err) {
      stream.getTracks().forEach((t) => t.stop());
      throw new Error("the microphone's sound module did not load", { cause: err }); // whose own name is that of a busy device
    }
    this.stream = stream;
    this.source = this.context.createMediaStreamSource(stream);
    this.node = new AudioWorkletNode(this.context, "brenda-microphone", {
      channelCount: 1, channelCountMode: "explicit",
    });
    this.node.port.onmessage = ({ data }) => this.frame(data.pcm, data.level);
    this.source.connect(this.node);
    this.node.connect(this.context.destination); // silent; some browsers run no node that leads nowhere
    stream.getAudioTracks()[0].onended = () => this.lost();
  }

  close() {
    if (!this.stream) return;
    this.node.port.onmessage = null;
    this.node.port.postMessage("close");
    this.source.disconnect();
    this.node.disconnect();
    this.stream.getTracks().forEach((t) => t.stop());
    this.stream = null;
  }
}

// problem returns the key of i18n.js that says what is wrong with the microphone.
export function problem(err, secure = globalThis.isSecureContext) {
  if (!secure || err.name === "InsecureError") return secure ? "micUnsupported" : "micInsecure";
  switch (err.name) {
    case "NotAllowedError":
    case "SecurityError":
      return "micDenied";
    case "NotFoundError":
    case "OverconstrainedError":
      return "micAbsent";
    case "NotReadableError":
    case "AbortError":
      return "micBusy";
  }
  return "micFailed";
}
