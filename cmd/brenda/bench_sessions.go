package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/coder/websocket"

	"brenda/audio"
)

// benchSessionsCmd finds out how many conversations one machine carries.
type benchSessionsCmd struct {
	Speech   string        `placeholder:"DIR" help:"Speech made by deploy/test-speech.sh; default: speech beside the models."`
	Sessions []int         `default:"25,50,100,150,200" help:"How many conversations at the same time, one after the other."`
	Hold     time.Duration `default:"20s" help:"How long each of these is held."`
	Binary   bool          `help:"As kiosks do: sound in binary frames. Default: base64 in JSON."`
	Force    bool          `help:"Let everybody in. Default: those that are too many are refused, as when it serves."`
	Profile  string        `placeholder:"FILE" help:"Write a processor profile of the server at the last number."`
	JSON     bool          `help:"As JSON."`
}

// sessionsLevel is what was measured with a number of conversations.
type sessionsLevel struct {
	Sessions  int     `json:"sessions"`
	Refused   int     `json:"refused"`
	Pieces    int     `json:"pieces"`      // of sound
	Late      int     `json:"late"`        // judged more than 20 ms after their arrival
	P50       float64 `json:"p50_ms"`      // from arrival until judged: the upper bound of its class
	P99       float64 `json:"p99_ms"`      // likewise
	Scheduler float64 `json:"sched_ms"`    // 99th percentile of the wait of a goroutine for a processor
	CPU       float64 `json:"cpu_percent"` // of one processor
	PerSecond float64 `json:"cpu_ms"`      // of processor for a second of one conversation
	RSS       uint64  `json:"rss_bytes"`
	Each      float64 `json:"kb_each"` // memory of one conversation
	Answers   int     `json:"answers"` // that were spoken to their end
	Behind    float64 `json:"behind_ms"`
}

// Run ramps up, and prints what was measured.
func (b *benchSessionsCmd) Run(ctx context.Context, env *environment) error {
	source := benchSource{Speech: b.Speech}
	clips, err := source.clips(env, 10)
	if err != nil {
		return err
	}
	server, err := startCarrier(ctx, env, b.Force)
	if err != nil {
		return err
	}
	defer server.end()
	var tracks []track
	for _, c := range clips {
		tracks = append(tracks, newTrack(c, b.Binary))
	}
	crowd := &crowd{to: "ws://" + server.addr + "/v1/realtime", binary: b.Binary, tracks: tracks}
	defer crowd.end()
	empty, err := server.stats(ctx)
	if err != nil {
		return err
	}
	var levels []sessionsLevel
	for i, n := range b.Sessions {
		file := ""
		if i == len(b.Sessions)-1 {
			file = b.Profile
		}
		level, err := b.level(ctx, crowd, server, n, file)
		if err != nil {
			return errors.Join(err, b.print(env, levels))
		}
		level.Each = (float64(level.RSS) - float64(empty.RSS)) / 1024 / float64(max(level.Sessions, 1))
		levels = append(levels, level)
		env.log.Info("measured", "sessions", level.Sessions, "late", level.Late, "cpu_percent", level.CPU)
	}
	return b.print(env, levels)
}

// level measures with n conversations.
func (b *benchSessionsCmd) level(
	ctx context.Context, c *crowd, server *carrier, n int, profile string,
) (sessionsLevel, error) {
	refused := c.grow(ctx, n)
	const settle = 3 * time.Second // connecting is not what is measured
	if err := pause(ctx, settle); err != nil {
		return sessionsLevel{}, err
	}
	before, err := server.stats(ctx)
	if err != nil {
		return sessionsLevel{}, err
	}
	answers, begin := c.answers.Load(), time.Now()
	c.behind.Store(0)
	if profile != "" {
		if err := server.profile(ctx, profile, b.Hold); err != nil {
			return sessionsLevel{}, err
		}
	} else if err := pause(ctx, b.Hold); err != nil {
		return sessionsLevel{}, err
	}
	took := time.Since(begin).Seconds()
	after, err := server.stats(ctx)
	if err != nil {
		return sessionsLevel{}, err
	}
	cpu := (after.CPU - before.CPU) / took
	return sessionsLevel{
		Sessions: after.Calls, Refused: refused, Pieces: after.Lateness.Pieces, Late: after.Lateness.Late,
		P50: milliseconds(after.Lateness.P50), P99: milliseconds(after.Lateness.P99), Scheduler: after.Waiting * 1000,
		CPU: cpu * 100, PerSecond: cpu * 1000 / float64(max(after.Calls, 1)), RSS: after.RSS,
		Answers: int(c.answers.Load() - answers), Behind: milliseconds(time.Duration(c.behind.Load())),
	}, nil
}

