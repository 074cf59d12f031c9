package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// cliRun runs a command line in this process.
func cliRun(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	var o, e bytes.Buffer
	err = run(t.Context(), args, &o, &e)
	return o.String(), err
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "brenda.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFlagBeatsEnvironmentBeatsFile(t *testing.T) {
	file := writeFile(t, "llm:\n  model: from-file\n  context: 2048\ntts: {voice: from-file}\nauth: {tokens: [abcdefghijklmnop, ponmlkjihgfedcba]}\n")
	t.Setenv("BRENDA_LLM_MODEL", "from-env")
	t.Setenv("BRENDA_TTS_VOICE", "from-env")
	out, err := cliRun(t, "--config", file, "--tts-voice", "from-flag", "config", "print")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`model: "from-env"`, `voice: "from-flag"`, "context: 2048", "BRENDA_LLM_MODEL", "tokens: ['***', '***']",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

// TestPrintedConfigurationIsAFile reads back what config print wrote.
func TestPrintedConfigurationIsAFile(t *testing.T) {
	t.Setenv("BRENDA_DATA", t.TempDir())
	out, err := cliRun(t, "config", "print")
	if err != nil {
		t.Fatal(err)
	}
	again, err := cliRun(t, "--config", writeFile(t, out), "config", "print")
	if err != nil || again != out {
		t.Errorf("%v\n%s\n%s", err, out, again)
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	file := writeFile(t, "llm: {flavour: x, context: many}\nlimits: {burst: 0}\ntokens: [short]\nlisten: 0.0.0.0:80\n")
	t.Setenv("BRENDA_STT_LANGUAGE", "french")
	t.Setenv("BRENDA_HISTORY_TURNS", "some")
	_, err := cliRun(t, "--config", file, "config", "check")
	if err == nil {
		t.Fatal("no mistake found")
	}
	for _, want := range []string{"llm.flavour", "llm.context", "limits.burst", "tokens", "stt.language", "history.turns"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not told of in\n%v", want, err)
		}
	}
}

func TestBeyondLoopbackWantsTokens(t *testing.T) {
	t.Setenv("BRENDA_LISTEN", "0.0.0.0:8080")
	if _, err := cliRun(t, "config", "check"); err == nil || !strings.Contains(err.Error(), "BRENDA_TOKENS") {
		t.Errorf("without tokens: %v", err)
	}
	if _, err := cliRun(t, "config", "check", "--insecure"); err != nil {
		t.Error(err)
	}
	t.Setenv("BRENDA_TOKENS", "abcdefghijklmnop")
	if _, err := cliRun(t, "config", "check"); err != nil {
		t.Error(err)
	}
}

func TestDoctorNamesTheCommandThatMends(t *testing.T) {
	out, err := cliRun(t, "--data", t.TempDir(), "--models-dir", t.TempDir(), "doctor", "--json")
	if err == nil || err.Error() != "exit code 1" {
		t.Errorf("without models: %v", err)
	}
	for _, want := range []string{"brenda models pull kokoro", "brenda models pull whisper-small", `"state": "missing"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
}
