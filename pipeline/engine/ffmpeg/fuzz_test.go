package ffmpeg

import (
	"bytes"
	"testing"

	"github.com/mogiioin/hls-m3u8/m3u8"
)

// FuzzPlaylist: no playlist brings the server down.
func FuzzPlaylist(f *testing.F) {
	f.Add([]byte("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x00\n#EXT-X-MAP:URI=\"i\"\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n"))
	f.Add([]byte("#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",URI=\"a.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nv.m3u8\n"))
	f.Add([]byte("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:18446744073709551615\n#EXTINF:-1,\n#EXT-X-BYTERANGE:9@9\nx\n"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		list, err := decode(bytes.NewReader(b))
		if err != nil {
			return
		}
		switch l := list.(type) {
		case *m3u8.MasterPlaylist:
			choose(l)
		case *m3u8.MediaPlaylist:
			p := &playlist{media: l}
			p.first()
			p.duration()
		}
	})
}
