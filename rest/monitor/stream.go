package monitor

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"brenda/pipeline/fault"
	"brenda/pipeline/vitals"
	"brenda/rest/httpx"
)

const (
	usualTail = 200
	maxLog    = 8 << 20 // bytes of text in an answer that is no stream
	lineCost  = 64      // and what a line takes besides its text
)

// What ends a stream besides its container.
var (
	errGone   = errors.New("the client is gone")
	errEnding = errors.New("the server is to end")
)

// Logs answers GET /v1/monitor/containers/:id/logs: the lines as JSON, or as server-sent events with follow.
func (s *Service) Logs(w http.ResponseWriter, r *http.Request) error {
	q, err := logQuery(r)
	if err != nil {
		return err
	}
	if !q.Follow {
		return s.log(w, r, q)
	}
	return s.stream(w, r, func(ctx context.Context, send func(any) error) error {
		opened := func(c vitals.Container) error { return send(event{Type: "container", ID: c.ID, Name: c.Name}) }
		return s.containers.Logs(ctx, id(r), q, opened, func(l vitals.Line) error {
			return send(struct {
				Type    string    `json:"type"`
				Stream  string    `json:"stream"`
				Content string    `json:"content"`
				At      time.Time `json:"at,omitzero"`
			}{"log", l.Stream, l.Text, l.At})
		})
	})
}

func logQuery(r *http.Request) (q vitals.LogQuery, err error) {
	if q.Tail, err = httpx.QueryInt(r, "tail", usualTail, 0, vitals.MaxTail); err != nil {
		return q, err
	}
	if q.Follow, err = yes(r, "follow", false); err != nil {
		return q, err
	}
	if q.Timestamps, err = yes(r, "timestamps", false); err != nil {
		return q, err
	}
	q.Since, err = since(r)
	return q, err
}

// since reads a moment: RFC 3339, seconds since 1970, or how long ago, such as 10m.
func since(r *http.Request) (time.Time, error) {
	text := r.URL.Query().Get("since")
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil && at.Unix() > 0 {
		return at, nil
	}
	if v, err := strconv.ParseFloat(text, 64); err == nil && v >= 0 && v < 1<<33 {
		return time.Unix(int64(v), int64((v-float64(int64(v)))*1e9)), nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	return time.Time{}, fault.Field("since",
		"since must be a time (RFC 3339), seconds since 1970, or how long ago, such as 10m")
}

// log answers with lines as JSON: the newest, when they are too many for one answer.
func (s *Service) log(w http.ResponseWriter, r *http.Request, q vitals.LogQuery) error {
	answer := struct {
		ID        string        `json:"id"`
		Name      string        `json:"name"`
		Lines     []vitals.Line `json:"lines"`
		Truncated bool          `json:"truncated"` // older lines were left out, which tail would have allowed
	}{Lines: []vitals.Line{}}
	size := 0
	opened := func(c vitals.Container) error {
		answer.ID, answer.Name = c.ID, c.Name
		return nil
	}
	err := s.containers.Logs(r.Context(), id(r), q, opened, func(l vitals.Line) error {
		answer.Lines = append(answer.Lines, l)
		size += len(l.Text) + lineCost
		for size > maxLog {
			size -= len(answer.Lines[0].Text) + lineCost
			answer.Lines[0] = vitals.Line{} // what append keeps in memory shall be small
			answer.Lines, answer.Truncated = answer.Lines[1:], true
		}
		return nil
	})
	if err != nil {
		return err
	}
	return fresh(w, answer)
}

// Stats answers GET /v1/monitor/containers/:id/stats: once as JSON, or as server-sent events with stream.
func (s *Service) Stats(w http.ResponseWriter, r *http.Request) error {
	follow, err := yes(r, "stream", false)
	if err != nil {
		return err
	}
	if !follow {
		return s.containers.Stats(r.Context(), id(r), false, func(c vitals.Container, u vitals.Usage) error {
			return fresh(w, struct {
				ID   string `json:"id"`
				Name string `json:"name"`
				vitals.Usage
			}{c.ID, c.Name, u})
		})
	}
	return s.stream(w, r, func(ctx context.Context, send func(any) error) error {
		return s.containers.Stats(ctx, id(r), true, func(c vitals.Container, u vitals.Usage) error {
			return send(struct {
				event
				Content vitals.Usage `json:"content"`
			}{event{"stats", c.ID, c.Name}, u})
		})
	})
}

// event says what an event is and of which container.
type event struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

// stream answers with what work sends, until work ends, the client leaves, or the server is to end.
func (s *Service) stream(
	w http.ResponseWriter, r *http.Request, work func(ctx context.Context, send func(any) error) error,
) error {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return fault.New(fault.Unavailable, "too_many_streams", "%d logs and figures are being followed already", maxStreams)
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-s.cfg.End:
			cancel(errEnding)
		case <-ended:
		}
	}()
	out := httpx.NewStream(w)
	defer out.Close()
	err := work(ctx, func(v any) error {
		if out.Send(v) != nil {
			return errGone
		}
		return nil
	})
	reason := "ended"
	switch {
	case errors.Is(err, errGone):
		return nil
	case errors.Is(err, errEnding):
		reason = "shutdown"
	case err != nil:
		return out.Fail(r, err)
	}
	if out.Send(map[string]string{"type": "done", "finish_reason": reason}) == nil {
		_ = out.Finish() // a client that went away needs no last line
	}
	return nil
}
