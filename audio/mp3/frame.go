package mp3

import "encoding/binary"

const (
	headerBytes = 4
	maxFrame    = 1441 // bytes: 320 kbit/s at 32 kHz with padding
)

// frameHeader is the checked header of one frame of MPEG-1 or MPEG-2 layer III (ISO/IEC 11172-3 and 13818-3).
type frameHeader struct {
	rate    int  // Hz
	size    int  // bytes, header included
	lsf     bool // MPEG-2, the low sampling frequencies: one granule instead of two
	mono    bool
	crc     bool
	version int // the two bits; 0 is MPEG-2.5, which go-mp3 does not decode
}

// parseHeader reads a frame header. ok is false when b does not start with one of layer III with a fixed
// bit rate.
func parseHeader(b []byte) (h frameHeader, ok bool) {
	if len(b) < headerBytes || b[0] != 0xFF || b[1]&0xE0 != 0xE0 {
		return h, false
	}
	h.version = int(b[1]>>3) & 3
	layer, bitrate, rate := b[1]>>1&3, int(b[2]>>4), int(b[2]>>2)&3
	if h.version == 1 || layer != 1 || bitrate == 0 || bitrate == 15 || rate == 3 || b[3]&3 == 2 {
		return h, false
	}
	h.lsf = h.version != 3
	h.mono = b[3]>>6 == 3
	h.crc = b[1]&1 == 0
	h.rate = [...]int{44100, 48000, 32000}[rate]
	kbits, slots := [...]int{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}[bitrate], 144
	if h.lsf {
		kbits, slots = [...]int{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}[bitrate], 72
		h.rate /= 2
	}
	if h.version == 0 {
		h.rate /= 2
	}
	h.size = slots*kbits*1000/h.rate + int(b[2]>>1)&1
	return h, h.size > h.bodyStart()+h.sideBytes()
}

// like tells whether two frames can belong to one stream.
func (h frameHeader) like(o frameHeader) bool { return h.rate == o.rate && h.version == o.version }

// samples returns how many samples per channel the frame holds.
func (h frameHeader) samples() int {
	if h.lsf {
		return 576
	}
	return 1152
}

// bodyStart returns where the side information starts.
func (h frameHeader) bodyStart() int {
	if h.crc {
		return headerBytes + 2
	}
	return headerBytes
}

// sideBytes returns the length of the side information.
func (h frameHeader) sideBytes() int {
	switch {
	case h.lsf && h.mono:
		return 9
	case h.lsf || h.mono:
		return 17
	}
	return 32
}

// mainBytes returns the length of the main data, which later frames may refer back to.
func (h frameHeader) mainBytes() int { return h.size - h.bodyStart() - h.sideBytes() }

// back returns how many bytes of earlier main data the frame needs (main_data_begin: 9 bits, 8 in MPEG-2).
func (h frameHeader) back(frame []byte) int {
	side := frame[h.bodyStart():]
	if h.lsf {
		return int(side[0])
	}
	return int(binary.BigEndian.Uint16(side) >> 7)
}

// silence empties a frame: its side information says that there are no coefficients, but its main data
// stays for later frames, reaching back as far as the decoder has data.
func (h frameHeader) silence(frame []byte, have int) {
	side := frame[h.bodyStart() : h.bodyStart()+h.sideBytes()]
	clear(side)
	if h.lsf {
		side[0] = byte(min(have, 0xFF))
		return
	}
	binary.BigEndian.PutUint16(side, uint16(min(have, 0x1FF)<<7))
}

// isInfo tells whether the frame holds no sound but an index of the file: "Xing" or "Info" after the side
// information, or "VBRI" at its fixed place.
func (h frameHeader) isInfo(frame []byte) bool {
	at := func(pos int, id string) bool { return pos+4 <= len(frame) && string(frame[pos:pos+4]) == id }
	pos := headerBytes + h.sideBytes()
	return at(pos, "Xing") || at(pos, "Info") || at(headerBytes+32, "VBRI")
}
