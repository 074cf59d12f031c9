// Command kiosk is the smallest whole client of Brenda's WebSocket: a microphone, a loudspeaker, and captions.
//
// It speaks the subprotocol brenda.binary.v1 (docs/realtime.md): sound in binary frames, events as JSON. It falls silent at
// once when somebody interrupts, tells the server what has been played, and when the line drops it goes on in the same
// conversation. It is meant to be read, and to be copied into devices.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sync/errgroup"
)

func main() {
	url := flag.String("url", "ws://127.0.0.1:8080/v1/realtime", "the server; $BRENDA_TOKEN is its token")
	mic := flag.String("mic", "arecord", "the microphone: arecord, or a WAV or MP3 file")
	out := flag.String("speaker", "aplay", "the loudspeaker: aplay, or a WAV file to write")
	answers := flag.Int("answers", 0, "end after so many answers; 0: never")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	k := &kiosk{url: *url, token: os.Getenv("BRENDA_TOKEN"), answers: *answers, end: stop, captions: os.Stdout}
	if err := k.run(ctx, *mic, *out); err != nil {
		fmt.Fprintln(os.Stderr, "kiosk:", err)
		os.Exit(1)
	}
}

// run talks until ctx ends.
func (k *kiosk) run(ctx context.Context, mic, out string) error {
	g, ctx := errgroup.WithContext(ctx)
	microphone, err := openMicrophone(ctx, mic)
	if err != nil {
		return err
	}
	if k.speaker, err = openSpeaker(ctx, out); err != nil {
		return err
	}
	g.Go(func() error { return k.listen(ctx, microphone) })
	g.Go(func() error { return k.speaker.play(ctx, k.played) })
	g.Go(func() error { return k.stay(ctx) })
	return g.Wait()
}
