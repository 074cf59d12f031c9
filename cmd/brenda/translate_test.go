package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"brenda/pipeline/translation"
)

func TestTranslateRules(t *testing.T) {
	for engines, want := range map[string][]translation.Rule{
		"":                     {{From: "*", To: "*", Engine: "apertium"}},
		"fr-en=llm,*=apertium": {{From: "fr", To: "en", Engine: "llm"}, {From: "*", To: "*", Engine: "apertium"}},
		"fr-*=llm, *-fr=llm":   {{From: "fr", To: "*", Engine: "llm"}, {From: "*", To: "fr", Engine: "llm"}},
	} {
		c := translateConfig{}
		if engines != "" {
			c.Engines = strings.Split(engines, ",")
		}
		if got, err := c.rules(); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v", engines, got, err)
		}
	}
	with := translateConfig{URL: "http://127.0.0.1:5000"}
	if got, err := with.rules(); err != nil || len(got) != 2 || got[0].Engine != byLibre {
		t.Errorf("with a server: %v, %v", got, err)
	}
}

func TestTranslateMistakes(t *testing.T) {
	good := translateConfig{Languages: []string{"fr"}, Parallel: 1, Max: 1, Idle: time.Second}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for want, spoil := range map[string]func(*translateConfig){
		"not PAIR=ENGINE":     func(c *translateConfig) { c.Engines = []string{"fr-en"} },
		"fra-eng=apertium":    func(c *translateConfig) { c.Engines = []string{"fra-eng=apertium"} },
		"fr-en=google":        func(c *translateConfig) { c.Engines = []string{"fr-en=google"} },
		"needs translate.url": func(c *translateConfig) { c.Engines = []string{"*=libretranslate"} },
		"http or https":       func(c *translateConfig) { c.URL = "ftp://x" },
		"no language code":    func(c *translateConfig) { c.Languages = []string{"français"} },
		"translate.parallel":  func(c *translateConfig) { c.Parallel = 0 },
	} {
		c := good
		spoil(&c)
		if err := c.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
