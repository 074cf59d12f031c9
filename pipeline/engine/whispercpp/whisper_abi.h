// The part of whisper.h that Brenda needs, for exactly whisper.cpp 1.8.5. Types and their layout are taken from that
// file (as shipped in the source distribution of pywhispercpp 1.5.1); the gate in shim.c refuses any other version.
//
// MIT License. Copyright (c) 2023-2026 The ggml authors
//
// Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
// documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
// rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
// persons to whom the Software is furnished to do so, subject to the following conditions:
//
// The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
// Software.
//
// THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
// WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
// COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
// OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct whisper_context;
struct whisper_state;
typedef int32_t whisper_token;

enum whisper_sampling_strategy { WHISPER_SAMPLING_GREEDY, WHISPER_SAMPLING_BEAM_SEARCH };

struct whisper_aheads {
	size_t n_heads;
	const void *heads;
};

struct whisper_context_params {
	bool use_gpu;
	bool flash_attn;
	int gpu_device;
	bool dtw_token_timestamps;
	int dtw_aheads_preset; // an enum
	int dtw_n_top;
	struct whisper_aheads dtw_aheads;
	size_t dtw_mem_size;
};

struct whisper_vad_params {
	float threshold;
	int min_speech_duration_ms;
	int min_silence_duration_ms;
	float max_speech_duration_s;
	int speech_pad_ms;
	float samples_overlap;
};

typedef bool (*whisper_encoder_begin_callback)(struct whisper_context *, struct whisper_state *, void *);
typedef bool (*ggml_abort_callback)(void *);
typedef void (*ggml_log_callback)(int level, const char *text, void *user_data); // level is an enum

struct whisper_full_params {
	enum whisper_sampling_strategy strategy;
	int n_threads;
	int n_max_text_ctx;
	int offset_ms;
	int duration_ms;
	bool translate;
	bool no_context;
	bool no_timestamps;
	bool single_segment;
	bool print_special;
	bool print_progress;
	bool print_realtime;
	bool print_timestamps;
	bool token_timestamps;
	float thold_pt;
	float thold_ptsum;
	int max_len;
	bool split_on_word;
	int max_tokens;
	bool debug_mode;
	int audio_ctx;
	bool tdrz_enable;
	const char *suppress_regex;
	const char *initial_prompt;
	bool carry_initial_prompt;
	const whisper_token *prompt_tokens;
	int prompt_n_tokens;
	const char *language;
	bool detect_language;
	bool suppress_blank;
	bool suppress_nst;
	float temperature;
	float max_initial_ts;
	float length_penalty;
	float temperature_inc;
	float entropy_thold;
	float logprob_thold;
	float no_speech_thold;
	struct {
		int best_of;
	} greedy;
	struct {
		int beam_size;
		float patience;
	} beam_search;
	void (*new_segment_callback)(void);
	void *new_segment_callback_user_data;
	void (*progress_callback)(void);
	void *progress_callback_user_data;
	whisper_encoder_begin_callback encoder_begin_callback;
	void *encoder_begin_callback_user_data;
	ggml_abort_callback abort_callback;
	void *abort_callback_user_data;
	void (*logits_filter_callback)(void);
	void *logits_filter_callback_user_data;
	const void **grammar_rules;
	size_t n_grammar_rules;
	size_t i_start_rule;
	float grammar_penalty;
	bool vad;
	const char *vad_model_path;
	struct whisper_vad_params vad_params;
};

_Static_assert(sizeof(void *) == 8, "Brenda's whisper needs a 64-bit machine");
_Static_assert(sizeof(struct whisper_context_params) == 48, "layout of whisper_context_params");
_Static_assert(sizeof(struct whisper_full_params) == 304, "layout of whisper_full_params");
