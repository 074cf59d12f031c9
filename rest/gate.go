package rest

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"brenda/pipeline/fault"
	"brenda/rest/httpx"
)

// gate holds the checks that stand before the handlers.
type gate struct {
	cfg     Config
	hosts   hosts
	origins origins
	tokens  tokens
	clients *clients
	intake  *httpx.Intake
}

// router puts every route of the table behind the gate.
func (g *gate) router(routes []Route) http.Handler {
	rt := httprouter.New()
	rt.RedirectTrailingSlash, rt.RedirectFixedPath, rt.HandleOPTIONS = false, false, false
	rt.NotFound = httpx.Handler(func(w http.ResponseWriter, r *http.Request) error {
		g.reflectUnrouted(w, r)
		return fault.New(fault.NotFound, "no_route", "there is no such route")
	})
	rt.MethodNotAllowed = httpx.Handler(func(w http.ResponseWriter, r *http.Request) error {
		g.reflectUnrouted(w, r)
		return notAllowed(w)
	})
	methods := map[string][]string{}
	for _, route := range routes {
		rt.Handler(route.Method, route.Path, g.guard(route))
		methods[route.Path] = append(methods[route.Path], route.Method)
	}
	for _, route := range routes {
		if ms := methods[route.Path]; ms != nil {
			slices.Sort(ms)
			rt.Handler(http.MethodOptions, route.Path, g.preflight(route, append(ms, http.MethodOptions)))
			delete(methods, route.Path)
		}
	}
	return rt
}

// reflectUnrouted lets a page read why its call of the assistant went nowhere.
func (g *gate) reflectUnrouted(w http.ResponseWriter, r *http.Request) {
	from, foreign := origin(r)
	if strings.HasPrefix(r.URL.Path, "/v1/ai/") && (!foreign || g.origins.allow(from)) {
		reflectOrigin(w.Header(), from)
	}
}

// notAllowed answers 405. It is no fault of a kind: the router has set Allow already.
func notAllowed(w http.ResponseWriter) error {
	body := struct {
		Error httpx.Problem `json:"error"`
	}{httpx.Problem{
		Code:    "method_not_allowed",
		Message: "this route has only the methods " + w.Header().Get("Allow"),
	}}
	return httpx.Write(w, http.StatusMethodNotAllowed, body)
}

// guard runs the checks, and then the route's handler.
func (g *gate) guard(route Route) http.Handler {
	return httpx.Handler(func(w http.ResponseWriter, r *http.Request) error {
		httpx.InfoOf(r).Route = route.Path
		if !route.Endless {
			ctx, cancel := context.WithTimeout(r.Context(), g.cfg.Timeout)
			defer cancel()
			r = r.WithContext(ctx)
		}
		intake := g.intake
		if route.Intake != nil {
			intake = route.Intake
		}
		body := intake.Wrap(w, r)
		defer body.Done()
		err := g.admit(route, w, r)
		if err == nil {
			err = body.Admit(r.ContentLength)
		}
		if err == nil {
			err = checkIDs(r)
		}
		if err == nil {
			err = route.Handler(w, r)
		}
		if err != nil {
			httpx.Fail(w, r, err) // before Done, which may wait for the rest of the body
		}
		return nil
	})
}

// admit checks who asks, before anything of the body is read.
func (g *gate) admit(route Route, w http.ResponseWriter, r *http.Request) error {
	if len(g.tokens) == 0 {
		if err := g.hosts.check(r); err != nil {
			return err
		}
	}
	who, valid := g.tokens.check(r)
	if !valid {
		who = remote(r)
		valid = route.Key != nil && route.Key(bearer(r))
	}
	from, foreign := origin(r)
	switch {
	case route.Zone == Open:
		return nil
	case foreign && route.Zone == Guarded && !valid:
		return errForeign()
	case foreign && route.Zone == Assistant && !g.origins.allow(from):
		return errForeign()
	}
	reflectOrigin(w.Header(), from)
	if err := g.clients.take(who, time.Now()); err != nil {
		return err
	}
	if len(g.tokens) > 0 && !valid {
		return errToken(r)
	}
	return nil
}

// preflight answers a browser that asks what a page may do. It sends no token with that question.
func (g *gate) preflight(route Route, methods []string) http.Handler {
	list := strings.Join(methods, ", ")
	return httpx.Handler(func(w http.ResponseWriter, r *http.Request) error {
		httpx.InfoOf(r).Route = route.Path
		if len(g.tokens) == 0 {
			if err := g.hosts.check(r); err != nil {
				return err
			}
		}
		from, foreign := origin(r)
		h := w.Header()
		switch {
		case route.Zone == Guarded && foreign && len(g.tokens) == 0,
			route.Zone == Assistant && foreign && !g.origins.allow(from):
			return errForeign()
		case route.Zone != Open:
			allowPage(h, r, from, list)
		}
		if route.Options != nil {
			route.Options(h)
		}
		h.Set("Allow", list)
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

func allowPage(h http.Header, r *http.Request, from, methods string) {
	if from == "" {
		return
	}
	reflectOrigin(h, from)
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Max-Age", "600")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		h.Set("Access-Control-Allow-Private-Network", "true")
	}
}
