// Resampler changes the rate of a stream of sound, piece by piece and without a seam between pieces.
//
// It is a polyphase FIR: the two rates are reduced to L/M, and a Kaiser-windowed sinc, cut off below the lower of
// the two half rates, is split into L short filters, one for each position that an output sample can have between
// two input samples. (J. O. Smith, "Digital Audio Resampling", and any book on multirate filters.)

const ZERO_CROSSINGS = 16; // of the sinc on each side: a delay of 16 samples of the lower rate
const BETA = 8; // of the Kaiser window: about 80 dB of rejection
const ROLLOFF = 0.91; // the filter's edge, as a part of the lower half rate: what lies above fades away

export class Resampler {
  // from and to are rates in samples per second, whole numbers above 0.
  constructor(from, to) {
    const g = gcd(from, to);
    this.up = to / g;
    this.down = from / g;
    this.same = from === to;
    this.phases = this.same ? [] : filters(this.up, this.down);
    this.taps = this.same ? 0 : this.phases[0].length;
    this.past = new Float32Array(Math.max(0, this.taps - 1)); // input that the next output still needs
    this.phase = 0; // of the next output, in 1/up of an input sample
  }

  // process takes the next input, any length, and returns the output that it makes, mono, -1…1.
  process(input) {
    if (this.same) return Float32Array.from(input);
    const all = new Float32Array(this.past.length + input.length);
    all.set(this.past);
    all.set(input, this.past.length);
    const out = [];
    let at = 0; // index in all of the oldest sample under the filter
    let phase = this.phase;
    while (at + this.taps <= all.length) {
      out.push(dot(this.phases[phase], all, at));
      phase += this.down;
      at += Math.floor(phase / this.up);
      phase %= this.up;
    }
    this.past = all.slice(at); // a filter is longer than a step, so at is never beyond the end
    this.phase = phase;
    return Float32Array.from(out);
  }
}

function dot(filter, x, at) {
  let sum = 0;
  for (let i = 0; i < filter.length; i++) sum += filter[i] * x[at + i];
  return sum;
}

function gcd(a, b) {
  return b === 0 ? a : gcd(b, a % b);
}

// filters returns the up filters; filter p weighs the input around an output that lies p/up behind its middle.
function filters(up, down) {
  const cutoff = ROLLOFF * Math.min(1, up / down); // of the input's half rate
  const half = Math.ceil(ZERO_CROSSINGS / Math.min(1, up / down));
  return Array.from({ length: up }, (_, p) => {
    const f = new Float32Array(2 * half);
    let sum = 0;
    for (let i = 0; i < f.length; i++) {
      const t = i - (half - 1) - p / up;
      f[i] = cutoff * sinc(cutoff * t) * kaiser(t / half);
      sum += f[i];
    }
    return f.map((v) => v / sum); // the same loudness at every phase
  });
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

// kaiser returns the window at x, which is 0 outside -1…1.
function kaiser(x) {
  return Math.abs(x) >= 1 ? 0 : bessel(BETA * Math.sqrt(1 - x * x)) / bessel(BETA);
}

// bessel returns the modified Bessel function of the first kind and order 0.
function bessel(x) {
  let sum = 1;
  for (let k = 1, term = 1; term > 1e-12 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
