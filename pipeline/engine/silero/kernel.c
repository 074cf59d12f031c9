// Silero VAD v5, 16 kHz branch, by hand: 576 samples -> STFT magnitudes (129x4) -> four convolutions of 3 taps ->
// LSTM of 128 -> one sigmoid. Fixed loops over weights whose shapes Go has checked; no allocation, no failure.
//
// Every layer is the same product: K inputs times K x 16 packed weights, for T columns of time at once, so that a
// weight loaded once serves T columns. It is written with GCC's vector extension and compiled twice on amd64.

#include "kernel.h"

#include <string.h>

typedef float v8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int v8i __attribute__((vector_size(32)));

#define INLINE static inline __attribute__((always_inline))

enum {
    FRAME = 512, TAIL = 64, BINS = 129, BINS_PAD = 144, EVEN = 129, ODD = 127, HIDDEN = 128, GATES = 512,
    N_COS = BINS_PAD * EVEN, N_SIN = BINS_PAD * ODD,
    N_W0 = 128 * 3 * BINS, N_W1 = 64 * 3 * 128, N_W2 = 64 * 2 * 64, N_W3 = 128 * 64, N_LSTM = GATES * 256,
    N_BIAS = 128 + 64 + 64 + 128 + GATES, N_OUT = 128 + 1,
    N_ALL = N_COS + N_SIN + N_W0 + N_W1 + N_W2 + N_W3 + N_LSTM + N_BIAS + N_OUT,
};

size_t silero_weights(void) { return N_ALL; }

INLINE v8 splat(float x) { return (v8){x, x, x, x, x, x, x, x}; }
INLINE v8 load(const float *p) { return *(const v8 *)p; }
INLINE void store(float *p, v8 x) { *(v8 *)p = x; }
INLINE v8 choose(v8i mask, v8 a, v8 b) { return (v8)((mask & (v8i)a) | (~mask & (v8i)b)); }

// out[t*m + i] (t < T, i < m) = bias[i] + sum over taps and channels of w * x[channel*row + tap + t*stride].
// The weights lie as [m/16][tap][channel][16].
#define PRODUCT(NAME, T)                                                                                              \
    INLINE void NAME(const float *w, const float *bias, const float *x, int m, int taps, int channels, int row,     \
                     int stride, float *out) {                                                                        \
        for (int i = 0; i < m; i += 16) {                                                                             \
            v8 lo[T], hi[T];                                                                                          \
            for (int t = 0; t < T; t++) {                                                                             \
                lo[t] = bias ? load(bias + i) : splat(0);                                                             \
                hi[t] = bias ? load(bias + i + 8) : splat(0);                                                         \
            }                                                                                                         \
            for (int j = 0; j < taps; j++)                                                                            \
                for (int c = 0; c < channels; c++, w += 16) {                                                         \
                    v8 a = load(w), b = load(w + 8);                                                                  \
                    const float *p = x + c * row + j;                                                                 \
                    for (int t = 0; t < T; t++) {                                                                     \
                        v8 s = splat(p[t * stride]);                                                                  \
                        lo[t] += a * s;                                                                               \
                        hi[t] += b * s;                                                                               \
                    }                                                                                                 \
                }                                                                                                     \
            for (int t = 0; t < T; t++) {                                                                             \
                store(out + t * m + i, lo[t]);                                                                        \
                store(out + t * m + i + 8, hi[t]);                                                                    \
            }                                                                                                         \
        }                                                                                                             \
    }

PRODUCT(product4, 4)
PRODUCT(product2, 2)

// out[i] = bias[i] + sum of w * x over `channels` values, for one column: 64 outputs at once, to have enough
// independent sums. The weights lie as [m/64][channel][64].
INLINE void product1(const float *w, const float *bias, const float *x, int m, int channels, float *out) {
    for (int i = 0; i < m; i += 64) {
        v8 acc[8];
        for (int k = 0; k < 8; k++) acc[k] = load(bias + i + 8 * k);
        for (int c = 0; c < channels; c++, w += 64) {
            v8 s = splat(x[c]);
            for (int k = 0; k < 8; k++) acc[k] += load(w + 8 * k) * s;
        }
        for (int k = 0; k < 8; k++) store(out + i + 8 * k, acc[k]);
    }
}

// e^x by 2^n * polynomial (coefficients of Cephes expf); relative error about 1e-7.
INLINE v8 exp8(v8 x) {
    const v8 top = splat(87.0f), bottom = splat(-87.0f), magic = splat(12582912.0f);
    x = choose(x > top, top, x);
    x = choose(x < bottom, bottom, x);
    v8 shifted = x * 1.44269504088896341f + magic;
    v8 n = shifted - magic;
    v8 r = x - n * 0.693359375f + n * 2.12194440e-4f;
    v8 p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    v8i power = ((v8i)shifted - (v8i)magic + 127) << 23;
    return p * (v8)power;
}

INLINE v8 sigmoid8(v8 x) { return 1.0f / (1.0f + exp8(-x)); }
INLINE v8 tanh8(v8 x) { return 1.0f - 2.0f / (exp8(x + x) + 1.0f); }

