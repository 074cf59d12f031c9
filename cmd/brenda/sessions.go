package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"text/tabwriter"
	"time"

	"brenda/pipeline/engine/natsstore"
	"brenda/pipeline/session"
	"brenda/rest/sessions"
)

// storeConfig says where and how long conversations are kept.
func storeConfig(cfg *config, log *slog.Logger) natsstore.Config {
	return natsstore.Config{
		Dir: filepath.Join(cfg.Data, "state"), MaxTurns: cfg.History.Turns, MaxAge: cfg.History.Age, Log: log,
	}
}

// storeArchive shows a store to the REST routes and to the commands below.
type storeArchive struct{ *natsstore.Store }

// List returns a page of conversations.
func (a storeArchive) List(ctx context.Context, offset, limit int) ([]sessions.Summary, error) {
	found, err := a.Store.List(ctx, offset, limit)
	if err != nil {
		return nil, err
	}
	list := make([]sessions.Summary, len(found))
	for i, s := range found {
		list[i] = sessions.Summary(s)
	}
	return list, nil
}

// remoteArchive asks the running server, which holds the store.
type remoteArchive struct{ *client }

func (a remoteArchive) List(ctx context.Context, offset, limit int) ([]sessions.Summary, error) {
	var page sessions.Page
	err := a.do(ctx, http.MethodGet, fmt.Sprintf("/v1/ai/sessions?offset=%d&limit=%d", offset, limit), &page)
	return page.Sessions, err
}

func (a remoteArchive) Show(ctx context.Context, id string) (rec session.Record, err error) {
	return rec, a.do(ctx, http.MethodGet, "/v1/ai/sessions/"+url.PathEscape(id), &rec)
}

func (a remoteArchive) Remove(ctx context.Context, id string) error {
	return a.do(ctx, http.MethodDelete, "/v1/ai/sessions/"+url.PathEscape(id), nil)
}

// withArchive runs f on the conversations: on the files when nobody has them open, through the running
// server otherwise.
func withArchive(ctx context.Context, env *environment, f func(context.Context, sessions.Archive) error) error {
	store, err := natsstore.Open(storeConfig(env.config, env.log))
	if err == nil {
		return errors.Join(f(ctx, storeArchive{store}), store.Close())
	}
	if !errors.Is(err, natsstore.ErrInUse) {
		return err
	}
	cl := newClient(env.config)
	defer cl.http.CloseIdleConnections()
	var down *url.Error
	if errCall := f(ctx, remoteArchive{cl}); errors.As(errCall, &down) {
		return fmt.Errorf("%w, and no server answers on %s: %w", err, cl.base, down.Err)
	} else if errCall != nil {
		return errCall
	}
	return nil
}

type sessionsCmd struct {
	List sessionsListCmd `cmd:"" help:"List the conversations that are kept, the newest first."`
	Show sessionsShowCmd `cmd:"" help:"Show what was said in a conversation."`
	Rm   sessionsRmCmd   `cmd:"" name:"rm" help:"Forget conversations."`
}

type sessionsListCmd struct {
	Offset int  `default:"0" help:"Conversations to leave out at the beginning."`
	Limit  int  `default:"100" help:"Conversations to list at most; 1 to 1000."`
	JSON   bool `help:"As JSON."`
}

// Validate refuses what no store can answer.
func (c *sessionsListCmd) Validate() error {
	if c.Offset < 0 || c.Limit < 1 || c.Limit > sessions.MaxLimit {
		return fmt.Errorf("--offset must be at least 0 and --limit between 1 and %d", sessions.MaxLimit)
	}
	return nil
}

// Run lists conversations.
func (c *sessionsListCmd) Run(ctx context.Context, env *environment) error {
	return withArchive(ctx, env, func(ctx context.Context, a sessions.Archive) error {
		list, err := a.List(ctx, c.Offset, c.Limit)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(env.out, list)
		}
		return printSessions(env.out, list)
	})
}

func printSessions(w io.Writer, list []sessions.Summary) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no conversations")
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SESSION\tBEGAN\tLAST TURN\tTURNS\tMODEL")
	for _, s := range list {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%s\n", s.ID, when(s.Created), when(s.LastAt), s.Turns, cmp.Or(s.Model, "-"))
	}
	return tw.Flush()
}

// when writes a time for people, in their own time zone.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

type sessionsShowCmd struct {
	ID   string `arg:"" name:"session" help:"The conversation."`
	JSON bool   `help:"As JSON."`
}

// Run shows one conversation.
func (c *sessionsShowCmd) Run(ctx context.Context, env *environment) error {
	return withArchive(ctx, env, func(ctx context.Context, a sessions.Archive) error {
		rec, err := a.Show(ctx, c.ID)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(env.out, rec)
		}
		return printSession(env.out, rec)
	})
}

func printSession(w io.Writer, rec session.Record) error {
	_, err := fmt.Fprintf(w, "%s, since %s, model %s\n", rec.ID, when(rec.Created), cmp.Or(rec.Model, "not chosen"))
	for _, t := range rec.Turns {
		cut := ""
		if t.Cut {
			cut = " […]"
		}
		_, errTurn := fmt.Fprintf(w, "\n%d  %s\n  » %s\n  « %s%s\n", t.Number, when(t.At), t.User, t.Assistant, cut)
		err = errors.Join(err, errTurn)
	}
	return err
}

type sessionsRmCmd struct {
	IDs []string `arg:"" name:"session" help:"The conversations to forget."`
}

// Run forgets conversations; one that is not there does not spare the others.
func (c *sessionsRmCmd) Run(ctx context.Context, env *environment) error {
	return withArchive(ctx, env, func(ctx context.Context, a sessions.Archive) error {
		var errs []error
		for _, id := range c.IDs {
			if err := a.Remove(ctx, id); err != nil {
				errs = append(errs, err)
				continue
			}
			_, err := fmt.Fprintln(env.out, "removed", id)
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}
