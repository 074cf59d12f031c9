package speechtext

import (
	"regexp"
	"strings"
)

// currency is a kind of money. shift is the power of ten that its symbol adds (k€: 3).
type currency struct {
	unit
	cent  string // the hundredth part; empty if it is not told
	shift int
}

// currencies maps what stands behind an amount to the money it means.
var currencies = map[string]currency{ //nolint:gochecknoglobals // read-only
	"€": euro(0), "EUR": euro(0), "k€": euro(3), "K€": euro(3), "M€": euro(6), "Md€": euro(9), "Mds€": euro(9),
	"G€":  euro(9),
	"US$": dollar(0), "$": dollar(0), "USD": dollar(0), "k$": dollar(3), "K$": dollar(3), "M$": dollar(6),
	"Md$": dollar(9),
	"£":   {unit: fem("livre"), cent: "penny"}, "GBP": {unit: fem("livre"), cent: "penny"},
	"¥": {unit: masc("yen")}, "JPY": {unit: masc("yen")},
	"CHF": {unit: unit{one: "franc suisse", many: "francs suisses"}, cent: "centime"},
	"F":   {unit: masc("franc"), cent: "centime"}, "kF": {unit: masc("franc"), cent: "centime", shift: 3},
	"c€": {unit: masc("centime")}, "cts": {unit: masc("centime")}, "ct": {unit: masc("centime")},
}

func euro(shift int) currency { return currency{unit: masc("euro"), cent: "centime", shift: shift} }

func dollar(shift int) currency { return currency{unit: masc("dollar"), cent: "cent", shift: shift} }

// words says an amount of money: "mille deux cent trente-quatre euros cinquante".
func (c currency) words(a amount) string {
	if c.shift > 0 {
		return c.scaled(a)
	}
	if len(a.frac) == 1 {
		a.frac += "0"
	}
	if a.frac == "00" {
		a.frac = ""
	}
	if a.frac == "" {
		return a.words(c.feminine) + c.after(a)
	}
	if c.cent == "" || len(a.frac) != 2 {
		return a.words(c.feminine) + " " + c.name(a.plural())
	}
	cents := amount{whole: strings.TrimPrefix(a.frac, "0")}
	whole := amount{whole: a.whole}
	if strings.Trim(a.whole, "0") == "" {
		return cents.words(false) + " " + c.centName(cents.plural())
	}
	return whole.words(c.feminine) + " " + c.name(whole.plural()) + " " + cents.words(false)
}

func (c currency) centName(many bool) string {
	if c.cent == "penny" && many {
		return "pence"
	}
	return plural(c.cent, many)
}

// after returns the noun behind a whole amount; "d'" or "de" stands behind a round million.
func (c currency) after(a amount) string {
	noun := " " + c.name(a.plural())
	w := strings.TrimLeft(a.whole, "0")
	if len(w) > 6 && strings.HasSuffix(w, "000000") {
		return c.of()
	}
	return noun
}

func (c currency) of() string {
	if c.many[0] == 'e' {
		return " d'" + c.many
	}
	return " de " + c.many
}

// scaled says 3 k€, 1,5 M€: thousands as a number, millions and more by name.
func (c currency) scaled(a amount) string {
	if c.shift == 3 && len(a.frac) <= 3 {
		zeros := strings.Repeat("0", 3-len(a.frac))
		whole := amount{whole: strings.TrimLeft(a.whole+a.frac+zeros, "0")}
		if whole.whole == "" {
			whole.whole = "0"
		}
		return whole.words(c.feminine) + c.after(whole)
	}
	name := " million"
	switch c.shift {
	case 3:
		return a.words(false) + " mille " + c.many
	case 9:
		name = " milliard"
	}
	return a.words(false) + plural(name, a.plural()) + c.of()
}

var prefixedMoney = regexp.MustCompile(`^(US\$|[$€£¥]) ?(\d)`)

// readPrefixedMoney reads $5 and €3.50, the English order.
func readPrefixedMoney(s string) (string, int) {
	m := prefixedMoney.FindStringSubmatchIndex(s)
	if m == nil {
		return "", 0
	}
	sym := s[m[2]:m[3]]
	a := scanAmount(s[m[4]:])
	n := m[4] + a.n
	cur := currencies[strings.TrimPrefix(sym, "US")]
	if sym != "$" && sym != "US$" || n == len(s) {
		return cur.words(a), n
	}
	switch s[n] { // $5M, $3k
	case 'M':
		cur.shift, n = 6, n+1
	case 'k', 'K':
		cur.shift, n = 3, n+1
	case 'B':
		cur.shift, n = 9, n+1
	}
	return cur.words(a), n
}
