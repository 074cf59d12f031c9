package apertium

import (
	"maps"
	"slices"

	"brenda/pipeline/translation"
)

// maxPivots is how many languages may lie between two. Each costs words.
const maxPivots = 2

// ways returns the shortest way for each pair of languages that modes lead to, sorted.
func ways(modes []mode) []translation.Way {
	next := map[string][]string{}
	for _, m := range modes {
		if m.from != m.to && !slices.Contains(next[m.from], m.to) {
			next[m.from] = append(next[m.from], m.to)
		}
	}
	var out []translation.Way
	for from := range next {
		for to, path := range reach(next, from) {
			out = append(out, translation.Way{From: from, To: to, Pivot: path})
		}
	}
	slices.SortFunc(out, translation.Way.Compare)
	return out
}

// reach returns the languages that can be reached from one, each with the pivots of the best of the shortest ways.
func reach(next map[string][]string, from string) map[string][]string {
	found := map[string][]string{}
	front := map[string][]string{from: nil}
	for range maxPivots + 1 {
		ahead := map[string][]string{}
		for at, pivots := range front {
			if at != from {
				pivots = append(slices.Clone(pivots), at)
			}
			for _, to := range next[at] {
				if _, known := found[to]; known || to == from {
					continue
				}
				if old, ok := ahead[to]; !ok || better(from, to, pivots, old) {
					ahead[to] = pivots
				}
			}
		}
		maps.Copy(found, ahead)
		front = ahead
	}
	return found
}

// better compares two ways of the same length. Spanish is the better pivot from French into English (it keeps "I" and
// "because", which Catalan loses), Catalan the other way round: read on sentences of everyday life.
func better(from, to string, a, b []string) bool {
	favourite := "es"
	if from == "en" && to == "fr" {
		favourite = "ca"
	}
	if x, y := slices.Contains(a, favourite), slices.Contains(b, favourite); x != y {
		return x
	}
	return slices.Compare(a, b) < 0
}
