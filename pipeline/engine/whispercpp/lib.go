package whispercpp

/*
#cgo CFLAGS: -O2 -Wall -Wextra
#cgo LDFLAGS: -ldl -lm
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/cpu"
)

// job is one transcription as libwhisper wants it.
type job struct {
	pcm          []float32
	language     string
	prompt       string
	threads      int
	audioCtx     int // 0: all of it
	maxTokens    int
	beam         int     // how many beginnings are followed at once; 0: the best only
	fallbackStep float32 // the temperature is raised by this when the result looks bad; 0: never
}

// text is what libwhisper made of it.
type text struct {
	text     string
	language string
	tokens   int
	logProb  float64 // mean of the tokens, the end included; 0 when there are none
}

// loadLibrary opens libwhisper, once for the process.
func loadLibrary(path string) error {
	if runtime.GOARCH == "amd64" && (!cpu.X86.HasAVX2 || !cpu.X86.HasFMA || !cpu.X86.HasBMI2) {
		// Without this check the process would end in an illegal instruction, with no word about why.
		return errors.New("this processor has no AVX2, FMA and BMI2, which this build of whisper.cpp needs")
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	const room = 512
	msg := (*C.char)(C.calloc(1, room))
	defer C.free(unsafe.Pointer(msg))
	if C.bw_load(name, msg, room) != 0 {
		return fmt.Errorf("loading libwhisper: %s", C.GoString(msg))
	}
	return nil
}

func knowsLanguage(code string) bool {
	c := C.CString(code)
	defer C.free(unsafe.Pointer(c))
	return C.bw_knows_language(c) != 0
}

// model is a loaded model. One OS thread owns its context: libgomp keeps a pool of threads for each
// calling thread, and a context serves one call at a time.
type model struct {
	jobs chan func(*C.struct_whisper_context)
	done chan struct{} // closed when the model is gone
}

// openModel loads a model. It is freed when quit closes, or once nothing was asked of it for idle (0:
// never).
func openModel(path string, idle time.Duration, quit <-chan struct{}) (*model, error) {
	m := &model{jobs: make(chan func(*C.struct_whisper_context)), done: make(chan struct{})}
	opened := make(chan error, 1)
	go m.run(path, idle, quit, opened)
	if err := <-opened; err != nil {
		return nil, err
	}
	return m, nil
}

func (m *model) run(path string, idle time.Duration, quit <-chan struct{}, opened chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(m.done)
	name := C.CString(path)
	c := C.bw_open(name)
	C.free(unsafe.Pointer(name))
	if c == nil {
		opened <- errors.New("whisper.cpp cannot load the model file")
		return
	}
	defer C.bw_close(c)
	opened <- nil
	var expired <-chan time.Time
	timer := time.NewTimer(idle)
	defer timer.Stop()
	if idle > 0 {
		expired = timer.C
	}
	for {
		select {
		case f := <-m.jobs:
			f(c)
			timer.Reset(idle)
		case <-expired:
			return
		case <-quit:
			return
		}
	}
}

// errGone means that the model was freed before the job began.
var errGone = errors.New("the model was unloaded")

// transcribe runs j. When ctx ends first it returns ctx's cause: at once while it waits for its turn,
// and at whisper.cpp's next look (after an encoding or one token) when it runs.
func (m *model) transcribe(ctx context.Context, j job) (text, error) {
	cancel := (*C.int)(C.calloc(1, 4)) // in C's memory: ggml's threads read it
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		atomic.StoreInt32((*int32)(unsafe.Pointer(cancel)), 1)
		close(fired)
	})
	defer func() {
		if !stop() {
			<-fired
		}
		C.free(unsafe.Pointer(cancel))
	}()
	var out text
	var rc C.int
	finished := make(chan struct{})
	work := func(c *C.struct_whisper_context) {
		defer close(finished)
		out, rc = call(c, j, cancel)
	}
	select {
	case m.jobs <- work:
	case <-m.done:
		return text{}, errGone
	case <-ctx.Done():
		return text{}, context.Cause(ctx)
	}
	<-finished
	switch {
	case ctx.Err() != nil:
		return text{}, context.Cause(ctx)
	case rc != 0:
		return text{}, fmt.Errorf("whisper.cpp gave up with code %d", int(rc))
	}
	return out, nil
}

// call is the C call itself; it runs on the context's thread.
func call(c *C.struct_whisper_context, j job, cancel *C.int) (text, C.int) {
	language := C.CString(j.language)
	defer C.free(unsafe.Pointer(language))
	var prompt *C.char
	if j.prompt != "" {
		prompt = C.CString(j.prompt)
		defer C.free(unsafe.Pointer(prompt))
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&j.pcm[0])
	cj := C.struct_bw_job{
		pcm: (*C.float)(unsafe.Pointer(&j.pcm[0])), samples: C.int(len(j.pcm)), language: language, prompt: prompt,
		threads: C.int(j.threads), audio_ctx: C.int(j.audioCtx), max_tokens: C.int(j.maxTokens),
		beam: C.int(j.beam), temperature_inc: C.float(j.fallbackStep), cancel: cancel,
	}
	if all := C.bw_audio_ctx(c); cj.audio_ctx > all {
		cj.audio_ctx = all
	}
	var r C.struct_bw_result
	if rc := C.bw_transcribe(c, &cj, &r); rc != 0 {
		return text{}, rc
	}
	defer C.free(unsafe.Pointer(r.text))
	// A token may end within a letter.
	t := strings.TrimSpace(strings.ToValidUTF8(C.GoString(r.text), ""))
	return text{
		text: t, language: C.GoString(r.language), tokens: int(r.tokens),
		logProb: float64(r.log_prob) / float64(max(1, r.tokens)),
	}, 0
}
