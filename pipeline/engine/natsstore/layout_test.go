package natsstore

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
)

// TestLayoutBitRot changes each bit of a layout: none of that passes for another layout.
func TestLayoutBitRot(t *testing.T) {
	l := layout{Version: layoutVersion, LastSeq: map[string]uint64{"KV_sessions": 3, "TURNS": 20}}
	l.Sum, _ = l.sum()
	text, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(text) {
		bad := slices.Clone(text)
		bad[i/8] ^= 1 << (i % 8)
		var got layout
		if json.Unmarshal(bad, &got) != nil {
			continue
		}
		if sum, _ := got.sum(); got.Version == layoutVersion && got.Sum == sum && !reflect.DeepEqual(got, l) {
			t.Errorf("%s is taken for a layout", bad)
		}
	}
}
