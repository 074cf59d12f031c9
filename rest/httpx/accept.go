package httpx

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// Accepts returns which of the offered media types the request's Accept header likes best, the first for none
// of them or a tie.
func Accepts(r *http.Request, offers ...string) string {
	best, bestQ := offers[0], 0.0
	ranges := strings.Split(strings.Join(r.Header.Values("Accept"), ","), ",")
	for _, offer := range offers {
		if q := quality(ranges, offer); q > bestQ {
			best, bestQ = offer, q
		}
	}
	return best
}

// quality returns how much the ranges of an Accept header like offer: the most specific range counts.
func quality(ranges []string, offer string) float64 {
	kind, _, _ := strings.Cut(offer, "/")
	q, rank := 0.0, 0
	for _, rg := range ranges {
		name, params, err := mime.ParseMediaType(rg)
		if err != nil {
			continue
		}
		n := 0
		switch name {
		case offer:
			n = 3
		case kind + "/*":
			n = 2
		case "*/*":
			n = 1
		}
		if n > rank {
			q, rank = weight(params["q"]), n
		}
	}
	return q
}

func weight(q string) float64 {
	if q == "" {
		return 1
	}
	v, err := strconv.ParseFloat(q, 64)
	if err != nil || v < 0 || v > 1 {
		return 0
	}
	return v
}
