#!/usr/bin/env python3
"""Writes random weights that stable-diffusion.cpp loads: the layout of its smallest Stable Diffusion 1 ("tiny UNet":
320 channels times 1, 2, 4; text model of CLIP-L) and of its tiny autoencoder (TAESD). Pictures made with them are
noise; they serve to test the server's interface.

    test-sdweights.py DIR     writes DIR/model.safetensors (893 MB) and DIR/taesd.safetensors (5 MB)
"""
import json
import math
import random
import struct
import sys

PERIOD = 65521  # values before the noise repeats: a prime, so that no row of a matrix is like the next


def noise(scale, cache={}):
    """Bytes of PERIOD random half-precision floats of this standard deviation."""
    if scale not in cache:
        draw = random.Random(1)
        cache[scale] = struct.pack(f"<{PERIOD}e", *(draw.gauss(0, scale) for _ in range(PERIOD)))
    return cache[scale]


def fill(shape, kind):
    count = math.prod(shape)
    if kind == "zero":
        return bytes(2 * count)
    if kind == "one":
        return struct.pack("<e", 1) * count
    pattern = noise(math.prod(shape[1:]) ** -0.5)
    return (pattern * (2 * count // len(pattern) + 1))[: 2 * count]


def save(path, tensors):
    """The safetensors format: the length of a JSON header, the header, the data."""
    header, offset = {}, 0
    for name, (shape, _) in tensors.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(head)) + head)
        for shape, kind in tensors.values():
            out.write(fill(shape, kind))


class Tensors(dict):
    def linear(self, name, inputs, outputs, bias=True):
        self[name + ".weight"] = ([outputs, inputs], "noise")
        if bias:
            self[name + ".bias"] = ([outputs], "zero")

    def conv(self, name, inputs, outputs, side=3, bias=True):
        self[name + ".weight"] = ([outputs, inputs, side, side], "noise")
        if bias:
            self[name + ".bias"] = ([outputs], "zero")

    def norm(self, name, size):
        self[name + ".weight"] = ([size], "one")
        self[name + ".bias"] = ([size], "zero")

    def residual(self, name, inputs, outputs):
        self.norm(name + ".in_layers.0", inputs)
        self.conv(name + ".in_layers.2", inputs, outputs)
        self.linear(name + ".emb_layers.1", 1280, outputs)
        self.norm(name + ".out_layers.0", outputs)
        self.conv(name + ".out_layers.3", outputs, outputs)
        if inputs != outputs:
            self.conv(name + ".skip_connection", inputs, outputs, 1)

    def attention(self, name, size, context=768):
        self.norm(name + ".norm", size)
        self.conv(name + ".proj_in", size, size, 1)
        self.conv(name + ".proj_out", size, size, 1)
        block = name + ".transformer_blocks.0"
        for part, keys in ("attn1", size), ("attn2", context):
            self.linear(f"{block}.{part}.to_q", size, size, False)
            self.linear(f"{block}.{part}.to_k", keys, size, False)
            self.linear(f"{block}.{part}.to_v", keys, size, False)
            self.linear(f"{block}.{part}.to_out.0", size, size)
        self.linear(block + ".ff.net.0.proj", size, size * 8)
        self.linear(block + ".ff.net.2", size * 4, size)
        for i in "123":
            self.norm(f"{block}.norm{i}", size)


def unet(t, base=320, mults=(1, 2, 4)):
    u = "model.diffusion_model."
    t.linear(u + "time_embed.0", base, 1280)
    t.linear(u + "time_embed.2", 1280, 1280)
    t.conv(u + "input_blocks.0.0", 4, base)
    skips, size, block = [base], base, 0
    for i, mult in enumerate(mults):
        block += 1
        t.residual(f"{u}input_blocks.{block}.0", size, mult * base)
        size = mult * base
        t.attention(f"{u}input_blocks.{block}.1", size)
        skips.append(size)
        block += 1
        if i < len(mults) - 1:
            block += 1
            t.conv(f"{u}input_blocks.{block}.0.op", size, size)
            skips.append(size)
    block = 0
    for i, mult in reversed(list(enumerate(mults))):
        for j in range(2):
            t.residual(f"{u}output_blocks.{block}.0", size + skips.pop(), mult * base)
            size = mult * base
            t.attention(f"{u}output_blocks.{block}.1", size)
            if i > 0 and j == 1:
                block += 1  # the tiny UNet numbers its upsamplers like this
                t.conv(f"{u}output_blocks.{block}.{1 if block == 2 else 2}.conv", size, size)
            block += 1
    t.norm(u + "out.0", size)
    t.conv(u + "out.2", base, 4)


def text_model(t):
    c = "cond_stage_model.transformer.text_model."
    t[c + "embeddings.token_embedding.weight"] = ([49408, 768], "noise")
    t[c + "embeddings.position_embedding.weight"] = ([77, 768], "noise")
    t.norm(c + "final_layer_norm", 768)
    for i in range(12):
        layer = f"{c}encoder.layers.{i}"
        for part in "q", "k", "v", "out":
            t.linear(f"{layer}.self_attn.{part}_proj", 768, 768)
        t.norm(layer + ".layer_norm1", 768)
        t.norm(layer + ".layer_norm2", 768)
        t.linear(layer + ".mlp.fc1", 768, 3072)
        t.linear(layer + ".mlp.fc2", 3072, 768)


def autoencoder(t):
    def block(name):
        for i in "024":
            t.conv(f"{name}.conv.{i}", 64, 64)

    e = "encoder.layers."
    t.conv(e + "0", 3, 64)
    block(e + "1")
    i = 2
    for _ in range(3):
        t.conv(f"{e}{i}", 64, 64, bias=False)
        for j in range(1, 4):
            block(f"{e}{i + j}")
        i += 4
    t.conv(f"{e}{i}", 64, 4)
    d = "decoder.layers."
    t.conv(d + "0", 4, 64)
    i = 2
    for _ in range(3):
        for j in range(3):
            block(f"{d}{i + j}")
        t.conv(f"{d}{i + 4}", 64, 64, bias=False)
        i += 5
    block(f"{d}{i}")
    t.conv(f"{d}{i + 1}", 64, 3)


def main():
    folder = sys.argv[1]
    model = Tensors()
    unet(model)
    text_model(model)
    save(folder + "/model.safetensors", model)
    taesd = Tensors()
    autoencoder(taesd)
    save(folder + "/taesd.safetensors", taesd)


main()
