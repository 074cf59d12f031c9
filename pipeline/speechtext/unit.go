package speechtext

import (
	"strings"
	"unicode"
)

// unit is a measure: its name in the singular and in the plural.
type unit struct {
	one, many string
	feminine  bool
}

func (u unit) name(many bool) string {
	if many {
		return u.many
	}
	return u.one
}

func masc(one string) unit { return unit{one: one, many: one + "s"} }

func fem(one string) unit { return unit{one: one, many: one + "s", feminine: true} }

// units maps the symbols of measures to their names.
var units = map[string]unit{ //nolint:gochecknoglobals // read-only
	"km": masc("kilomètre"), "hm": masc("hectomètre"), "m": masc("mètre"), "dm": masc("décimètre"),
	"cm": masc("centimètre"), "mm": masc("millimètre"), "µm": masc("micromètre"), "μm": masc("micromètre"),
	"nm":  masc("nanomètre"),
	"km²": {one: "kilomètre carré", many: "kilomètres carrés"},
	"m²":  {one: "mètre carré", many: "mètres carrés"},
	"km2": {one: "kilomètre carré", many: "kilomètres carrés"},
	"m2":  {one: "mètre carré", many: "mètres carrés"},
	"cm²": {one: "centimètre carré", many: "centimètres carrés"},
	"cm2": {one: "centimètre carré", many: "centimètres carrés"},
	"mm²": {one: "millimètre carré", many: "millimètres carrés"},
	"m³":  {one: "mètre cube", many: "mètres cubes"}, "m3": {one: "mètre cube", many: "mètres cubes"},
	"cm³": {one: "centimètre cube", many: "centimètres cubes"},
	"cm3": {one: "centimètre cube", many: "centimètres cubes"},
	"dm³": {one: "décimètre cube", many: "décimètres cubes"},
	"ha":  masc("hectare"), "t": fem("tonne"), "kg": masc("kilogramme"), "g": masc("gramme"),
	"mg": masc("milligramme"),
	"µg": masc("microgramme"), "μg": masc("microgramme"), "lb": fem("livre"), "oz": fem("once"),
	"l": masc("litre"), "L": masc("litre"), "dl": masc("décilitre"), "dL": masc("décilitre"),
	"hl": masc("hectolitre"),
	"cl": masc("centilitre"), "cL": masc("centilitre"), "ml": masc("millilitre"), "mL": masc("millilitre"),
	"h": fem("heure"), "min": fem("minute"), "mn": fem("minute"), "s": fem("seconde"), "sec": fem("seconde"),
	"ms": fem("milliseconde"), "µs": fem("microseconde"), "μs": fem("microseconde"), "ns": fem("nanoseconde"),
	"j": masc("jour"), "°": masc("degré"), "°C": {one: "degré Celsius", many: "degrés Celsius"},
	"°F": {one: "degré Fahrenheit", many: "degrés Fahrenheit"}, "K": masc("kelvin"),
	"W": masc("watt"), "kW": masc("kilowatt"), "MW": masc("mégawatt"), "GW": masc("gigawatt"),
	"TWh": masc("térawattheure"),
	"Wh":  masc("wattheure"), "kWh": masc("kilowattheure"), "MWh": masc("mégawattheure"),
	"GWh": masc("gigawattheure"),
	"V":   masc("volt"), "kV": masc("kilovolt"), "mV": masc("millivolt"), "A": masc("ampère"),
	"mA":  masc("milliampère"),
	"mAh": {one: "milliampère-heure", many: "milliampères-heures"},
	"Ω":   masc("ohm"), "kΩ": masc("kilo-ohm"), "J": masc("joule"), "kJ": masc("kilojoule"), "N": masc("newton"),
	"cal": fem("calorie"), "kcal": fem("kilocalorie"), "ch": {one: "cheval", many: "chevaux"},
	"Hz": {one: "hertz", many: "hertz"}, "kHz": {one: "kilohertz", many: "kilohertz"},
	"MHz": {one: "mégahertz", many: "mégahertz"}, "GHz": {one: "gigahertz", many: "gigahertz"},
	"dB": masc("décibel"), "Pa": masc("pascal"), "hPa": masc("hectopascal"), "kPa": masc("kilopascal"),
	"MPa": masc("mégapascal"), "bar": masc("bar"), "bars": masc("bar"), "mbar": masc("millibar"),
	"ppm": {one: "partie par million", many: "parties par million", feminine: true},
	"o":   masc("octet"), "ko": masc("kilooctet"), "Ko": masc("kilooctet"), "Mo": masc("mégaoctet"),
	"Go": masc("gigaoctet"),
	"To": masc("téraoctet"), "Po": masc("pétaoctet"), "KB": masc("kilooctet"), "kB": masc("kilooctet"),
	"MB": masc("mégaoctet"), "GB": masc("gigaoctet"), "TB": masc("téraoctet"),
	"Mio": masc("mébioctet"), "Gio": masc("gibioctet"), "Kio": masc("kibioctet"),
	"bit": masc("bit"), "bits": masc("bit"), "kbit": masc("kilobit"), "Mbit": masc("mégabit"),
	"Gbit": masc("gigabit"),
	"kb":   masc("kilobit"), "Mb": masc("mégabit"), "Gb": masc("gigabit"),
	"kbps": {one: "kilobit par seconde", many: "kilobits par seconde"},
	"Mbps": {one: "mégabit par seconde", many: "mégabits par seconde"},
	"Gbps": {one: "gigabit par seconde", many: "gigabits par seconde"},
	"px":   masc("pixel"), "Mpx": masc("mégapixel"), "tr": masc("tour"), "hab": masc("habitant"),
	"pts": masc("point"), "pt": masc("point"),
	"càs": {one: "cuillère à soupe", many: "cuillères à soupe", feminine: true},
	"càc": {one: "cuillère à café", many: "cuillères à café", feminine: true},
	"cs":  {one: "cuillère à soupe", many: "cuillères à soupe", feminine: true},
	"cc":  {one: "cuillère à café", many: "cuillères à café", feminine: true},
}

