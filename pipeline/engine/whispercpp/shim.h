#pragma once
#include "whisper_abi.h"

// What to transcribe; times in samples at 16 kHz.
struct bw_job {
	const float *pcm;
	int samples;
	const char *language; // "fr", or "auto"
	const char *prompt;   // may be NULL
	int threads;
	int audio_ctx; // 0: all of it
	int max_tokens;
	int beam; // how many beginnings are followed at once; 0 or 1: greedily the best
	float temperature_inc;
	int *cancel; // turns non-zero when the work is not wanted any more
};

struct bw_result {
	char *text; // to be freed
	const char *language;
	int tokens;
	float log_prob; // of all tokens together
};

int bw_load(const char *library, char *err, int err_len);
int bw_knows_language(const char *language);
struct whisper_context *bw_open(const char *model);
int bw_audio_ctx(struct whisper_context *);
void bw_close(struct whisper_context *);
int bw_transcribe(struct whisper_context *, const struct bw_job *, struct bw_result *);
