package ffmpeg

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/mogiioin/hls-m3u8/m3u8"

	"brenda/pipeline/fault"
	"brenda/pipeline/outbound"
)

const (
	maxKey     = 1 << 10  // bytes of a key's file
	maxSegment = 32 << 20 // bytes of an encrypted segment, which is held in memory
)

// sendSegment sends one segment, after the section that its decoder needs first.
func (m *medium) sendSegment(
	ctx context.Context, w io.Writer, s *m3u8.MediaSegment, seq uint64, keys []m3u8.Key, section *m3u8.Map,
) error {
	if section != nil && !section.Equal(m.list.loaded) {
		if err := m.sendPart(ctx, w, section.URI, section.Offset, section.Limit, nil); err != nil {
			return err
		}
		m.list.loaded = section
	}
	plain, err := m.cipher(ctx, keys, seq)
	if err != nil {
		return err
	}
	return m.sendPart(ctx, w, s.URI, s.Offset, s.Limit, plain)
}

// sendPart sends a file, or limit bytes of it from offset on, decrypted if there is a cipher.
func (m *medium) sendPart(ctx context.Context, w io.Writer, ref string, offset, limit int64, plain cipher.BlockMode) error {
	part := ""
	if limit > 0 {
		part = fmt.Sprintf("bytes=%d-%d", offset, offset+limit-1)
	}
	ans, err := m.resolve(ctx, ref, part)
	if err != nil {
		return err
	}
	defer ans.Body.Close()
	var r io.Reader = ans.Body
	if limit > 0 {
		if ans.Status != http.StatusPartialContent {
			if _, err := io.CopyN(io.Discard, r, offset); err != nil {
				return err
			}
		}
		r = io.LimitReader(r, limit)
	}
	if plain == nil {
		return m.pass(w, r)
	}
	b, err := io.ReadAll(io.LimitReader(r, min(maxSegment, m.left+1)))
	if err != nil {
		return err
	}
	if len(b) == 0 || len(b)%aes.BlockSize != 0 {
		return unreadable(errors.New("a broken segment"))
	}
	plain.CryptBlocks(b, b)
	pad := int(b[len(b)-1])
	if pad == 0 || pad > aes.BlockSize {
		return unreadable(errors.New("a wrong key"))
	}
	return m.pass(w, bytes.NewReader(b[:len(b)-pad]))
}

func (m *medium) resolve(ctx context.Context, ref, part string) (*outbound.Answer, error) {
	u, err := m.list.base.Parse(ref)
	if err != nil || ref == "" {
		return nil, unreadable(errors.New("a segment without an address"))
	}
	return m.fetch(ctx, u.String(), part)
}

// cipher returns what decrypts a segment (RFC 8216, section 5.2), nil when it is not encrypted.
func (m *medium) cipher(ctx context.Context, keys []m3u8.Key, seq uint64) (cipher.BlockMode, error) {
	for _, k := range keys {
		switch {
		case k.Method == "NONE" || k.Method == "":
			return nil, nil
		case k.Method != "AES-128" || k.Keyformat != "" && k.Keyformat != "identity":
			continue
		}
		key, ok := m.list.keys[k.URI]
		if !ok {
			ans, err := m.resolve(ctx, k.URI, "")
			if err != nil {
				return nil, err
			}
			key, err = io.ReadAll(io.LimitReader(ans.Body, maxKey))
			_ = ans.Body.Close() // read already
			if err != nil {
				return nil, err
			}
			m.list.keys[k.URI] = key
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, unreadable(err)
		}
		iv := binary.BigEndian.AppendUint64(make([]byte, 8, aes.BlockSize), seq)
		if k.IV != "" {
			iv, err = hex.DecodeString(strings.TrimPrefix(strings.ToLower(k.IV), "0x"))
			if err != nil || len(iv) != aes.BlockSize {
				return nil, unreadable(errors.New("a broken IV"))
			}
		}
		return cipher.NewCBCDecrypter(block, iv), nil
	}
	if len(keys) > 0 {
		return nil, fault.New(fault.Unsupported, "unsupported_media",
			"the medium is encrypted in a way that only its own player can read")
	}
	return nil, nil
}
