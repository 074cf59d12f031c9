package docker

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"brenda/pipeline/fault"
	"brenda/pipeline/vitals"
)

var (
	reference = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)
	fullID    = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// asking is how many containers are asked for their figures at the same time.
const asking = 64

// starting is how long a container may take to start, beside Wait: images may have to be mounted.
const starting = 25 * time.Second

// List returns Brenda's containers by name, those that do not run too. With stats they come with what they use, asked for
// all at once, which takes about two seconds; what is not told in time is left out, and says so.
func (e *Engine) List(ctx context.Context, stats bool) ([]vitals.Listed, error) {
	d, err := e.daemon(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := e.soon(ctx)
	defer cancel()
	all, err := d.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return nil, e.failed(ctx, d, err)
	}
	out := []vitals.Listed{}
	for _, c := range all {
		if one := e.listed(c); fullID.MatchString(one.ID) && vitals.Brendas(strings.Join(c.Names, " "), c.Image, c.Labels) {
			out = append(out, vitals.Listed{Container: one})
		}
	}
	slices.SortFunc(out, func(a, b vitals.Listed) int { return strings.Compare(a.Name, b.Name) })
	if !stats {
		return out, nil
	}
	var g errgroup.Group
	g.SetLimit(asking)
	for i := range out {
		if c := &out[i]; c.Status == container.StateRunning {
			g.Go(func() error {
				c.Stats, _ = d.once(ctx, c.ID) // Available says it
				return nil
			})
		}
	}
	return out, g.Wait()
}

func (e *Engine) listed(c container.Summary) vitals.Container {
	out := vitals.Container{
		ID: c.ID, Status: c.State, Image: c.Image, Created: time.Unix(c.Created, 0).UTC(),
		Ports: map[string][]vitals.Binding{}, Own: c.ID == e.cfg.Own,
	}
	if len(c.Names) > 0 {
		out.Name = strings.TrimPrefix(c.Names[0], "/")
	}
	for _, p := range c.Ports {
		if p.PublicPort == 0 {
			continue
		}
		key := itoa(p.PrivatePort) + "/" + p.Type
		out.Ports[key] = append(out.Ports[key], vitals.Binding{HostIP: p.IP, HostPort: itoa(p.PublicPort)})
	}
	return out
}

// found is a container of Brenda's that was resolved.
type found struct {
	vitals.Container
	running bool
	tty     bool
	started string // when; names the run
}

// resolve finds one of Brenda's containers by its id, the beginning of that, or its name. Whatever else there is counts as
// not there.
func (e *Engine) resolve(ctx context.Context, ref string) (*daemon, found, error) {
	if !reference.MatchString(ref) {
		return nil, found{}, fault.Field("id",
			"a container's id or name has 1 to 128 characters of A-Z, a-z, 0-9, '_', '.' and '-'")
	}
	d, err := e.daemon(ctx)
	if err != nil {
		return nil, found{}, err
	}
	f, err := e.inspect(ctx, d, ref)
	return d, f, err
}

func (e *Engine) inspect(ctx context.Context, d *daemon, ref string) (found, error) {
	ctx, cancel := e.soon(ctx)
	defer cancel()
	c, err := d.ContainerInspect(ctx, ref)
	switch {
	case err != nil:
		return found{}, e.failed(ctx, d, err)
	case c.ContainerJSONBase == nil || c.State == nil || c.Config == nil || !fullID.MatchString(c.ID):
		return found{}, fault.New(fault.Upstream, "docker_failed", "Docker's description of the container is not whole")
	case !vitals.Brendas(c.Name, c.Config.Image, c.Config.Labels):
		return found{}, notFound()
	}
	f := found{
		Container: vitals.Container{
			ID: c.ID, Name: strings.TrimPrefix(c.Name, "/"), Status: c.State.Status, Image: c.Config.Image,
			Ports: map[string][]vitals.Binding{}, Own: c.ID == e.cfg.Own,
		},
		running: c.State.Running, tty: c.Config.Tty, started: c.State.StartedAt,
	}
	f.Created, _ = time.Parse(time.RFC3339Nano, c.Created) // a date that cannot be read is none
	if c.NetworkSettings != nil {
		for port, at := range c.NetworkSettings.Ports {
			for _, b := range at {
				f.Ports[string(port)] = append(f.Ports[string(port)], vitals.Binding{HostIP: b.HostIP, HostPort: b.HostPort})
			}
		}
	}
	return f, nil
}

// Control starts, stops or restarts a container, and returns how it is afterwards. It goes on to its end when the caller
// leaves. To stop or restart the container that this program runs in is fault.Conflict unless it is forced.
func (e *Engine) Control(ctx context.Context, ref string, o vitals.Order) (vitals.Container, error) {
	if o.Grace < 0 || o.Grace > vitals.MaxGrace {
		return vitals.Container{}, fault.Field("timeout", "timeout must be from 0 to %d", int(vitals.MaxGrace.Seconds()))
	}
	d, f, err := e.resolve(ctx, ref)
	if err != nil {
		return vitals.Container{}, err
	}
	switch {
	case e.cfg.ReadOnly:
		return vitals.Container{}, fault.New(fault.Forbidden, "control_off",
			"this server only watches containers (docker.control)")
	case f.Own && o.Verb != vitals.Start && !o.Force:
		return vitals.Container{}, fault.New(fault.Conflict, "own_container",
			"that is the container this server runs in; add force=true if you mean it")
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), e.action+o.Grace, errSlow)
	defer cancel()
	seconds := int(o.Grace / time.Second)
	e.log.InfoContext(ctx, "container", "verb", o.Verb, "name", f.Name, "id", f.ID)
	switch o.Verb {
	case vitals.Start:
		err = d.ContainerStart(ctx, f.ID, container.StartOptions{})
	case vitals.Stop:
		err = d.ContainerStop(ctx, f.ID, container.StopOptions{Timeout: &seconds})
	case vitals.Restart:
		err = d.ContainerRestart(ctx, f.ID, container.StopOptions{Timeout: &seconds})
	}
	if err != nil {
		return vitals.Container{}, e.failed(ctx, d, err)
	}
	f, err = e.inspect(ctx, d, f.ID)
	return f.Container, err
}

// ended returns nil when a stream of a container's has ended because that run of the container has, and otherwise why not.
func (e *Engine) ended(ctx context.Context, d *daemon, was found) error {
	now, err := e.inspect(ctx, d, was.ID)
	switch {
	case err != nil && fault.KindOf(err) == fault.NotFound:
		return nil // removed
	case err != nil:
		return err
	case now.running && now.started == was.started:
		return fault.New(fault.Unavailable, "docker_unavailable", "Docker ended the stream though the container runs")
	}
	return nil
}
