package ct2ggml

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ct2Builder writes CTranslate2 models of version 6.
type ct2Builder struct {
	vars  bytes.Buffer
	count uint32
	dtype byte
	rng   *rand.Rand
	plain map[string][]float32 // what each float variable stands for
}

func text(s string) []byte {
	b := binary.LittleEndian.AppendUint16(nil, uint16(len(s)+1))
	return append(append(b, s...), 0)
}

func (b *ct2Builder) raw(name string, dims []int, dtype byte, data []byte) {
	b.count++
	b.vars.Write(text(name))
	b.vars.WriteByte(byte(len(dims)))
	for _, d := range dims {
		b.vars.Write(binary.LittleEndian.AppendUint32(nil, uint32(d)))
	}
	b.vars.WriteByte(dtype)
	b.vars.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(data))))
	b.vars.Write(data)
}

// weight adds a variable with random values, or zeros, in the builder's type; vectors are never int8.
func (b *ct2Builder) weight(name string, zero bool, dims ...int) {
	n := 1
	for _, d := range dims {
		n *= d
	}
	vals := make([]float32, n)
	for i := range vals {
		if !zero {
			vals[i] = float32(b.rng.NormFloat64())
		}
	}
	dtype := b.dtype
	if dtype == ct2I8 && (len(dims) != 2 || !strings.HasSuffix(name, "weight")) {
		dtype = ct2F32
	}
	var data, scales []byte
	for i, v := range vals {
		switch dtype {
		case ct2F32:
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
		case ct2F16:
			data = binary.LittleEndian.AppendUint16(data, toHalf(v))
			vals[i] = fromHalf(toHalf(v))
		case ct2BF16:
			h := uint16(math.Float32bits(v) >> 16)
			data = binary.LittleEndian.AppendUint16(data, h)
			vals[i] = math.Float32frombits(uint32(h) << 16)
		case ct2I8:
			scale := float32(20 + i/dims[1]%7)
			if i%dims[1] == 0 {
				scales = binary.LittleEndian.AppendUint32(scales, math.Float32bits(scale))
			}
			q := int8(max(-127, min(127, math.Round(float64(v*scale)))))
			data = append(data, byte(q))
			vals[i] = float32(q) / scale
		}
	}
	b.plain[name] = vals
	b.raw(name, dims, dtype, data)
	if dtype == ct2I8 {
		b.raw(name+"_scale", []int{dims[0]}, ct2F32, scales)
	}
}

const (
	testState = 32
	testVocab = 51865
)

// tinyWhisper builds a model of one layer on each side.
func tinyWhisper(dtype byte, mels int) (*ct2Builder, []byte) {
	b := &ct2Builder{dtype: dtype, rng: rand.New(rand.NewPCG(1, 2)), plain: map[string][]float32{}}
	const s = testState
	norm := func(name string) { b.weight(name+"/gamma", false, s); b.weight(name+"/beta", false, s) }
	linear := func(name string, out, in int) {
		b.weight(name+"/weight", false, out, in)
		b.weight(name+"/bias", strings.HasSuffix(name, "self_attention/linear_0") ||
			strings.HasSuffix(name, "/attention/linear_1"), out)
	}
	b.raw("encoder/num_heads", nil, ct2I16, []byte{2, 0})
	b.weight("encoder/position_encodings/encodings", false, 10, s)
	b.weight("decoder/position_encodings/encodings", false, 8, s)
	b.weight("encoder/conv1/weight", false, s, mels, 3)
	b.weight("encoder/conv1/bias", false, s)
	b.weight("encoder/conv2/weight", false, s, s, 3)
	b.weight("encoder/conv2/bias", false, s)
	norm("encoder/layer_norm")
	norm("decoder/layer_norm")
	b.weight("decoder/embeddings/weight", false, testVocab, s)
	for _, side := range []string{"encoder", "decoder"} {
		l := side + "/layer_0"
		for _, n := range []string{"/self_attention", "/ffn"} {
			norm(l + n + "/layer_norm")
		}
		linear(l+"/self_attention/linear_0", 3*s, s)
		linear(l+"/self_attention/linear_1", s, s)
		linear(l+"/ffn/linear_0", 4*s, s)
		linear(l+"/ffn/linear_1", s, 4*s)
		if side == "decoder" {
			norm(l + "/attention/layer_norm")
			linear(l+"/attention/linear_0", s, s)
			linear(l+"/attention/linear_1", 2*s, s)
			linear(l+"/attention/linear_2", s, s)
		}
	}
	out := binary.LittleEndian.AppendUint32(nil, 6)
	out = append(out, text("WhisperSpec")...)
	out = binary.LittleEndian.AppendUint32(out, 3)
	out = binary.LittleEndian.AppendUint32(out, b.count)
	out = append(out, b.vars.Bytes()...)
	out = binary.LittleEndian.AppendUint32(out, 1)
	out = append(out, text("decoder/projection/weight")...)
	return b, append(out, text("decoder/embeddings/weight")...)
}

