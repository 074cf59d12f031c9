// What the speaker plays from: a ring of samples that grows to a limit, and on top of it a Playout, which decides
// when to begin and remembers how much was really played.

export class Ring {
  // capacity is how many samples it holds at first, limit how many at most.
  constructor(capacity, limit) {
    this.buffer = new Float32Array(capacity);
    this.limit = limit;
    this.head = 0; // where the next sample is read
    this.length = 0;
  }

  // push adds samples and returns how many of them found room.
  push(samples) {
    const n = Math.min(samples.length, this.limit - this.length);
    if (this.length + n > this.buffer.length) this.grow(this.length + n);
    const at = (this.head + this.length) % this.buffer.length;
    const first = Math.min(n, this.buffer.length - at);
    this.buffer.set(samples.subarray(0, first), at);
    this.buffer.set(samples.subarray(first, n), 0);
    this.length += n;
    return n;
  }

  // pull fills out from its beginning and returns how many samples there were.
  pull(out) {
    const n = Math.min(out.length, this.length);
    const first = Math.min(n, this.buffer.length - this.head);
    out.set(this.buffer.subarray(this.head, this.head + first));
    out.set(this.buffer.subarray(0, n - first), first);
    this.head = (this.head + n) % this.buffer.length;
    this.length -= n;
    return n;
  }

  clear() {
    this.head = this.length = 0;
  }

  grow(needed) {
    let size = this.buffer.length;
    while (size < needed) size *= 2;
    const old = this.length;
    const bigger = new Float32Array(Math.min(size, this.limit));
    this.pull(bigger);
    this.buffer = bigger;
    this.head = 0;
    this.length = old;
  }
}

// Playout waits until there is enough to play without a stutter. Each time it runs dry it waits for a little more.
// It knows which item of the conversation each sample belongs to.
export class Playout {
  // start is how many samples must be there before the sound begins, most how many it waits for at worst.
  constructor(ring, start, most) {
    Object.assign(this, { ring, start, most, need: start });
    this.playing = false;
    this.complete = true; // nothing more will come
    this.played = 0; // samples since the beginning, silence not counted
    this.marks = []; // {id, at}: the items not played to their end, and where they begin, counted like played
  }

  // push adds the next samples of the item with this id, and returns how many found room.
  push(id, samples) {
    this.complete = false;
    if (this.marks.at(-1)?.id !== id) this.marks.push({ id, at: this.played + this.ring.length });
    return this.ring.push(samples);
  }

  // finish says that the reply is complete: what is there is played to its end, however little it is.
  finish() {
    this.complete = true;
  }

  // pull fills out, with silence where there is no sound, and returns how much of it is sound.
  pull(out) {
    out.fill(0);
    if (!this.playing) {
      const ready = this.complete ? this.ring.length > 0 : this.ring.length >= this.need;
      if (!ready) return 0;
      this.playing = true;
    }
    const n = this.ring.pull(out);
    this.played += n;
    while (this.marks.length > 1 && this.marks[1].at <= this.played) this.marks.shift();
    if (n < out.length) this.runDry();
    return n;
  }

  runDry() {
    this.playing = false;
    if (this.complete) {
      this.marks = [];
      this.need = this.start;
    } else {
      this.need = Math.min(this.most, this.need * 2);
    }
  }

  // flush throws away what is not played yet; the last of it fades out within out, so that nothing clicks. It
  // returns the items that were not played to their end: {id, samples}, samples being how much of them was.
  flush(out) {
    const marks = this.marks;
    const n = this.pull(out);
    for (let i = 0; i < n; i++) out[i] *= 1 - (i + 1) / n;
    const whole = this.complete && this.ring.length === 0;
    const cut = whole ? [] : marks.filter((m, i) => i + 1 >= marks.length || marks[i + 1].at > this.played);
    this.ring.clear();
    this.playing = false;
    this.complete = true;
    this.marks = [];
    this.need = this.start;
    return cut.map(({ id, at }) => ({ id, samples: Math.max(0, this.played - at) }));
  }
}
