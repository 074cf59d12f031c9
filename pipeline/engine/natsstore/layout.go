package natsstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go/jetstream"
)

const layoutVersion = 2

// layout says which streams exist and up to which message, as a lower bound. The server skips a stream that
// it cannot recover and cuts a block at the first broken message, both with hardly a word; this file is how
// either is noticed.
type layout struct {
	Version int               `json:"version"`
	LastSeq map[string]uint64 `json:"last_seq"`
	Sum     uint32            `json:"sum"` // of the others: a broken letter in a stream's name must not pass for a lost stream
}

// sum returns the CRC-32 of all that l says.
func (l layout) sum() (uint32, error) {
	l.Sum = 0
	data, err := json.Marshal(l)
	return crc32.ChecksumIEEE(data), err
}

func (b *backend) writeLayout(ctx context.Context) error {
	l := layout{Version: layoutVersion, LastSeq: map[string]uint64{}}
	for _, stream := range []jetstream.Stream{b.turns, b.meta} {
		info, err := stream.Info(ctx)
		if err != nil {
			return err
		}
		l.LastSeq[info.Config.Name] = info.State.LastSeq
	}
	var err error
	if l.Sum, err = l.sum(); err != nil {
		return err
	}
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return writeSynced(filepath.Join(b.dir, layoutFile), data)
}

// checkLayout returns an error when a stream that was there is gone, and says loudly when messages are.
func (b *backend) checkLayout(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(b.dir, layoutFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var l layout
	err = errors.Join(err, json.Unmarshal(text, &l))
	sum, sumErr := l.sum()
	if err = errors.Join(err, sumErr); err != nil || l.Version != layoutVersion || l.Sum != sum {
		b.log.Warn("the conversation store's layout file cannot be used; a loss would go unnoticed this time",
			"version", l.Version, "error", err)
		return nil // a helper's damage is no reason to give up the conversations
	}
	for name, lastSeq := range l.LastSeq {
		stream, err := b.js.Stream(ctx, name)
		if err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
		st := stream.CachedInfo().State
		if st.Lost != nil || st.LastSeq < lastSeq {
			b.log.Error("THE CONVERSATION STORE HAS LOST MESSAGES; what is left is used: the disk may be failing",
				"stream", name, "last", st.LastSeq, "last_expected", lastSeq, "left", st.Msgs)
		}
	}
	return nil
}

// verify reads every message of a stream. A message that is counted and cannot be read makes later writes
// fail for ever.
func (b *backend) verify(ctx context.Context, stream jetstream.Stream) error {
	info, err := stream.Info(ctx)
	if err != nil {
		return err
	}
	n := uint64(0)
	if info.State.Msgs > 0 {
		err = b.fetch(ctx, info.Config.Name, ">", func([]byte) { n++ })
	}
	if err != nil {
		return fmt.Errorf("verify %s: %w", info.Config.Name, err)
	}
	// Retention may remove old messages while they are read.
	if now, err := stream.Info(ctx); err != nil || n < now.State.Msgs {
		return fmt.Errorf("verify %s: %d of %d messages can be read: %w", info.Config.Name, n, info.State.Msgs, err)
	}
	return nil
}

// writeSynced replaces a file so that a crash leaves the old text or the new one.
func writeSynced(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
