// Calls libwhisper, which is found at run time, through its C interface. The C compiler passes the big parameter
// structs by value as the ABI wants it, and the abort callback never enters Go.
#define _GNU_SOURCE
#include "shim.h"
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WANTED "1.8.5"

#define FUNCTIONS(F) \
	F(const char *, version, (void)) \
	F(void, log_set, (ggml_log_callback, void *)) \
	F(struct whisper_context_params *, context_default_params_by_ref, (void)) \
	F(void, free_context_params, (struct whisper_context_params *)) \
	F(struct whisper_full_params *, full_default_params_by_ref, (enum whisper_sampling_strategy)) \
	F(void, free_params, (struct whisper_full_params *)) \
	F(struct whisper_context *, init_from_file_with_params, (const char *, struct whisper_context_params)) \
	F(void, free, (struct whisper_context *)) \
	F(int, n_audio_ctx, (struct whisper_context *)) \
	F(int, is_multilingual, (struct whisper_context *)) \
	F(int, full, (struct whisper_context *, struct whisper_full_params, const float *, int)) \
	F(int, full_n_segments, (struct whisper_context *)) \
	F(const char *, full_get_segment_text, (struct whisper_context *, int)) \
	F(int, full_n_tokens, (struct whisper_context *, int)) \
	F(float, full_get_token_p, (struct whisper_context *, int, int)) \
	F(int, full_lang_id, (struct whisper_context *)) \
	F(int, lang_id, (const char *)) \
	F(const char *, lang_str, (int))

#define DECLARE(ret, name, args) static ret(*w_##name) args;
FUNCTIONS(DECLARE)

// Warnings and errors go to stderr, which the parent keeps; the rest is noise.
static void on_log(int level, const char *text, void *user) {
	(void)user;
	if (level == 3 || level == 4)
		fputs(text, stderr);
}

int bw_load(const char *library, char *err, int err_len) {
	void *h = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!h) {
		snprintf(err, err_len, "%s", dlerror());
		return -1;
	}
#define LOOKUP(ret, name, args) \
	if (!(*(void **)&w_##name = dlsym(h, "whisper_" #name))) { \
		snprintf(err, err_len, "no symbol whisper_" #name); \
		return -1; \
	}
	FUNCTIONS(LOOKUP)
	w_log_set(on_log, NULL);
	if (strcmp(w_version(), WANTED) != 0) {
		snprintf(err, err_len, "it is whisper.cpp %s; this program needs exactly " WANTED, w_version());
		return -1;
	}
	// The version alone does not prove the layout: look for known defaults from the struct's one end to its other.
	struct whisper_full_params *d = w_full_default_params_by_ref(WHISPER_SAMPLING_GREEDY);
	int same = d->thold_pt == 0.01f && d->temperature_inc == 0.2f && d->entropy_thold == 2.4f &&
		d->no_speech_thold == 0.6f && d->greedy.best_of == 5 && d->grammar_penalty == 100.0f &&
		d->vad_params.threshold == 0.5f && d->vad_params.samples_overlap == 0.1f && d->language &&
		strcmp(d->language, "en") == 0;
	w_free_params(d);
	struct whisper_context_params *c = w_context_default_params_by_ref();
	same = same && c->use_gpu && c->flash_attn && c->gpu_device == 0 && c->dtw_n_top == -1 &&
		c->dtw_mem_size == (size_t)1024 * 1024 * 128;
	w_free_context_params(c);
	if (!same) {
		snprintf(err, err_len, "its parameters are laid out in another way");
		return -1;
	}
	return 0;
}

int bw_knows_language(const char *language) { return w_lang_id(language) >= 0; }

struct whisper_context *bw_open(const char *model) {
	struct whisper_context_params *p = w_context_default_params_by_ref();
	p->use_gpu = false;
	// With flash attention, a reduced audio context reads rows of earlier utterances: wrong words, and another
	// person's at that.
	p->flash_attn = false;
	struct whisper_context *c = w_init_from_file_with_params(model, *p);
	w_free_context_params(p);
	return c;
}

int bw_audio_ctx(struct whisper_context *c) { return w_n_audio_ctx(c); }

void bw_close(struct whisper_context *c) { w_free(c); }

static bool on_abort(void *cancel) { return __atomic_load_n((int *)cancel, __ATOMIC_RELAXED) != 0; }

static bool no_encoding(struct whisper_context *c, struct whisper_state *s, void *user) {
	(void)c, (void)s, (void)user;
	return false;
}

int bw_transcribe(struct whisper_context *c, const struct bw_job *j, struct bw_result *r) {
	memset(r, 0, sizeof *r);
	struct whisper_full_params *p = w_full_default_params_by_ref(WHISPER_SAMPLING_GREEDY);
	if (j->beam > 1) {
		// It draws its candidates at random, and the first beam's dice are not reset: the same sound may come out in
		// other words the next time.
		p->strategy = WHISPER_SAMPLING_BEAM_SEARCH;
		p->beam_search.beam_size = j->beam;
	}
	p->n_threads = j->threads;
	p->language = w_is_multilingual(c) ? j->language : "en";
	p->initial_prompt = j->prompt;
	p->no_context = true;
	p->no_timestamps = true;
	p->single_segment = true;
	p->suppress_blank = true;
	p->suppress_nst = true;
	p->temperature = 0;
	p->temperature_inc = j->temperature_inc;
	p->greedy.best_of = 1;
	p->max_tokens = j->max_tokens;
	p->audio_ctx = j->audio_ctx;
	p->print_progress = p->print_realtime = p->print_special = p->print_timestamps = false;
	p->abort_callback = on_abort;
	p->abort_callback_user_data = j->cancel;

	int rc = 0, samples = j->samples;
	if (strcmp(p->language, "auto") == 0) {
		// The language is detected before whisper_full sets the audio context, with that of the call before. So set it
		// by a run that stops short of encoding; the spectrogram stays.
		struct whisper_full_params prepare = *p;
		prepare.language = "en";
		prepare.encoder_begin_callback = no_encoding;
		rc = w_full(c, prepare, j->pcm, samples);
		samples = 0;
	}
	if (rc == 0)
		rc = w_full(c, *p, j->pcm, samples);
	w_free_params(p);
	if (rc != 0)
		return rc;

	int n = w_full_n_segments(c);
	size_t len = 1;
	for (int i = 0; i < n; i++)
		len += strlen(w_full_get_segment_text(c, i));
	if (!(r->text = malloc(len)))
		return -100;
	char *end = r->text;
	for (int i = 0; i < n; i++) {
		end = stpcpy(end, w_full_get_segment_text(c, i));
		int tokens = w_full_n_tokens(c, i);
		r->tokens += tokens;
		for (int k = 0; k < tokens; k++)
			r->log_prob += logf(fmaxf(w_full_get_token_p(c, i, k), 1e-9f));
	}
	*end = 0;
	r->language = w_lang_str(w_full_lang_id(c));
	return 0;
}