func (b *benchSessionsCmd) print(env *environment, levels []sessionsLevel) error {
	if b.JSON {
		return printJSON(env.out, levels)
	}
	form := "JSON"
	if b.Binary {
		form = "binary"
	}
	fmt.Fprintf(env.out, "Conversations with the real VAD and scripted engines, 20 ms frames in real time, %s, %d cores.\n"+
		"Late is sound that was judged more than 20 ms after it had arrived. Behind is how late the clients of this\n"+
		"measurement themselves were, which share the machine with the server.\n\n", form, runtime.NumCPU())
	w := tabwriter.NewWriter(env.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "sessions\trefused\tlate\tp50 ≤\tp99 ≤\tsched. p99\tbehind\tCPU\tCPU ms/s each\tRSS MB\tKB each\tanswers\t")
	for _, l := range levels {
		late := 100 * float64(l.Late) / float64(max(l.Pieces, 1))
		fmt.Fprintf(w, "%d\t%d\t%.2f %%\t%.1f ms\t%.1f ms\t%.1f ms\t%.0f ms\t%.0f %%\t%.2f\t%d\t%.0f\t%d\t\n",
			l.Sessions, l.Refused, late, l.P50, l.P99, l.Scheduler, l.Behind, l.CPU, l.PerSecond, l.RSS>>20, l.Each, l.Answers)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return verdict(env.out, levels)
}

// verdict says where it breaks.
func verdict(out io.Writer, levels []sessionsLevel) error {
	good := 0
	for _, l := range levels {
		if l.Refused > 0 || l.P99 > 20 {
			_, err := fmt.Fprintf(out, "\nIt breaks between %d and %d conversations.\n", good, l.Sessions+l.Refused)
			return err
		}
		good = l.Sessions
	}
	_, err := fmt.Fprintf(out, "\nIt does not break up to %d conversations.\n", good)
	return err
}

// startCarrier starts the server that is measured.
func startCarrier(ctx context.Context, env *environment, force bool) (*carrier, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, self, "bench", "carrier", "--models-dir", env.Models.Dir)
	if force {
		cmd.Args = append(cmd.Args, "--few", strconv.Itoa(math.MaxInt32))
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		stop()
		return nil, err
	}
	c := &carrier{end: func() { stop(); _ = cmd.Wait() }}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		c.end()
		return nil, fmt.Errorf("the measured server: %w", err)
	}
	c.addr = strings.TrimSpace(line)
	return c, nil
}

// profile writes what the carrier's processor time goes into.
func (c *carrier) profile(ctx context.Context, file string, d time.Duration) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet,
		fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", c.addr, int(d.Seconds())), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}

// track is what a person says and then is silent for, as messages of 20 ms, ready to be sent.
type track [][]byte

// newTrack makes messages of a recording and five seconds of silence.
func newTrack(c benchClip, asBinary bool) track {
	const samples = benchRate / 50
	pcm := append(append([]float32(nil), c.pcm...), make([]float32, 5*benchRate)...)
	var t track
	for ; len(pcm) >= samples; pcm = pcm[samples:] {
		sound := audio.PCM16(pcm[:samples])
		if asBinary {
			t = append(t, append([]byte{1, 0, 0, 0, 0, 0, 0, 0}, sound...))
			continue
		}
		t = append(t, []byte(`{"type":"input_audio_buffer.append","audio":"`+base64.StdEncoding.EncodeToString(sound)+`"}`))
	}
	return t
}

// crowd are the people who talk.
type crowd struct {
	to      string
	binary  bool
	tracks  []track
	answers atomic.Int64
	behind  atomic.Int64 // the longest that a message was sent too late

	wg    sync.WaitGroup
	stops []func()
}

// grow has more people join, up to n; it returns how many were refused.
func (c *crowd) grow(ctx context.Context, n int) (refused int) {
	for i := len(c.stops); i < n; i++ {
		options := &websocket.DialOptions{Subprotocols: []string{"realtime"}}
		if c.binary {
			options.Subprotocols = []string{"brenda.binary.v1"}
		}
		conn, _, err := websocket.Dial(ctx, c.to, options) //nolint:bodyclose // Dial does it
		if err != nil {
			refused++
			continue
		}
		conn.SetReadLimit(1 << 20)
		call, stop := context.WithCancel(ctx)
		c.stops = append(c.stops, func() { stop(); _ = conn.CloseNow() })
		c.wg.Go(func() { c.hear(call, conn) })
		c.wg.Go(func() { c.talk(call, conn, c.tracks[i%len(c.tracks)]) })
		_ = pause(ctx, 20*time.Millisecond)
	}
	return refused
}

func (c *crowd) end() {
	for _, stop := range c.stops {
		stop()
	}
	c.wg.Wait()
}

// hear takes what the server sends, and counts answers.
func (c *crowd) hear(ctx context.Context, conn *websocket.Conn) {
	for {
		_, b, err := conn.Read(ctx)
		if err != nil {
			return
		}
		if strings.HasPrefix(string(b[:min(len(b), 24)]), `{"type":"response.done"`) {
			c.answers.Add(1)
		}
	}
}

// talk sends a track over and over, each message at its time.
func (c *crowd) talk(ctx context.Context, conn *websocket.Conn, t track) {
	kind := websocket.MessageText
	if c.binary {
		kind = websocket.MessageBinary
	}
	const step = 20 * time.Millisecond
	due := time.Now().Add(time.Duration(rand.Int64N(int64(step)))) //nolint:gosec // no secret
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	for n := rand.IntN(len(t)); ; n++ { //nolint:gosec // no secret
		select {
		case <-timer.C:
			if late := int64(time.Since(due)); late > c.behind.Load() {
				c.behind.Store(late)
			}
		case <-ctx.Done():
			return
		}
		message := t[n%len(t)]
		if c.binary {
			message = append([]byte(nil), message...)
			binary.LittleEndian.PutUint16(message[2:], uint16(n))    //nolint:gosec // wraps, as it is meant to
			binary.LittleEndian.PutUint32(message[4:], uint32(n*20)) //nolint:gosec // likewise
		}
		if conn.Write(ctx, kind, message) != nil {
			return
		}
		due = due.Add(step)
		timer.Reset(time.Until(due))
	}
}
