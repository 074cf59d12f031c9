package natsstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"brenda/pipeline/fault"
	"brenda/pipeline/session"
)

// raceTries is how often a write is tried when others write to the same session between its read and its
// write.
const raceTries = 20

// entry is what the bucket holds about one session.
type entry struct {
	Created time.Time `json:"created_at"`
	Model   string    `json:"model,omitempty"`
}

// key turns a session id into a NATS token: a dot would split a subject, and "=" is in no id and allowed in
// a key.
func key(id string) (string, error) {
	if id == "" || len(id) > 128 {
		return "", badID()
	}
	for _, c := range []byte(id) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return "", badID()
		}
	}
	return strings.ReplaceAll(id, ".", "="), nil
}

// unkey is the way back.
func unkey(k string) string { return strings.ReplaceAll(k, "=", ".") }

func badID() error {
	return fault.Field("session_id", "a session id is 1 to 128 of A-Z a-z 0-9 . _ -")
}

// Open returns a conversation and creates it when there is none. Errors: Invalid for a bad id, Unavailable
// "history_unavailable".
func (s *Store) Open(ctx context.Context, id string) (session.Record, error) {
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
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			if err := s.room(); err != nil {
				return err
			}
			e, err = b.create(ctx, k, rec.Turns)
		}
		rec.Created, rec.Model = e.Created, e.Model
		return err
	})
	if err != nil {
		return session.Record{}, s.outward(err)
	}
	return rec, nil
}

// Append adds a finished turn; when it returns nil the turn is on the disk. To append the same turn again
// changes nothing and is no error. Errors: Invalid for a bad id or number 0, Conflict "turn_exists" when
// another turn has this number or a higher one is there, TooLarge, Unavailable "history_unavailable".
func (s *Store) Append(ctx context.Context, id string, t session.Turn) error {
	k, err := key(id)
	if err != nil {
		return err
	}
	if t.Number == 0 {
		return fault.Field("turn", "turns are numbered from 1")
	}
	data, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("history: turn: %w", err)
	}
	if len(data) > maxTurnBytes {
		return fault.New(fault.TooLarge, "turn_too_large", "a turn of over %d bytes cannot be kept", maxTurnBytes)
	}
	if err := s.room(); err != nil {
		s.failures.Add(1)
		return unavailable(err)
	}
	err = s.use(ctx, func(ctx context.Context, b *backend) error {
		if err := b.touch(ctx, k); err != nil {
			return err
		}
		return b.append(ctx, k, t, data)
	})
	if err == nil {
		s.appends.Add(1)
	}
	return s.outward(err)
}

// SetModel remembers the model of a conversation, and creates the conversation when there is none.
func (s *Store) SetModel(ctx context.Context, id, model string) error {
	k, err := key(id)
	if err != nil {
		return err
	}
	if err := s.room(); err != nil {
		s.failures.Add(1)
		return unavailable(err)
	}
	return s.outward(s.use(ctx, func(ctx context.Context, b *backend) error {
		return b.change(ctx, k, func(e *entry) { e.Model = model })
	}))
}

// outward gives an error of the inner functions its public form.
func (s *Store) outward(err error) error {
	if errors.Is(err, errNoRoom) || errors.Is(err, jetstream.ErrKeyNotFound) {
		return unavailable(err)
	}
	return err
}

// append writes the turn behind the last one of its session. The expected sequence makes check and write
// one step.
func (b *backend) append(ctx context.Context, k string, t session.Turn, data []byte) error {
	for range raceTries {
		last, err := b.turns.GetLastMsgForSubject(ctx, subjectPrefix+k)
		var seq uint64
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
		case err != nil:
			return err
		default:
			seq = last.Sequence
			if done, err := b.already(ctx, k, t, last.Data); done || err != nil {
				return err
			}
		}
		_, err = b.js.Publish(ctx, subjectPrefix+k, data, jetstream.WithExpectLastSequencePerSubject(seq))
		if !wrongSequence(err) {
			return err
		}
	}
	return fault.New(fault.Conflict, "turn_exists", "too many writers in one session")
}