// spoonForms are the spoon measures of French recipes that hold spaces.
var spoonForms = []struct{ written, sym string }{ //nolint:gochecknoglobals // read-only
	{"c. à soupe", "càs"},
	{"c. à café", "càc"},
	{"c. à s.", "càs"},
	{"c. à c.", "càc"},
	{"c.à.s.", "càs"},
	{"c.à.c.", "càc"},
	{"c.à.s", "càs"},
	{"c.à.c", "càc"},
	{"c à s", "càs"},
	{"c à c", "càc"},
	{"cuil. à soupe", "càs"},
	{"cuil. à café", "càc"},
}

// scanSymbol returns the unit or currency symbol that follows a number, and the bytes up to its end.
func scanSymbol(s string) (string, int) {
	t := strings.TrimPrefix(s, " ")
	lead := len(s) - len(t)
	for _, f := range spoonForms {
		if strings.HasPrefix(t, f.written) && !isLetter(firstRune(t[len(f.written):])) {
			return f.sym, lead + len(f.written)
		}
	}
	for _, degree := range [...]string{"° C", "° F"} {
		if strings.HasPrefix(t, degree) && unitEnds(t[len(degree):]) {
			return strings.Replace(degree, " ", "", 1), lead + len(degree)
		}
	}
	n := symbolRun(t)
	if n > 0 && n < len(t) && (t[n] == '2' || t[n] == '3') && strings.HasSuffix(t[:n], "m") { // m2
		n++
	}
	if n == 0 || !unitEnds(t[n:]) && !strings.HasSuffix(t[:n], "€") && (t[:n] != "m" || digitRun(t[n:]) != 2) {
		return "", 0
	}
	return t[:n], lead + n
}

func symbolRun(s string) int {
	for i, c := range s {
		if !unicode.IsLetter(c) && !strings.ContainsRune("µ°²³%‰€$£¥", c) {
			return i
		}
	}
	return len(s)
}

// unitEnds tells that a symbol may end here: "5 l'eau" and "2 m-" hold no unit.
func unitEnds(after string) bool {
	if after == "" {
		return true
	}
	c := firstRune(after)
	if c == '\'' || isWord(c) {
		return false
	}
	return c != '-' || len(after) < 2 || !isLetter(firstRune(after[1:]))
}

func startsUpper(s string) bool { return unicode.IsUpper(firstRune(s)) }

func startsLower(s string) bool { return unicode.IsLower(firstRune(s)) }
