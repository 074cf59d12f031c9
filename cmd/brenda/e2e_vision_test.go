package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image/color"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/image/font/gofont/goregular"

	"brenda/pipeline/enginetest"
	"brenda/pipeline/picture/picturetest"
)

// sees posts a picture and reads the answer.
func (p *program) sees(t *testing.T, path string, body map[string]any, answer any) int {
	t.Helper()
	resp := p.post(t, path, "", body)
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// TestPicturesAreReadAndJudged asks the real program about a page and the public photos, by each engine that is there.
func TestPicturesAreReadAndJudged(t *testing.T) {
	p := server(t)
	const text = "Où est le café ?\nÀ côté de l'église."
	page := picturetest.Draw(t, picturetest.Ink{TTF: goregular.TTF, Size: 36, Ink: color.Black, Page: color.White}, text)
	var b bytes.Buffer
	if err := png.Encode(&b, page); err != nil {
		t.Fatal(err)
	}
	for _, engine := range []string{"tesseract", "rapidocr"} {
		var read struct {
			Text, Lang, Engine string
			Words              []struct{ Box [4]int }
		}
		body := map[string]any{"image": base64.StdEncoding.EncodeToString(b.Bytes()), "lang": "fr", "engine": engine}
		status := p.sees(t, "/v1/ai/image/ocr", body, &read)
		if status != http.StatusOK || read.Text != text || read.Lang != "fr" || read.Engine != engine || len(read.Words) != 9 {
			t.Errorf("%s: %d %+v", engine, status, read)
		}
	}
	for file, want := range map[string]string{"chelsea.png": "chat", "coffee.png": "café", "rocket.jpg": "fusée"} {
		photo, err := os.ReadFile(filepath.Join(enginetest.ModelsDir(t), "..", "photos", file))
		if err != nil {
			t.Fatalf("%v; run: deploy/test-photos.sh", err)
		}
		var seen struct {
			Labels []struct {
				Label     string
				Score     *float64
				Supported *bool
			}
			Image struct{ Width, Height int }
		}
		labels := []string{"chien", "chat", "café", "fusée", "astronaute"}
		status := p.sees(t, "/v1/ai/image/analyze", map[string]any{"image": photo, "labels": labels, "engine": "imagenet"}, &seen)
		if status != http.StatusOK || len(seen.Labels) != len(labels) || seen.Labels[0].Label != want || seen.Image.Width == 0 {
			t.Fatalf("%s: %d %+v", file, status, seen)
		}
		if last := seen.Labels[len(labels)-1]; last.Label != "astronaute" || last.Score != nil || last.Supported == nil || *last.Supported {
			t.Errorf("%s: %+v", file, last)
		}
	}
	var refused struct{ Error struct{ Message string } }
	status := p.sees(t, "/v1/ai/image/analyze", map[string]any{"image": b.Bytes(), "engine": "clip"}, &refused)
	if _, err := os.Stat(filepath.Join(enginetest.ModelsDir(t), "clip")); err != nil &&
		(status != http.StatusServiceUnavailable || !strings.Contains(refused.Error.Message, "models pull clip")) {
		t.Errorf("without CLIP: %d %+v", status, refused)
	}
}
