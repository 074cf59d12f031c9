// Backoff says how long to wait before the next try: a random part of a time that doubles with each failure, so that
// many pages that lost the same server do not come back at the same moment. ("Full jitter" in "Exponential Backoff
// And Jitter", AWS Architecture Blog.) The first half is certain, so that no try comes at once.

export class Backoff {
  // first and most are in milliseconds; random returns 0…1.
  constructor({ first = 400, most = 15000, random = Math.random } = {}) {
    Object.assign(this, { first, most, random, failures: 0 });
  }

  // next returns the milliseconds to wait after another failure, never less than atLeast, which the server may ask for.
  next(atLeast = 0) {
    const ceiling = Math.min(this.most, this.first * 2 ** this.failures);
    this.failures++;
    return atLeast + (ceiling / 2) * (1 + this.random());
  }

  reset() {
    this.failures = 0;
  }
}
