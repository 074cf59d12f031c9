package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"brenda/pipeline/fault"
)

// client talks to a Brenda server on this machine.
type client struct {
	base  string // e.g. http://127.0.0.1:8080
	token secret
	http  *http.Client
}

// newClient returns a client of the server that this configuration describes.
func newClient(cfg *config) *client {
	host, port, err := net.SplitHostPort(cfg.Listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	c := &client{base: "http://" + net.JoinHostPort(host, port), http: &http.Client{}}
	if cfg.TLS.Cert != "" {
		c.base = "https://" + net.JoinHostPort(host, port)
	}
	if len(cfg.Tokens) > 0 {
		c.token = cfg.Tokens[0]
	}
	return c
}

// reachable returns nil when a Brenda server answers there.
func reachable(ctx context.Context, cfg *config) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var live struct {
		Status string `json:"status"`
	}
	if err := newClient(cfg).get(ctx, "/live", &live); err != nil {
		return errors.Join(errNoServer, err)
	}
	return nil
}

// send does a request and turns an error answer into an error.
func (c *client) send(req *http.Request) (*http.Response, error) {
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+string(c.token))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	var body struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&body); err != nil {
		return nil, fmt.Errorf("the server answers %s", resp.Status)
	}
	return nil, fault.New(fault.Internal, body.Error.Code, "%s", body.Error.Message)
}

// do does a request without a body and decodes the answer into out, unless that is nil.
func (c *client) do(ctx context.Context, method, path string, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := c.send(req)
	if err != nil {
		return err
	}
	return decode(resp, out)
}

// get decodes the answer to a GET into out.
func (c *client) get(ctx context.Context, path string, out any) error {
	return c.do(ctx, http.MethodGet, path, out)
}

// postJSON decodes the answer to a POST into out.
func (c *client) postJSON(ctx context.Context, path string, body io.Reader, out any) error {
	resp, err := c.post(ctx, path, "", "application/json", body)
	if err != nil {
		return err
	}
	return decode(resp, out)
}

func decode(resp *http.Response, out any) error {
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}
