package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"brenda/pipeline/weights"
)

// newProgress shows downloads on standard error: bars on a terminal, lines elsewhere, nothing when quiet.
func newProgress(quiet bool) weights.Progress {
	switch {
	case quiet:
		return weights.Quiet{}
	case term.IsTerminal(int(os.Stderr.Fd())):
		return &barProgress{w: os.Stderr}
	}
	return &lineProgress{w: os.Stderr}
}

// barProgress draws a bar with rate and remaining time.
type barProgress struct {
	w   io.Writer
	bar *progressbar.ProgressBar
}

// Start begins a bar.
func (p *barProgress) Start(task string, total int64) {
	if total <= 0 {
		total = -1 // a spinner
	}
	p.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(fmt.Sprintf("%-20s", task)),
		progressbar.OptionShowBytes(true), progressbar.OptionShowTotalBytes(true), progressbar.OptionSetWidth(24),
		progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetRenderBlankState(true), progressbar.OptionUseANSICodes(true))
}

// Advance moves the bar.
func (p *barProgress) Advance(n int64) {
	if p.bar != nil {
		_ = p.bar.Add64(n) // a bar that cannot be drawn is no reason to stop
	}
}

// Note writes a line, below the bar if there is one.
func (p *barProgress) Note(text string) {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	fmt.Fprintln(p.w, text)
}

// Done ends the bar.
func (p *barProgress) Done() {
	if p.bar != nil {
		_ = p.bar.Exit()
		fmt.Fprintln(p.w)
	}
	p.bar = nil
}

// lineEvery is how often a running download is reported where there is no terminal.
const lineEvery = 5 * time.Second

// lineProgress writes a line when a download starts, every five seconds, and when it ends.
type lineProgress struct {
	w io.Writer

	mu          sync.Mutex
	task        string
	total, have int64
	first       int64 // bytes that an earlier download had left, not counted in the rate
	began       time.Time
	stop        chan struct{}
	stopped     chan struct{}
}

// Start writes the first line.
func (p *lineProgress) Start(task string, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.task, p.total, p.have, p.first, p.began = task, total, 0, 0, time.Now()
	p.stop, p.stopped = make(chan struct{}), make(chan struct{})
	fmt.Fprintf(p.w, "%s: fetching %s\n", task, size(total))
	go p.report(p.stop, p.stopped)
}

func (p *lineProgress) report(stop, stopped chan struct{}) {
	defer close(stopped)
	tick := time.NewTicker(lineEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			p.mu.Lock()
			p.line()
			p.mu.Unlock()
		}
	}
}

// line writes how far the download is; the lock is held.
func (p *lineProgress) line() {
	took := time.Since(p.began)
	rate := float64(p.have-p.first) / max(took.Seconds(), 0.001)
	text := fmt.Sprintf("%s: %s of %s (%d %%), %.1f MB/s", p.task, size(p.have), size(p.total),
		p.have*100/max(p.total, 1), rate/1e6)
	if left := p.total - p.have; rate > 0 && left > 0 {
		eta := time.Duration(float64(left) / rate * float64(time.Second))
		text += fmt.Sprintf(", %s left", eta.Round(time.Second))
	}
	fmt.Fprintln(p.w, text)
}

// Advance counts.
func (p *lineProgress) Advance(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.have += n
	if time.Since(p.began) < time.Second/2 && n > 1<<20 {
		p.first = p.have // it was there before, or came out of a cache
	}
}

// Note writes a line.
func (p *lineProgress) Note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintln(p.w, text)
}

// Done writes the last line.
func (p *lineProgress) Done() {
	close(p.stop)
	<-p.stopped
	p.mu.Lock()
	defer p.mu.Unlock()
	word := "fetched"
	if p.have < p.total {
		word = "stopped after"
	}
	fmt.Fprintf(p.w, "%s: %s %s in %s\n", p.task, word, size(p.have), time.Since(p.began).Round(time.Second))
}