// already tells whether t is stored; last is the newest turn of the session.
func (b *backend) already(ctx context.Context, k string, t session.Turn, last []byte) (bool, error) {
	var newest session.Turn
	if err := json.Unmarshal(last, &newest); err != nil || newest.Number < t.Number {
		return false, nil //nolint:nilerr // a turn that cannot be read must not end the conversation
	}
	turns, err := b.read(ctx, k)
	if err != nil {
		return false, err
	}
	for _, u := range turns {
		if u.Number == t.Number && u.User == t.User && u.Assistant == t.Assistant && u.Cut == t.Cut {
			return true, nil
		}
	}
	return false, fault.New(fault.Conflict, "turn_exists", "turn %d or a later one is stored already", t.Number)
}

func wrongSequence(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == wrongLastSequenceConstant)
}

// wrongLastSequenceConstant is the server's JSStreamWrongLastSequenceConstantErr, which nats.go does not
// name.
const wrongLastSequenceConstant = 10164

// read returns a session's turns, oldest first.
func (b *backend) read(ctx context.Context, k string) ([]session.Turn, error) {
	turns := []session.Turn{}
	err := b.fetch(ctx, turnsStream, subjectPrefix+k, func(data []byte) {
		var t session.Turn
		if err := json.Unmarshal(data, &t); err != nil {
			b.log.Warn("a stored turn cannot be read and is left out", "error", err)
			return
		}
		turns = append(turns, t)
	})
	if err != nil {
		return nil, err
	}
	return turns, nil
}

// entry reads what the bucket holds about a session.
func (b *backend) entry(ctx context.Context, k string) (entry, jetstream.KeyValueEntry, error) {
	kv, err := b.sessions.Get(ctx, k)
	if err != nil {
		return entry{}, nil, err
	}
	var e entry
	if err := json.Unmarshal(kv.Value(), &e); err != nil {
		b.log.Warn("a session's entry cannot be read; its model is forgotten", "error", err)
		e = entry{Created: kv.Created()}
	}
	return e, kv, nil
}

// create makes a session's entry; of two that create at once both get the first one's. turns gives the true
// beginning when the entry was lost.
func (b *backend) create(ctx context.Context, k string, turns []session.Turn) (entry, error) {
	e := entry{Created: time.Now().UTC()}
	if len(turns) > 0 && !turns[0].At.IsZero() {
		e.Created = turns[0].At
	}
	data, err := json.Marshal(e)
	if err != nil {
		return entry{}, err
	}
	_, err = b.sessions.Create(ctx, k, data)
	if errors.Is(err, jetstream.ErrKeyExists) {
		e, _, err = b.entry(ctx, k)
	}
	return e, err
}

// change edits a session's entry in one step, and makes it when there is none.
func (b *backend) change(ctx context.Context, k string, edit func(*entry)) error {
	for range raceTries {
		e, kv, err := b.entry(ctx, k)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			if _, err := b.create(ctx, k, nil); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		edit(&e)
		data, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if _, err = b.sessions.Update(ctx, k, data, kv.Revision()); !wrongSequence(err) {
			return err
		}
	}
	return fault.New(fault.Conflict, "session_busy", "too many writers in one session")
}

// refreshAfter is how old an entry may grow before the next turn writes it anew, so that it never ends
// before its turns.
func refreshAfter(maxAge time.Duration) time.Duration { return maxAge / 4 }

// touch sees to it that the entry of a session that is written to exists and lives on.
func (b *backend) touch(ctx context.Context, k string) error {
	kv, err := b.sessions.Get(ctx, k)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		_, err = b.create(ctx, k, nil)
		return err
	case err != nil:
		return err
	case b.maxAge > 0 && time.Since(kv.Created()) > refreshAfter(b.maxAge):
		return b.change(ctx, k, func(*entry) {})
	}
	return nil
}
