package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"brenda/pipeline/fault"
)

// talkEvent is one server-sent event of the assistant routes.
type talkEvent struct {
	Type    string          `json:"type"`
	Content json.RawMessage `json:"content"`
	Text    string          `json:"text"`
	Finish  string          `json:"finish_reason"`
	Error   *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// words returns the event's content as text.
func (e *talkEvent) words() string {
	var s string
	_ = json.Unmarshal(e.Content, &s) // content of another kind is no text
	return s
}

// sound returns the event's content as the bytes of a WAV file.
func (e *talkEvent) sound() ([]byte, error) {
	return base64.StdEncoding.DecodeString(e.words())
}

// stream posts body and hands each event of the answer to emit, until the end of the stream.
func (c *client) stream(ctx context.Context, path, session string, body io.Reader, emit func(*talkEvent) error) error {
	resp, err := c.post(ctx, path, session, "text/event-stream", body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: ")); ok {
			if string(data) == "[DONE]" {
				return nil
			}
			var ev talkEvent
			if err := json.Unmarshal(data, &ev); err != nil {
				return fmt.Errorf("event: %w", err)
			}
			if ev.Error != nil {
				return fault.New(fault.Internal, ev.Error.Code, "%s", ev.Error.Message)
			}
			if err := emit(&ev); err != nil {
				return err
			}
		}
		if err != nil {
			return fmt.Errorf("the server ended the answer early: %w", err)
		}
	}
}

// post sends a JSON body and returns the answer, or the server's error.
func (c *client) post(ctx context.Context, path, session, accept string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	if session != "" {
		req.Header.Set("X-Session-ID", session)
	}
	return c.send(req)
}

// withSound returns a JSON object with fields, and the file as base64 under "audio", as a stream.
func withSound(fields map[string]any, file string) (io.ReadCloser, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	lead := strings.TrimSuffix(string(head), "}")
	if len(fields) > 0 {
		lead += ","
	}
	r, w := io.Pipe()
	go func() { // ends when the request has read it all, or closed it
		defer f.Close()
		_, err := io.WriteString(w, lead+`"audio":"`)
		if err == nil {
			enc := base64.NewEncoder(base64.StdEncoding, w)
			if _, err = io.Copy(enc, f); err == nil {
				err = enc.Close()
			}
		}
		if err == nil {
			_, err = io.WriteString(w, `"}`)
		}
		w.CloseWithError(err)
	}()
	return r, nil
}

// withText returns a JSON object as a stream.
func withText(fields map[string]any) (io.Reader, error) {
	b, err := json.Marshal(fields)
	return bytes.NewReader(b), err
}

// set puts a field into fields unless it is empty.
func set(fields map[string]any, key, value string) {
	if value != "" {
		fields[key] = value
	}
}
