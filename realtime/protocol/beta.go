package protocol

import (
	"encoding/json"
	"strings"
)

// betaTranscriptionUpdate is the client event that has no name of its own in GA.
const betaTranscriptionUpdate = "transcription_session.update"

// rename is one row of the table between the dialects: a field in the flat beta object and its path in the
// GA object.
type rename struct{ beta, ga string }

// sessionRenames is the table for a session.
func sessionRenames() []rename {
	return []rename{
		{"modalities", "output_modalities"},
		{"voice", "audio.output.voice"},
		{"speed", "audio.output.speed"},
		{"output_audio_format", "audio.output.format"},
		{"input_audio_format", "audio.input.format"},
		{"input_audio_noise_reduction", "audio.input.noise_reduction"},
		{"input_audio_transcription", "audio.input.transcription"},
		{"turn_detection", "audio.input.turn_detection"},
		{"max_response_output_tokens", "max_output_tokens"},
	}
}

// responseRenames is the table for a response. The hosted API calls the limit max_response_output_tokens in
// response.create and max_output_tokens in the response itself.
func responseRenames() []rename {
	return []rename{
		{"modalities", "output_modalities"},
		{"voice", "audio.output.voice"},
		{"output_audio_format", "audio.output.format"},
	}
}

// betaTypes is the table of the server events. An empty name means that the beta dialect has no such event.
func betaTypes(kind string) string {
	switch kind {
	case "conversation.item.added":
		return "conversation.item.created"
	case "conversation.item.done", "input_audio_buffer.timeout_triggered", transcription + "segment":
		return ""
	}
	if rest, ok := strings.CutPrefix(kind, "response.output_"); ok && !strings.HasPrefix(rest, "item.") {
		return "response." + rest
	}
	return kind
}

type object = map[string]json.RawMessage

// fromBeta rewrites a client event of the beta dialect into one of GA.
func fromBeta(kind string, parts object) (string, object, *Error) {
	var err *Error
	switch kind {
	case betaTranscriptionUpdate:
		kind = "session.update"
		if parts["session"], err = nest(parts["session"], "session", sessionRenames()); err == nil {
			parts["session"] = withType(parts["session"], Transcription)
		}
	case "session.update":
		parts["session"], err = nest(parts["session"], "session", sessionRenames())
	case "response.create":
		if _, there := parts["response"]; there {
			table := append(responseRenames(), rename{"max_response_output_tokens", "max_output_tokens"})
			parts["response"], err = nest(parts["response"], "response", table)
		}
	}
	if len(parts["session"]) == 0 {
		delete(parts, "session")
	}
	return kind, parts, err
}

// nest moves the flat fields of raw to where the table says. A field of both forms keeps the GA one.
func nest(raw json.RawMessage, path string, table []rename) (json.RawMessage, *Error) {
	if len(raw) == 0 || isNull(raw) {
		return raw, nil
	}
	var flat object
	if json.Unmarshal(raw, &flat) != nil {
		return nil, wrongType(path, "an object", raw)
	}
	for _, row := range table {
		value, there := flat[row.beta]
		if !there {
			continue
		}
		delete(flat, row.beta)
		if row.beta == "modalities" {
			value = oneModality(value)
		}
		if err := put(flat, row.ga, path, value); err != nil {
			return nil, err
		}
	}
	return marshal(flat), nil
}

// oneModality makes ["text","audio"], in either order, ["audio"]: in beta sound had to be asked for
// together with its words.
func oneModality(raw json.RawMessage) json.RawMessage {
	var list []string
	if json.Unmarshal(raw, &list) == nil && len(list) == 2 && list[0] != list[1] {
		return json.RawMessage(`["audio"]`)
	}
	return raw
}

// put sets a field, such as audio.output.voice, making objects on the way. path is where to is, for errors.
func put(to object, field, path string, value json.RawMessage) *Error {
	name, rest, deeper := strings.Cut(field, ".")
	path = join(path, name)
	if !deeper {
		if _, there := to[name]; !there {
			to[name] = value
		}
		return nil
	}
	inner := object{}
	if raw, there := to[name]; there && !isNull(raw) && json.Unmarshal(raw, &inner) != nil {
		return wrongType(path, "an object", raw)
	}
	if err := put(inner, rest, path, value); err != nil {
		return err
	}
	to[name] = marshal(inner)
	return nil
}

func withType(raw json.RawMessage, kind string) json.RawMessage {
	var o object
	if len(raw) == 0 || json.Unmarshal(raw, &o) != nil || o == nil {
		return raw // a missing session is found later
	}
	o["type"] = marshal(kind)
	return marshal(o)
}