// max(x, 0), moved from [t][m] to rows of channels with `row` columns, the first at column `first`.
INLINE void relu_rows(const float *in, int m, int times, float *out, int row, int first) {
    for (int i = 0; i < m; i++)
        for (int t = 0; t < times; t++) {
            float v = in[t * m + i];
            out[i * row + first + t] = v > 0 ? v : 0;
        }
}

// The magnitudes of four windows of 256 samples, 128 apart. The windowed cosines are even around the window's middle
// and the sines odd, so both sides are folded first: half the products. mag: rows of 6, zero in columns 0 and 5.
INLINE void magnitudes(const float *w, const float *x, float *mag) {
    float even[EVEN * 4], odd[ODD * 4], re[4 * BINS_PAD], im[4 * BINS_PAD];
    for (int t = 0; t < 4; t++) {
        const float *p = x + 128 * t;
        even[t] = p[0];
        even[128 * 4 + t] = p[128];
        for (int n = 1; n < 128; n++) {
            even[n * 4 + t] = p[n] + p[256 - n];
            odd[(n - 1) * 4 + t] = p[n] - p[256 - n];
        }
    }
    product4(w, NULL, even, BINS_PAD, 1, EVEN, 4, 1, re);
    product4(w + N_COS, NULL, odd, BINS_PAD, 1, ODD, 4, 1, im);
    for (int i = 0; i < 4 * BINS_PAD; i++) re[i] = __builtin_sqrtf(re[i] * re[i] + im[i] * im[i]);
    for (int i = 0; i < BINS; i++) {
        mag[i * 6] = mag[i * 6 + 5] = 0;
        for (int t = 0; t < 4; t++) mag[i * 6 + 1 + t] = re[t * BINS_PAD + i];
    }
}

INLINE float frame(const float *w, float *hidden, const float *x) {
    float mag[BINS * 6], a[4 * 128], b[128 * 6], in[256], gates[GATES];
    const float *w0 = w + N_COS + N_SIN, *w1 = w0 + N_W0, *w2 = w1 + N_W1, *w3 = w2 + N_W2, *lstm = w3 + N_W3;
    const float *b0 = lstm + N_LSTM, *b1 = b0 + 128, *b2 = b1 + 64, *b3 = b2 + 64, *bg = b3 + 128;
    const float *out = bg + GATES;

    magnitudes(w, x, mag);
    product4(w0, b0, mag, 128, 3, BINS, 6, 1, a);
    memset(b, 0, sizeof b);
    relu_rows(a, 128, 4, b, 6, 1);
    product2(w1, b1, b, 64, 3, 128, 6, 2, a);
    relu_rows(a, 128, 1, b, 1, 0);        // both columns in one: the next layer's left tap meets padding only
    product1(w2, b2, b, 64, 128, a);
    relu_rows(a, 64, 1, b, 1, 0);
    product1(w3, b3, b, 128, 64, a);      // the middle tap only: one column is left
    relu_rows(a, 128, 1, in, 1, 0);

    memcpy(in + HIDDEN, hidden, HIDDEN * sizeof *hidden);
    product1(lstm, bg, in, GATES, 2 * HIDDEN, gates);
    v8 sum = splat(0);
    for (int i = 0; i < HIDDEN; i += 8) { // gates: input, forget, cell, output
        v8 c = sigmoid8(load(gates + HIDDEN + i)) * load(hidden + HIDDEN + i) +
               sigmoid8(load(gates + i)) * tanh8(load(gates + 2 * HIDDEN + i));
        v8 h = sigmoid8(load(gates + 3 * HIDDEN + i)) * tanh8(c);
        store(hidden + i, h);
        store(hidden + HIDDEN + i, c);
        sum += choose(h > splat(0), h, splat(0)) * load(out + i);
    }
    v8 z = splat(out[HIDDEN]);
    for (int i = 0; i < 8; i++) z += sum[i];
    return sigmoid8(z)[0];
}

INLINE void run(const float *w, float *hidden, float *tail, const float *pcm, int frames, float *probs) {
    float x[TAIL + FRAME + 64];
    for (int f = 0; f < frames; f++, pcm += FRAME) {
        memcpy(x, tail, TAIL * sizeof *x);
        memcpy(x + TAIL, pcm, FRAME * sizeof *x);
        for (int i = 0; i < 64; i++) x[TAIL + FRAME + i] = x[TAIL + FRAME - 2 - i]; // mirrored
        probs[f] = frame(w, hidden, x);
        memcpy(tail, pcm + FRAME - TAIL, TAIL * sizeof *x);
    }
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void run_avx2(const float *w, float *hidden, float *tail,
                                                         const float *pcm, int frames, float *probs) {
    run(w, hidden, tail, pcm, frames, probs);
}
#endif

void silero_run(const float *w, float *hidden, float *tail, const float *pcm, int frames, float *probs) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        run_avx2(w, hidden, tail, pcm, frames, probs);
        return;
    }
#endif
    run(w, hidden, tail, pcm, frames, probs);
}
