package natsstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"brenda/pipeline/fault"
	"brenda/pipeline/session"
)

// Summary is one line in the list of conversations.
type Summary struct {
	ID      string    `json:"session_id"`
	Created time.Time `json:"created_at"`
	Model   string    `json:"model,omitempty"`
	Turns   int       `json:"turns"`
	LastAt  time.Time `json:"last_at,omitzero"` // when the newest turn was; zero without one
}

// List returns conversations, the newest first by the time they began, then by id. It skips offset of them
// and returns at most limit; limit 0 means all. The list is never nil.
func (s *Store) List(ctx context.Context, offset, limit int) ([]Summary, error) {
	if offset < 0 || limit < 0 {
		return nil, fault.Field("offset", "offset and limit must not be negative")
	}
	var page []Summary
	err := s.use(ctx, func(ctx context.Context, b *backend) error {
		all, err := b.summaries(ctx)
		if err != nil {
			return err
		}
		slices.SortFunc(all, func(a, b Summary) int {
			return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
		})
		page = all[min(offset, len(all)):]
		if limit > 0 {
			page = page[:min(limit, len(page))]
		}
		for i := range page {
			if err := b.fillLast(ctx, &page[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, s.outward(err)
	}
	return page, nil
}

// Show returns one conversation without creating it: NotFound "session_not_found" when there is none.
func (s *Store) Show(ctx context.Context, id string) (session.Record, error) {
	k, err := key(id)
	if err != nil {
		return session.Record{}, err
	}
	rec := session.Record{ID: id}
	err = s.use(ctx, func(ctx context.Context, b *backend) error {
		if rec.Turns, err = b.read(ctx, k); err != nil {
			return err
		}
		e, _, err := b.entry(ctx, k)
		switch {
		case err == nil:
			rec.Created, rec.Model = e.Created, e.Model
		case !errors.Is(err, jetstream.ErrKeyNotFound):
			return err
		case len(rec.Turns) == 0:
			return notFound(id)
		default:
			rec.Created = rec.Turns[0].At
		}
		return nil
	})
	if err != nil {
		return session.Record{}, s.outward(err)
	}
	return rec, nil
}

// Remove deletes a conversation, turns and all: NotFound "session_not_found" when there is none.
func (s *Store) Remove(ctx context.Context, id string) error {
	k, err := key(id)
	if err != nil {
		return err
	}
	return s.outward(s.use(ctx, func(ctx context.Context, b *backend) error {
		_, errEntry := b.sessions.Get(ctx, k)
		_, errTurn := b.turns.GetLastMsgForSubject(ctx, subjectPrefix+k)
		if errors.Is(errEntry, jetstream.ErrKeyNotFound) && errors.Is(errTurn, jetstream.ErrMsgNotFound) {
			return notFound(id)
		}
		// Purging instead of deleting the key leaves no marker behind. The entry goes last: if the program dies
		// between the two, the session is still listed and can be removed again.
		if err := b.turns.Purge(ctx, jetstream.WithPurgeSubject(subjectPrefix+k)); err != nil {
			return err
		}
		return b.meta.Purge(ctx, jetstream.WithPurgeSubject("$KV."+sessionsBucket+"."+k))
	}))
}

func notFound(id string) error {
	return fault.New(fault.NotFound, "session_not_found", "there is no session %q", id)
}

// summaries returns every session, without the time of its last turn.
func (b *backend) summaries(ctx context.Context) ([]Summary, error) {
	info, err := b.turns.Info(ctx, jetstream.WithSubjectFilter(subjectPrefix+"*"))
	if err != nil {
		return nil, err
	}
	counts := info.State.Subjects
	all := []Summary{}
	err = b.eachEntry(ctx, func(k string, e entry) {
		n := int(counts[subjectPrefix+k])
		all = append(all, Summary{ID: unkey(k), Created: e.Created, Model: e.Model, Turns: n})
		delete(counts, subjectPrefix+k)
	})
	if err != nil {
		return nil, err
	}
	for subject, n := range counts { // turns whose entry was lost
		first, err := b.turns.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(subject))
		if err != nil {
			continue // gone since it was counted
		}
		all = append(all, Summary{
			ID: unkey(strings.TrimPrefix(subject, subjectPrefix)), Created: first.Time, Turns: int(n),
		})
	}
	return all, nil
}

// eachEntry calls f for every session in the bucket.
func (b *backend) eachEntry(ctx context.Context, f func(k string, e entry)) error {
	watch, err := b.sessions.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return err
	}
	defer watch.Stop() //nolint:errcheck // only a closed connection can fail here
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case kv, ok := <-watch.Updates():
			if !ok {
				return errBroken
			}
			if kv == nil { // the end of what is there
				return nil
			}
			var e entry
			if json.Unmarshal(kv.Value(), &e) != nil {
				e.Created = kv.Created()
			}
			f(kv.Key(), e)
		}
	}
}

// fillLast adds the time of the newest turn.
func (b *backend) fillLast(ctx context.Context, sum *Summary) error {
	if sum.Turns == 0 {
		return nil
	}
	k, err := key(sum.ID)
	if err != nil {
		return err
	}
	msg, err := b.turns.GetLastMsgForSubject(ctx, subjectPrefix+k)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil // gone since it was counted
	}
	if err != nil {
		return err
	}
	var t session.Turn
	if json.Unmarshal(msg.Data, &t) != nil || t.At.IsZero() {
		t.At = msg.Time
	}
	sum.LastAt = t.At
	return nil
}