// betaParam gives the field that an error blames the name that a beta client knows.
func betaParam(e *Error) *Error {
	if e.Param == nil {
		return e
	}
	for _, top := range []string{"session", "response"} {
		rest, ok := strings.CutPrefix(*e.Param, top+".")
		if !ok {
			continue
		}
		for _, row := range sessionRenames() {
			if tail, ok := strings.CutPrefix(rest, row.ga); ok {
				param := top + "." + row.beta + tail
				return &Error{
					Type: e.Type, Code: e.Code, Param: &param, EventID: e.EventID,
					Message: strings.ReplaceAll(e.Message, *e.Param, param),
				}
			}
		}
	}
	return e
}

// toBeta rewrites a server event into the beta dialect; the type is empty when there is none for it.
func toBeta(ev ServerEvent, kind string, body []byte) (string, []byte, error) {
	name := betaTypes(kind)
	if name == "" {
		return "", nil, nil
	}
	var err error
	switch ev := ev.(type) {
	case SessionCreated:
		body, err = betaBody("session", betaSession(ev.Session))
		if ev.Session.Type == Transcription {
			name = "transcription_" + name
		}
	case SessionUpdated:
		body, err = betaBody("session", betaSession(ev.Session))
		if ev.Session.Type == Transcription {
			name = "transcription_" + name
		}
	case ResponseCreated:
		body, err = betaBody("response", betaResponse(ev.Response))
	case ResponseDone:
		body, err = betaBody("response", betaResponse(ev.Response))
	case ItemAdded, ItemRetrieved, OutputItemAdded, OutputItemDone:
		var parts object
		if err = json.Unmarshal(body, &parts); err == nil {
			parts["item"] = betaItem(parts["item"])
			body = marshal(parts)
		}
	}
	return name, body, err
}

func betaBody(name string, o object) ([]byte, error) { return json.Marshal(map[string]object{name: o}) }

// flatten takes what the table names out of the nested GA object.
func flatten(o object, table []rename) object {
	for _, row := range table {
		if value, there := get(o, row.ga); there {
			o[row.beta] = value
		}
	}
	for _, row := range table {
		top, _, _ := strings.Cut(row.ga, ".")
		delete(o, top)
	}
	return o
}

func get(o object, path string) (json.RawMessage, bool) {
	name, rest, deeper := strings.Cut(path, ".")
	value, there := o[name]
	if !there || !deeper {
		return value, there
	}
	var inner object
	if json.Unmarshal(value, &inner) != nil {
		return nil, false
	}
	return get(inner, rest)
}

func betaSession(s Session) object {
	o := flatten(asObject(s), sessionRenames())
	later := []string{"type", "truncation", "prompt", "reasoning", "parallel_tool_calls", "include"}
	for _, name := range later {
		delete(o, name)
	}
	o["input_audio_format"] = betaFormat(s.Input.Format)
	o["modalities"] = betaModalities(s.Modality)
	if s.Type != Transcription {
		o["output_audio_format"] = betaFormat(s.Output.Format)
		o["temperature"] = marshal(s.Temperature)
	}
	return o
}

func betaResponse(r Response) object {
	o := flatten(asObject(r), responseRenames())
	o["modalities"] = betaModalities(r.Modality)
	o["temperature"] = marshal(r.Temperature)
	if r.Modality == AudioOut {
		o["output_audio_format"] = betaFormat(r.Sound.Format)
	}
	items := make([]json.RawMessage, 0, len(r.Output))
	for _, it := range r.Output {
		items = append(items, betaItem(marshal(it)))
	}
	o["output"] = marshal(items)
	return o
}

// betaItem shortens the names of an assistant's content.
func betaItem(raw json.RawMessage) json.RawMessage {
	item := object{}
	var parts []object
	if json.Unmarshal(raw, &item) != nil || json.Unmarshal(item["content"], &parts) != nil {
		return raw
	}
	for _, p := range parts {
		if short, ok := strings.CutPrefix(string(p["type"]), `"output_`); ok {
			p["type"] = json.RawMessage(`"` + short)
		}
	}
	item["content"] = marshal(parts)
	return marshal(item)
}

func betaFormat(f Format) json.RawMessage {
	switch f.Type {
	case MuLaw:
		return marshal("g711_ulaw")
	case ALaw:
		return marshal("g711_alaw")
	}
	return marshal("pcm16")
}

func betaModalities(m string) json.RawMessage {
	if m == TextOut {
		return marshal([]string{TextOut})
	}
	return marshal([]string{TextOut, AudioOut})
}

func asObject(v any) object {
	var o object
	_ = json.Unmarshal(marshal(v), &o) // it was written just now
	return o
}

// marshal writes what cannot fail: text, and JSON that was read before.
func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return b
}
