package ct2ggml

import (
	"encoding/json"
	"fmt"
	"io"
)

// bpeTokens is the number of ordinary tokens of multilingual Whisper, ids 0..50256. whisper.cpp makes the
// special tokens above them itself.
const bpeTokens = 50257

// maxTokenizer bounds the tokenizer.json that is read into memory; the real ones have 2 to 4 MB.
const maxTokenizer = 32 << 20

// readTokens returns the bytes of tokens 0..50256 out of a Hugging Face tokenizer.json (byte-level BPE).
func readTokens(r io.Reader) ([][]byte, error) {
	var doc struct {
		Model struct {
			Vocab map[string]int `json:"vocab"`
		} `json:"model"`
	}
	if err := json.NewDecoder(io.LimitReader(r, maxTokenizer)).Decode(&doc); err != nil {
		return nil, fmt.Errorf("read tokenizer: %w", err)
	}
	decode := byteDecoder()
	tokens := make([][]byte, bpeTokens)
	for text, id := range doc.Model.Vocab {
		if id < 0 || id >= bpeTokens {
			continue
		}
		raw := make([]byte, 0, len(text))
		for _, r := range text {
			b, ok := decode[r]
			if !ok {
				return nil, fmt.Errorf("token %d holds %q, which stands for no byte", id, r)
			}
			raw = append(raw, b)
		}
		tokens[id] = raw
	}
	for id, t := range tokens {
		if t == nil {
			return nil, fmt.Errorf("the tokenizer has no token %d: not multilingual Whisper", id)
		}
	}
	return tokens, nil
}

// byteDecoder inverts GPT-2's table of printable stand-ins for bytes (bytes_to_unicode).
func byteDecoder() map[rune]byte {
	table := make(map[rune]byte, 256)
	next := rune(256)
	for b := range 256 {
		printable := b >= 33 && b <= 126 || b >= 161 && b <= 172 || b >= 174
		if printable {
			table[rune(b)] = byte(b)
			continue
		}
		table[next] = byte(b)
		next++
	}
	return table
}
