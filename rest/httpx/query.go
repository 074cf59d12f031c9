package httpx

import (
	"net/http"
	"strconv"

	"brenda/pipeline/fault"
)

// QueryInt returns an optional whole number of the query, absent where it is not given. One that is none, or not between
// least and most, is a fault of the client's that names it.
func QueryInt(r *http.Request, name string, absent, least, most int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fault.Field(name, "%s must be a whole number from %d to %d", name, least, most)
	}
	return n, nil
}
