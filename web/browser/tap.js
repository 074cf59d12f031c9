// Runs in the page before its own scripts: what leads to the loudspeaker goes through tap.worklet.js first, and what the
// server says is marked at the sample that was played when it came. The page itself is not changed.

(() => {
  const heard = (window.heard = { rate: 0, chunks: [], loud: 0, marks: [], done: null, sounding: "", frames: 0, hold: null });
  let tap = null;

  function receive({ data }) {
    if (data.chunk) {
      heard.chunks.push(data.chunk);
      if (data.chunk.some((v) => Math.abs(v) > 0.01)) heard.loud += data.chunk.length / heard.rate; // seconds
      return;
    }
    if (data.mark.type === "end") heard.done?.();
    else heard.marks.push(data.mark);
  }

  const add = AudioWorklet.prototype.addModule;
  AudioWorklet.prototype.addModule = async function (...args) {
    await add.call(this, "/static/tap.worklet.js");
    return add.apply(this, args);
  };

  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (to, ...rest) {
    if (!(to instanceof AudioDestinationNode)) return connect.call(this, to, ...rest);
    if (!tap) {
      tap = new AudioWorkletNode(this.context, "brenda-tap", { outputChannelCount: [2] });
      tap.port.onmessage = receive;
      heard.rate = this.context.sampleRate;
      connect.call(tap, to);
    }
    return connect.call(this, tap, ...rest);
  };

  window.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      // This listener is the first: its mark goes to the sound thread before what the page sends there.
      this.addEventListener("message", ({ data }) => {
        const { type, response_id, response } = JSON.parse(data);
        if (/transcript/.test(type) || (/delta$/.test(type) && heard.sounding === response_id)) return;
        if (/delta$/.test(type)) heard.sounding = response_id; // its first sound is enough
        tap?.port.postMessage({ type, id: response_id ?? response?.id ?? "" });
      });
    }

    send(data) {
      super.send(data);
      if (heard.hold && data.includes('"input_audio_buffer.append"')) heard.hold(++heard.frames);
    }
  };

  // holdTalk presses the button once so many frames of the microphone were sent while the person speaks: in the clock of
  // her own sound, which a slow machine does not move.
  window.holdTalk = (frames) => {
    heard.hold = (sent) => {
      if (sent < frames || document.body.dataset.phase !== "hearing") return;
      heard.hold = null;
      document.querySelector("#talk").click();
    };
  };

  // What the person does is marked as well, before the page hears of it.
  addEventListener("keydown", ({ key }) => tap?.port.postMessage({ type: `key.${key}`, id: "" }), true);

  // heardSound resolves to all that was played so far: base64 of PCM16, one channel, and the marks.
  window.heardSound = async () => {
    if (!tap) return { rate: 0, pcm: "", marks: [] };
    const end = new Promise((resolve) => (heard.done = resolve));
    tap.port.postMessage({ type: "end" });
    await end;
    const bytes = [];
    for (const chunk of heard.chunks) {
      const pcm = Int16Array.from(chunk, (v) => Math.max(-32768, Math.min(32767, Math.round(v * 32768))));
      bytes.push(String.fromCharCode(...new Uint8Array(pcm.buffer)));
    }
    return { rate: heard.rate, pcm: btoa(bytes.join("")), marks: heard.marks };
  };
})();
