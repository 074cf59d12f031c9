package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// config is every knob of Brenda. Each is a flag (--llm-model), an environment variable (BRENDA_LLM_MODEL) and a key of
// the YAML file (llm.model); a flag wins over the environment, the environment over the file.
type config struct {
	Listen   string        `default:"127.0.0.1:8080" help:"Address and port to serve on."`
	Data     string        `placeholder:"DIR" help:"Folder of models and state; default: the user's data folder."`
	Insecure bool          `help:"Allow to listen beyond this machine without tokens. Everybody who reaches the port can use everything."`
	Tokens   []secret      `sep:"," help:"Tokens that clients must send (Authorization: Bearer TOKEN); none: no token is asked for."`
	Hosts    []string      `sep:"," help:"Host names that the server answers for, besides loopback names, while there are no tokens."`
	Drain    time.Duration `default:"20s" help:"How long running answers may go on when the server is told to end."`

	TLS       tlsConfig       `embed:"" prefix:"tls-"`
	CORS      corsConfig      `embed:"" prefix:"cors-"`
	Limits    limitsConfig    `embed:"" prefix:"limits-"`
	LLM       llmConfig       `embed:"" prefix:"llm-"`
	STT       sttConfig       `embed:"" prefix:"stt-"`
	TTS       ttsConfig       `embed:"" prefix:"tts-"`
	Models    modelsConfig    `embed:"" prefix:"models-"`
	History   historyConfig   `embed:"" prefix:"history-"`
	Files     filesConfig     `embed:"" prefix:"files-"`
	Realtime  realtimeConfig  `embed:"" prefix:"realtime-"`
	Translate translateConfig `embed:"" prefix:"translate-"`
	Docker    dockerConfig    `embed:"" prefix:"docker-"`
	Image     imageConfig     `embed:"" prefix:"image-"`
	Vision    visionConfig    `embed:"" prefix:"vision-"`
	Media     mediaConfig     `embed:"" prefix:"media-"`
	Log       logConfig       `embed:"" prefix:"log-"`
}

type tlsConfig struct {
	Cert string `placeholder:"FILE" help:"Certificate (PEM) to serve https and wss with."`
	Key  string `placeholder:"FILE" help:"The certificate's private key (PEM)."`
}

type corsConfig struct {
	Origins []string `sep:"," default:"*" help:"Web origins that may use the assistant routes; * means any."`
}

type limitsConfig struct {
	Rate     float64       `default:"20" help:"Requests per second that one client may make in the long run."`
	Burst    int           `default:"60" help:"Requests that one client may make at once."`
	Request  time.Duration `default:"600s" help:"The longest time that one request may take."`
	Queue    int           `default:"32" help:"Requests that may wait for one engine; beyond it the answer is 503."`
	Wait     time.Duration `default:"60s" help:"The longest wait for an engine; a request that would wait longer is refused at once."`
	Sessions int           `default:"1000" help:"Conversations in use at the same time."`
	Memory   int           `default:"512" help:"Megabytes of big request bodies that may be in work at the same time."`
}

type llmConfig struct {
	Model     string        `default:"qwen2.5-coder-1.5b" help:"The model that answers: a name of 'brenda models list', or of the endpoint."`
	URL       string        `help:"An OpenAI-compatible endpoint to use instead of the own llama.cpp, e.g. http://127.0.0.1:11434/v1."`
	Key       secret        `help:"The endpoint's API key."`
	Server    string        `placeholder:"FILE" help:"A llama-server program to use; default: the one in PATH, else the packaged one."`
	Context   int           `default:"4096" help:"Context window of one conversation, in tokens."`
	MaxTokens int           `default:"512" help:"The longest answer, in tokens."`
	Parallel  int           `default:"2" help:"Answers that are written at the same time."`
	Threads   int           `help:"Processor threads; 0: the number of cores."`
	Resident  int           `default:"1" help:"Models kept in memory at the same time."`
	System    string        `default:"${system}" help:"The system prompt of spoken conversations."`
	Timeout   time.Duration `default:"60s" help:"The longest wait for the next token."`
}

type sttConfig struct {
	Model    string `default:"small" help:"Whisper size: tiny, base, small, medium, large-v3; base stands in, openly, where it is not installed."`
	Language string `default:"fr" help:"Language that people speak: ISO 639-1, or auto."`
	Threads  int    `help:"Processor threads; 0: the number of cores, 4 at most."`
}

type ttsConfig struct {
	Voice   string `default:"Elise" help:"The voice that answers."`
	Threads int    `help:"Processor threads; 0: the number of cores, 2 at most."`
}

type modelsConfig struct {
	Dir string `placeholder:"DIR" help:"Folder of the models; default: models in the data folder."`
}

type historyConfig struct {
	Turns int           `default:"200" help:"Turns kept of each conversation."`
	Age   time.Duration `default:"720h" help:"How long a turn is kept."`
	Idle  time.Duration `default:"10m" help:"How long an unused conversation stays in memory; it is on disk after that."`
}

