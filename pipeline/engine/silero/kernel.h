// Silero VAD v5 at 16 kHz for one stream; see kernel.c.
#ifndef BRENDA_SILERO_KERNEL_H
#define BRENDA_SILERO_KERNEL_H

#include <stddef.h>

// How many floats the packed weights have; pack.go lays them out.
size_t silero_weights(void);

// Judges `frames` frames of 512 samples each. hidden (256: h, then c) and tail (64) are read and updated; one
// probability per frame is written to probs. It reads and writes nothing else and cannot fail.
void silero_run(const float *weights, float *hidden, float *tail, const float *pcm, int frames, float *probs);

#endif
