// Sound as the protocol carries it: 16 bit little endian mono, in base64.

export const RATE = 24000; // samples per second, both ways
export const FRAME = 480; // samples of one microphone frame: 20 ms

// toPCM16 returns samples of -1…1 as 16 bit; what is louder is clipped.
export function toPCM16(samples) {
  const out = new Int16Array(samples.length);
  for (let i = 0; i < samples.length; i++) {
    const v = Math.max(-1, Math.min(1, samples[i]));
    out[i] = Math.round(v < 0 ? v * 0x8000 : v * 0x7fff);
  }
  return out;
}

// toFloat is the reverse of toPCM16.
export function toFloat(pcm) {
  const out = new Float32Array(pcm.length);
  for (let i = 0; i < pcm.length; i++) out[i] = pcm[i] < 0 ? pcm[i] / 0x8000 : pcm[i] / 0x7fff;
  return out;
}

// encode returns 16 bit samples in base64.
export function encode(pcm) {
  const view = new DataView(new ArrayBuffer(pcm.length * 2));
  for (let i = 0; i < pcm.length; i++) view.setInt16(2 * i, pcm[i], true);
  const bytes = new Uint8Array(view.buffer);
  let text = "";
  const step = 0x2000; // arguments of one call; engines have a limit
  for (let i = 0; i < bytes.length; i += step) text += String.fromCharCode(...bytes.subarray(i, i + step));
  return btoa(text);
}

// decode is the reverse of encode; half a sample at the end is dropped.
export function decode(base64) {
  const text = atob(base64);
  const view = new DataView(new ArrayBuffer(text.length));
  for (let i = 0; i < text.length; i++) view.setUint8(i, text.charCodeAt(i));
  const out = new Int16Array(text.length >> 1);
  for (let i = 0; i < out.length; i++) out[i] = view.getInt16(2 * i, true);
  return out;
}

// level returns how loud samples of -1…1 are, as 0…1 on a scale of decibels: 0 at -60 dB and below.
export function level(samples) {
  let sum = 0;
  for (let i = 0; i < samples.length; i++) sum += samples[i] * samples[i];
  if (sum === 0) return 0;
  const db = 10 * Math.log10(sum / samples.length);
  return Math.max(0, Math.min(1, 1 + db / 60));
}
