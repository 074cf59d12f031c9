// Command brenda is the voice assistant server, and the tools around it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// cli is the command line.
type cli struct {
	Config string `placeholder:"FILE" help:"Configuration file (YAML); default: the user's brenda.yaml."`
	config

	Serve      serveCmd      `cmd:"" help:"Serve the assistant."`
	Chat       chatCmd       `cmd:"" help:"Talk by text, and hear the answer."`
	Say        sayCmd        `cmd:"" help:"Speak a text into a sound file."`
	Transcribe transcribeCmd `cmd:"" help:"Write down what is said in a sound file."`
	Models     modelsCmd     `cmd:"" name:"models" help:"List, fetch, check and remove models."`
	Sessions   sessionsCmd   `cmd:"" help:"List, show and remove conversations."`
	Bench      benchCmd      `cmd:"" help:"Measure how fast this machine answers."`
	Doctor     doctorCmd     `cmd:"" help:"Say what works, what is missing, and what mends it."`
	Settings   settingsCmd   `cmd:"" name:"config" help:"Show or check the configuration."`
	Version    versionCmd    `cmd:"" help:"Say which version this is."`
}

// environment is what every command gets.
type environment struct {
	*config
	app *kong.Application
	log *slog.Logger
	out io.Writer // for results; everything else goes to the log or to standard error
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 2 && os.Args[1] == "engine" { // a child of ours: nothing of the command line applies to it
		os.Exit(runEngine(ctx, os.Args[2], os.Args[3:]))
	}
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if code := exitError(0); errors.As(err, &code) {
		os.Exit(int(code)) //nolint:gocritic // nothing is deferred but stop
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "brenda:", err)
		os.Exit(1)
	}
}

// exitError is an error that has been told of already and only sets the exit code.
type exitError int

// Error says the code.
func (c exitError) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// run parses the command line and runs its command.
func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	var c cli
	path, asked := configPath(args)
	file, err := readYAML(path, asked)
	if err != nil {
		return err
	}
	app, err := kong.New(&c,
		kong.Name("brenda"),
		kong.Description("A real-time voice assistant server. French by default, self-hosted, one program.\n\n"+
			"Every setting is a flag, a BRENDA_* variable and a key of the YAML file; a flag wins over the "+
			"environment, the environment over the file."),
		kong.Vars{"system": system},
		kong.DefaultEnvars("BRENDA"),
		kong.Resolvers(file),
		kong.Writers(out, errOut),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, FlagsLast: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		return err
	}
	wrong := mistakes(app.Model, file)
	k, err := app.Parse(args)
	if err != nil {
		return errors.Join(wrong, err)
	}
	c.complete()
	env := &environment{config: &c.config, app: app.Model, log: newLog(errOut, c.Log), out: out}
	if wrong = errors.Join(wrong, c.check()); wrong != nil && k.Command() != "config print" {
		return fmt.Errorf("the configuration has mistakes:\n%w", wrong)
	}
	slog.SetDefault(env.log)
	return k.Run(env)
}

// configPath finds the configuration file before the command line is parsed, since its values take part in that.
func configPath(args []string) (path string, asked bool) {
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--config="); ok {
			return v, true
		}
		if a == "--config" && i+1 < len(args) {
			return args[i+1], true
		}
	}
	if v := os.Getenv("BRENDA_CONFIG"); v != "" {
		return v, true
	}
	return filepath.Join(userDir("XDG_CONFIG_HOME", ".config"), "brenda.yaml"), false
}

func newLog(w io.Writer, c logConfig) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.Level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

type versionCmd struct {
	JSON bool `help:"As JSON."`
}

// Run prints the version.
func (v *versionCmd) Run(env *environment) error {
	if v.JSON {
		return printJSON(env.out, map[string]string{"version": version()})
	}
	fmt.Fprintln(env.out, "brenda", version())
	return nil
}

// release is set by the linker: what git describes the sources as.
var release string //nolint:gochecknoglobals // the linker's only way

// version is what was released, or the commit it was built from.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return "devel"
}

type settingsCmd struct {
	Print printCmd `cmd:"" help:"Print the effective configuration as a commented YAML file."`
	Check checkCmd `cmd:"" help:"Say every mistake of the configuration."`
}

type printCmd struct{}

// Run prints the effective configuration.
func (*printCmd) Run(env *environment) error { return printConfig(env.out, env.app) }

type checkCmd struct{}

// Run has nothing left to check: no command gets this far with a mistake.
func (*checkCmd) Run(env *environment) error {
	_, err := fmt.Fprintln(env.out, "the configuration is right")
	return err
}