// tokenizer returns a tokenizer.json of tokens that are their own number, but for three.
func tokenizer(t *testing.T) []byte {
	t.Helper()
	vocab := map[string]int{}
	for i := range bpeTokens {
		vocab[strconv.Itoa(i)] = i
	}
	for i, s := range map[int]string{10: "Ġla", 11: "Ã©", 50256: ""} {
		delete(vocab, strconv.Itoa(i))
		vocab[s] = i
	}
	b, err := json.Marshal(map[string]any{"model": map[string]any{"vocab": vocab}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type ggmlTensor struct {
	dims []int32
	kind int32
	data []byte
}

// readGGML is an independent reader of the format, as whisper.cpp's whisper_model_load reads it.
func readGGML(t *testing.T, b []byte) (head [12]int32, mel []float32, tokens []string, tensors map[string]ggmlTensor) {
	t.Helper()
	r := bytes.NewReader(b)
	read := func(v any) {
		if err := binary.Read(r, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	take := func(n int64) []byte {
		p := make([]byte, n)
		if _, err := io.ReadFull(r, p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	var a, c, n int32
	read(&head)
	read(&a)
	read(&c)
	mel = make([]float32, a*c)
	read(mel)
	read(&n)
	for range n {
		size := binary.LittleEndian.Uint32(take(4))
		tokens = append(tokens, string(take(int64(size))))
	}
	tensors = map[string]ggmlTensor{}
	for r.Len() > 0 {
		var rank, nameLen int32
		var x ggmlTensor
		read(&rank)
		read(&nameLen)
		read(&x.kind)
		x.dims = make([]int32, rank)
		read(x.dims)
		name := string(take(int64(nameLen)))
		elements := int64(1)
		for _, d := range x.dims {
			elements *= int64(d)
		}
		x.data = take(map[int32]int64{0: 4 * elements, 1: 2 * elements, 8: elements / 32 * 34}[x.kind])
		tensors[name] = x
	}
	return head, mel, tokens, tensors
}

func TestConvert(t *testing.T) {
	tok := tokenizer(t)
	for name, c := range map[string]struct {
		dtype  byte
		mels   int
		format Format
	}{
		"f16 to q8_0": {ct2F16, 80, Q8}, "f32 to q8_0": {ct2F32, 80, Q8}, "int8 to q8_0": {ct2I8, 80, Q8},
		"bf16 to f16": {ct2BF16, 80, F16}, "f16 with 128 mels": {ct2F16, 128, F16},
	} {
		t.Run(name, func(t *testing.T) {
			b, model := tinyWhisper(c.dtype, c.mels)
			var out bytes.Buffer
			err := Convert(t.Context(), &out, bytes.NewReader(model), int64(len(model)), bytes.NewReader(tok), c.format)
			if err != nil {
				t.Fatal(err)
			}
			head, mel, tokens, tensors := readGGML(t, out.Bytes())
			ftype := map[Format]int32{Q8: 2007, F16: 1}[c.format]
			want := [12]int32{ggmlMagic, testVocab, 10, testState, 2, 1, 8, testState, 2, 1, int32(c.mels), ftype}
			if head != want {
				t.Errorf("header %v, want %v", head, want)
			}
			if len(mel) != c.mels*201 || tokens[10] != " la" || tokens[11] != "é" || tokens[50256] != "" || tokens[7] != "7" {
				t.Errorf("mel %d, tokens %q %q", len(mel), tokens[10], tokens[11])
			}
			if len(tensors) != 11+15+24 {
				t.Errorf("%d tensors", len(tensors))
			}
			same(t, tensors, "decoder.blocks.0.attn.value.weight", b.plain["decoder/layer_0/self_attention/linear_0/weight"][2*32*32:])
			same(t, tensors, "decoder.blocks.0.cross_attn.key.weight", b.plain["decoder/layer_0/attention/linear_1/weight"][:32*32])
			same(t, tensors, "encoder.conv1.weight", b.plain["encoder/conv1/weight"])
			same(t, tensors, "encoder.blocks.0.mlp.2.bias", b.plain["encoder/layer_0/ffn/linear_1/bias"])
			same(t, tensors, "decoder.token_embedding.weight", b.plain["decoder/embeddings/weight"])
			if d := tensors["encoder.conv2.bias"].dims; !slices.Equal(d, []int32{1, testState}) {
				t.Errorf("conv bias is %v", d)
			}
			if _, there := tensors["encoder.blocks.0.attn.key.bias"]; there {
				t.Error("keys have no bias in whisper.cpp")
			}
		})
	}
}

// same checks a tensor against the weights it was made of, within the precision of its type.
func same(t *testing.T, tensors map[string]ggmlTensor, name string, want []float32) {
	t.Helper()
	x, ok := tensors[name]
	if !ok {
		t.Fatalf("no tensor %s", name)
	}
	for i, w := range want {
		var got, slack float32
		switch x.kind {
		case typeF32:
			got = math.Float32frombits(binary.LittleEndian.Uint32(x.data[4*i:]))
		case typeF16:
			got, slack = fromHalf(binary.LittleEndian.Uint16(x.data[2*i:])), 0.002
		case typeQ8:
			block := x.data[i/32*34:]
			d := fromHalf(binary.LittleEndian.Uint16(block))
			got, slack = d*float32(int8(block[2+i%32])), d*0.51+0.002
		}
		if diff := float32(math.Abs(float64(got - w))); diff > slack {
			t.Fatalf("%s[%d] is %v, want %v", name, i, got, w)
		}
	}
}

func TestConvertIncomplete(t *testing.T) {
	_, model := tinyWhisper(ct2F16, 80)
	tok := []byte(`{}`)
	for _, n := range []int{0, 3, 10, 40, 1000, len(model) / 2, len(model) - 30, len(model) - 1} {
		err := Convert(t.Context(), io.Discard, bytes.NewReader(model[:n]), int64(n), bytes.NewReader(tok), Q8)
		if err == nil || strings.Contains(err.Error(), "tokenizer") {
			t.Errorf("cut at %d of %d: %v", n, len(model), err)
		}
	}
}

func TestConvertRefuses(t *testing.T) {
	_, model := tinyWhisper(ct2F16, 80)
	for name, c := range map[string]struct{ old, new, want string }{
		"another model":       {"WhisperSpec", "TransforSpc", "not a WhisperSpec"},
		"a layer without ffn": {"encoder/layer_0/ffn/linear_1/weight", "encoder/layer_0/ffn/linear_9/weight", "no variable"},
		"no embeddings":       {"decoder/embeddings/weight\x00\x02", "decoder/embeddings/wei9ht\x00\x02", "no variable"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := bytes.Replace(model, []byte(c.old), []byte(c.new), 1)
			err := Convert(t.Context(), io.Discard, bytes.NewReader(bad), int64(len(bad)), bytes.NewReader(tokenizer(t)), Q8)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("stopped")
	cancel(why)
	err := Convert(ctx, io.Discard, bytes.NewReader(model), int64(len(model)), bytes.NewReader(tokenizer(t)), Q8)
	if !errors.Is(err, why) {
		t.Errorf("cancelled: %v", err)
	}
}

// A header may claim anything: what it claims must not be allocated.
func TestHostileHeader(t *testing.T) {
	head := binary.LittleEndian.AppendUint32(nil, 6)
	head = append(append(head, text("WhisperSpec")...), 3, 0, 0, 0)
	huge := append(slices.Clone(head), 1, 0, 0, 0)
	huge = append(append(huge, text("decoder/embeddings/weight")...), 2, 0xff, 0xff, 0xff, 0x7f, 1, 0, 0, 0, ct2I8, 0xff, 0xff, 0xff, 0x7f)
	for name, b := range map[string][]byte{
		"variables": append(slices.Clone(head), 0xff, 0xff, 0xff, 0xff),
		"name":      append(slices.Clone(head), 1, 0, 0, 0, 0xff, 0xff),
		"tensor":    huge,
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := openCT2(bytes.NewReader(b), int64(len(b)))
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Error("accepted")
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
				t.Errorf("%d bytes allocated for %d of input", n, len(b))
			}
		})
	}
}

func TestHalf(t *testing.T) {
	for i := range 1 << 16 {
		f := fromHalf(uint16(i))
		if f == f && toHalf(f) != uint16(i) {
			t.Fatalf("%#x became %#x by way of %v", i, toHalf(f), f)
		}
	}
	for f, want := range map[float32]uint16{
		65519: 0x7bff, 65520: 0x7c00, 1.00048828125: 0x3c00, 1.00146484375: 0x3c02, // ties to even
		2.98e-8: 0, 2.99e-8: 1, float32(math.Inf(-1)): 0xfc00,
	} {
		if got := toHalf(f); got != want {
			t.Errorf("%v became %#x, want %#x", f, got, want)
		}
	}
}

func FuzzCT2(f *testing.F) {
	_, model := tinyWhisper(ct2I8, 80)
	f.Add(model[:400])
	f.Add([]byte("\x06\x00\x00\x00\x0c\x00WhisperSpec\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := openCT2(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for name, v := range file.vars {
			if v.offset+v.bytes > int64(len(b)) {
				t.Fatalf("%q lies outside", name)
			}
			_, _ = file.scalar(name)
		}
		s, err := file.shape()
		if err != nil {
			s = shape{encLayers: 1, decLayers: 1}
		}
		_ = file.tensors(s, func(x tensor) error {
			_, err := file.scales(x)
			return err
		})
	})
}
