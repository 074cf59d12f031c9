package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// benchReport is all that was measured.
type benchReport struct {
	Settings map[string]any `json:"settings"`
	Turns    []benchTurn    `json:"turns"`
	Raw      []benchRaw     `json:"raw"`
	Barge    []bargeTrial   `json:"barge"`
	Summary  []benchLine    `json:"summary"`
}

// benchSettings are what the figures depend on.
func benchSettings(env *environment, in *instance) map[string]any {
	s := map[string]any{"load_before": loadAverage()}
	if in != nil {
		s["llm"], s["stt"], s["llm_threads"] = in.engines.models.Default(), env.STT.Model, env.LLM.Threads
		s["stt_threads"], s["tts_threads"] = env.STT.Threads, env.TTS.Threads
		if other, ok := in.engines.standIns[env.STT.Model]; ok {
			s["stt"] = other
		}
	}
	return s
}

// benchLine is one line of the table.
type benchLine struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit"` // "ms", "s", "×" or "" for a count
	Median float64 `json:"median"`
	P95    float64 `json:"p95"`
	N      int     `json:"n"` // how many turns it is made of
}

// percentile returns the value below which a share p (0…1) of the values lies, by linear interpolation between the two
// nearest; NaN for none.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := p * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// line sums values up.
func line(name, unit string, values []float64) benchLine {
	if len(values) == 0 {
		return benchLine{Name: name, Unit: unit} // JSON knows no NaN
	}
	return benchLine{
		Name: name, Unit: unit, N: len(values), Median: percentile(values, 0.5), P95: percentile(values, 0.95),
	}
}

// each returns one value of each element that has it.
func each[T any](list []T, value func(T) (float64, bool)) []float64 {
	var out []float64
	for _, e := range list {
		if v, ok := value(e); ok {
			out = append(out, v)
		}
	}
	return out
}

// shortPrompt bounds the prompts of which a quick answer is expected most.
const shortPrompt = 4 // seconds

// withSummary returns the report with its table made.
func (r benchReport) withSummary() benchReport {
	good := slices.DeleteFunc(slices.Clone(r.Turns), func(t benchTurn) bool { return t.Error != "" || t.Early })
	add := func(name, unit string, value func(benchTurn) (float64, bool)) {
		r.Summary = append(r.Summary, line(name, unit, each(good, value)))
	}
	client := func(value func(benchTurn) float64) func(benchTurn) (float64, bool) {
		return func(t benchTurn) (float64, bool) { return value(t), true }
	}
	add("told: end of turn", "ms", client(func(t benchTurn) float64 { return t.Decision }))
	add("told: transcript", "ms", client(func(t benchTurn) float64 { return t.Transcript }))
	add("told: first token", "ms", client(func(t benchTurn) float64 { return t.FirstToken }))
	add("first sound received", "ms", client(func(t benchTurn) float64 { return t.FirstAudio }))
	for _, name := range append([]string{"speech_end"}, serverStages()...) {
		add("server: "+name, "ms", func(t benchTurn) (float64, bool) {
			v, ok := t.Server[name]
			return v, ok
		})
	}
	add("Brenda's own cost", "ms", func(t benchTurn) (float64, bool) { return t.Own, len(t.Server) > 0 })
	add("processor", "s", func(t benchTurn) (float64, bool) { return t.CPU, t.CPU > 0 })
	r.Summary = append(r.Summary, r.bare()...)
	r.Summary = append(r.Summary, r.ratio("turn / bare engines", good, math.Inf(1)),
		r.ratio(fmt.Sprintf("the same, up to %d s", shortPrompt), good, shortPrompt))
	return r
}

// bare are the lines of the engines alone.
func (r benchReport) bare() []benchLine {
	of := func(name string, value func(benchRaw) float64) benchLine {
		return line(name, "ms", each(r.Raw, func(b benchRaw) (float64, bool) { return value(b), true }))
	}
	return []benchLine{
		of("bare: STT", func(b benchRaw) float64 { return b.STT }),
		of("bare: LLM, first token", func(b benchRaw) float64 { return b.FirstToken }),
		of("bare: LLM, first clause", func(b benchRaw) float64 { return b.FirstClause }),
		of("bare: TTS of that", func(b benchRaw) float64 { return b.TTS }),
		of("bare: all", func(b benchRaw) float64 { return b.Total }),
	}
}

// ratio compares the first sound of turns with the bare engines, for prompts up to a length: median by median, p95 by p95.
func (r benchReport) ratio(name string, good []benchTurn, longest float64) benchLine {
	turns := line("", "", each(good, func(t benchTurn) (float64, bool) { return t.FirstAudio, t.Seconds <= longest }))
	bare := line("", "", each(r.Raw, func(b benchRaw) (float64, bool) { return b.Total, b.Seconds <= longest }))
	if turns.N == 0 || bare.N == 0 {
		return benchLine{Name: name, Unit: "×"}
	}
	return benchLine{
		Name: name, Unit: "×", N: turns.N, Median: turns.Median / bare.Median, P95: turns.P95 / bare.P95,
	}
}

// print writes the tables.
func (r benchReport) print(out io.Writer) error {
	r = r.withSummary()
	fmt.Fprintf(out, "%d prompts; load average before %v, now %s\n", len(r.Turns), r.Settings["load_before"], loadAverage())
	if llm, ok := r.Settings["llm"]; ok {
		fmt.Fprintf(out, "LLM %v on %v threads, Whisper %v on %v, voice on %v\n", llm, r.Settings["llm_threads"],
			r.Settings["stt"], r.Settings["stt_threads"], r.Settings["tts_threads"])
	}
	if len(r.Turns) > 0 {
		fmt.Fprintln(out, "\ntimes after the true end of speech")
		if err := printLines(out, r.Summary); err != nil {
			return err
		}
		fmt.Fprintln(out)
		printJudgement(out, r.Turns)
	}
	if len(r.Barge) == 0 {
		return nil
	}
	fmt.Fprintln(out, "\nsounds over an answer")
	return printBarge(out, r.Barge)
}

// printLines writes lines as a table.
func printLines(out io.Writer, lines []benchLine) error {
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "\tmedian\tp95\t\tn\t")
	for _, l := range lines {
		if l.N == 0 {
			continue
		}
		format := "%s\t%.0f\t%.0f\t%s\t%d\t\n"
		if l.Unit != "ms" {
			format = "%s\t%.2f\t%.2f\t%s\t%d\t\n"
		}
		fmt.Fprintf(tw, format, l.Name, l.Median, l.P95, cmp.Or(l.Unit, " "), l.N)
	}
	return tw.Flush()
}