type logConfig struct {
	Level  slog.Level `default:"info" help:"debug, info, warn or error."`
	Format string     `default:"text" enum:"text,json" help:"text or json."`
}

// system is what Brenda is told before every conversation. Short rules, since small models forget long ones.
const system = "Tu es Brenda, une assistante vocale. Tu réponds toujours en français, à voix haute : " +
	"une à trois phrases courtes, simples et naturelles, sans liste, sans titre, sans code, sans emoji. " +
	"La question vient d'une transcription automatique et peut contenir des fautes : devine ce qui est voulu."

// secret is a text that logs and printed configurations do not show.
type secret string

// LogValue hides the text from slog.
func (s secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// String hides the text from fmt.
func (s secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// complete fills in what depends on the machine.
func (c *config) complete() {
	if c.Data == "" {
		c.Data = userDir("XDG_DATA_HOME", ".local/share")
	}
	if c.Models.Dir == "" {
		c.Models.Dir = filepath.Join(c.Data, "models")
	}
	cores := runtime.NumCPU()
	if c.LLM.Threads == 0 {
		c.LLM.Threads = cores
	}
	if c.STT.Threads == 0 {
		c.STT.Threads = min(cores, 4)
	}
	if c.TTS.Threads == 0 {
		c.TTS.Threads = min(cores, 2)
	}
}

// userDir returns Brenda's folder under the directory that an XDG variable names, or under its usual place.
func userDir(env, usual string) string {
	if d := os.Getenv(env); filepath.IsAbs(d) {
		return filepath.Join(d, "brenda")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	return filepath.Join(home, usual, "brenda")
}

// check returns every mistake, joined.
func (c *config) check() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf(key+": "+format, args...))
	}
	atLeast := func(key string, v, least float64) {
		if v < least {
			bad(key, "must be at least %v, is %v", least, v)
		}
	}
	host, _, err := net.SplitHostPort(c.Listen)
	switch {
	case err != nil:
		bad("listen", "%q is not host:port", c.Listen)
	case !loopback(host) && len(c.Tokens) == 0 && !c.Insecure:
		bad("listen", "%s is reachable from other machines: set tokens (BRENDA_TOKENS), or --insecure if you mean it", c.Listen)
	}
	if slices.ContainsFunc(c.Tokens, func(t secret) bool { return len(t) < 16 }) {
		bad("tokens", "each token needs at least 16 characters")
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		bad("tls", "cert and key go together")
	}
	if c.LLM.URL != "" {
		if u, err := url.Parse(c.LLM.URL); err != nil || u.Host == "" || !slices.Contains([]string{"http", "https"}, u.Scheme) {
			bad("llm.url", "%q is not an http or https URL", c.LLM.URL)
		}
	}
	atLeast("drain", c.Drain.Seconds(), 0)
	atLeast("limits.rate", c.Limits.Rate, 0.01)
	atLeast("limits.burst", float64(c.Limits.Burst), 1)
	atLeast("limits.request (seconds)", c.Limits.Request.Seconds(), 1)
	atLeast("limits.queue", float64(c.Limits.Queue), 1)
	atLeast("limits.wait (seconds)", c.Limits.Wait.Seconds(), 1)
	atLeast("limits.sessions", float64(c.Limits.Sessions), 1)
	atLeast("limits.memory", float64(c.Limits.Memory), 128)
	atLeast("llm.parallel", float64(c.LLM.Parallel), 1)
	atLeast("llm.resident", float64(c.LLM.Resident), 1)
	atLeast("llm.max-tokens", float64(c.LLM.MaxTokens), 1)
	atLeast("llm.context", float64(c.LLM.Context), 512)
	atLeast("llm.timeout (seconds)", c.LLM.Timeout.Seconds(), 1)
	atLeast("llm.threads", float64(c.LLM.Threads), 0)
	atLeast("stt.threads", float64(c.STT.Threads), 0)
	atLeast("tts.threads", float64(c.TTS.Threads), 0)
	atLeast("history.turns", float64(c.History.Turns), 1)
	atLeast("history.age (hours)", c.History.Age.Hours(), 1)
	atLeast("history.idle (seconds)", c.History.Idle.Seconds(), 1)
	errs = append(errs, c.Image.check(), c.Vision.check(), c.Docker.check(), c.Files.check(), c.Realtime.check(),
		c.Translate.check(), c.Media.check())
	if c.LLM.MaxTokens >= c.LLM.Context {
		bad("llm.max-tokens", "%d leaves no room for the question in a context of %d", c.LLM.MaxTokens, c.LLM.Context)
	}
	if c.STT.Language != "auto" && len(c.STT.Language) != 2 {
		bad("stt.language", "%q is neither a two-letter code nor auto", c.STT.Language)
	}
	return errors.Join(errs...)
}

// loopback tells whether a host to listen on is reached from this machine only.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
