package main

import (
	"brenda/pipeline/engine/proc"
	"brenda/rest/health"
)

// components tells of every engine, for /ready.
func (e *engines) components() []health.Component {
	cs := []health.Component{{Name: "vad", Required: true, State: health.Ready}}
	if e.whisper != nil {
		cs = append(cs, child("stt", e.whisper.State()))
	} else {
		cs = append(cs, health.Component{Name: "stt", Required: true})
	}
	cs = append(cs, e.llmComponent())
	if e.voice != nil {
		cs = append(cs, child("tts", e.voice.State()))
	} else {
		cs = append(cs, health.Component{Name: "tts", Required: true})
	}
	if e.turn != nil {
		c := child("turn", e.turn.State())
		c.Required = false
		cs = append(cs, c)
	}
	for i := range cs {
		c := &cs[i]
		if why, ok := e.missing[c.Name]; ok {
			c.State, c.Detail = health.Missing, why
		}
		if c.State == health.Ready {
			e.admit(c)
		}
	}
	return cs
}

func (e *engines) llmComponent() health.Component {
	c := health.Component{Name: "llm", Required: true, State: health.Ready}
	if e.llama == nil {
		return c // an endpoint is somebody else's to watch
	}
	c.State = health.Loading
	for _, st := range e.llama.States() {
		switch st.Phase {
		case proc.Ready:
			c.State = health.Ready
			return c
		case proc.Failed:
			c.State, c.Detail = health.Failed, "the model's process fails again and again; see the log"
		case proc.Starting, proc.Stopped:
		}
	}
	return c
}

// child tells of an engine in a child process.
func child(name string, st proc.State) health.Component {
	c := health.Component{Name: name, Required: true, State: health.Loading}
	switch st.Phase {
	case proc.Ready:
		c.State = health.Ready
	case proc.Failed:
		c.State, c.Detail = health.Failed, "its process fails again and again; see the log"
	case proc.Starting, proc.Stopped:
	}
	return c
}

// admit says openly that another model than the configured one serves.
func (e *engines) admit(c *health.Component) {
	want := map[string]string{"stt": e.cfg.STT.Model, "llm": e.cfg.LLM.Model}[c.Name]
	if in, ok := e.standIns[want]; ok {
		model := want
		if c.Name == "stt" {
			model = "whisper-" + want
		}
		c.State, c.Detail = health.Degraded, in+" stands in for "+want+"; to change that: "+pull+model
	}
}

// queues tells how busy every engine is.
func (e *engines) queues() []health.Queue {
	var qs []health.Queue
	for _, q := range e.machine.Queues() {
		st := q.Stats()
		qs = append(qs, health.Queue{Engine: st.Name, Running: st.Running, Waiting: st.Waiting})
	}
	return qs
}
