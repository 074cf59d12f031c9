package media

import (
	"bytes"
	"mime"
	"net/http"
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

// Kind is what is behind a URL.
type Kind string

// The kinds.
const (
	Page     Kind = "page"
	Audio    Kind = "audio"
	Video    Kind = "video"
	Image    Kind = "image"
	Playlist Kind = "playlist"
	File     Kind = "file"
)

// classify tells the kind of what begins with head. What the bytes say is stronger than what the server says, unless
// they say no more than "text" or "data".
func classify(declared, path string, head []byte) (string, Kind) {
	said, _, err := mime.ParseMediaType(declared)
	if err != nil {
		said = ""
	}
	if said == "" || said == "application/octet-stream" {
		if byName, _, err := mime.ParseMediaType(mime.TypeByExtension(extension(path))); err == nil {
			said = byName
		}
	}
	seen := sniff(head)
	kind := kindOf(seen)
	vague := seen == "" || kind == File && (strings.HasPrefix(seen, "text/") || seen == "application/octet-stream" ||
		strings.Contains(seen, "xml"))
	if !vague {
		return clean(declared, seen), kind
	}
	kind = kindOf(said)
	if kind == Image && said != "image/svg+xml" || (kind == Audio || kind == Video) && printable(head) {
		kind = File // it says so, and is not
	}
	return clean(declared, seen), kind
}

func clean(declared, seen string) string {
	if declared != "" {
		return strings.ToValidUTF8(declared, "\uFFFD")
	}
	return seen
}

func extension(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 && !strings.Contains(path[i:], "/") {
		return strings.ToLower(path[i:])
	}
	return ""
}

// printable tells whether the bytes look like a text.
func printable(head []byte) bool {
	return len(head) > 0 && strings.HasPrefix(http.DetectContentType(head), "text/")
}

// sniff returns the media type that the bytes themselves show, without parameters.
func sniff(head []byte) string {
	trimmed := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case len(head) == 0:
		return ""
	case bytes.HasPrefix(trimmed, []byte("#EXTM3U")):
		if bytes.Contains(trimmed, []byte("#EXT-X-")) {
			return typeHLS
		}
		return typeM3U
	case bytes.HasPrefix(bytes.ToLower(trimmed[:min(len(trimmed), 10)]), []byte("[playlist]")):
		return typePLS
	case bytes.Contains(head[:min(len(head), 1024)], []byte("<MPD")) && bytes.HasPrefix(trimmed, []byte("<")):
		return typeDASH
	case bytes.Contains(head[:min(len(head), 1024)], []byte("<playlist")) && bytes.Contains(head, []byte("xspf.org/ns/")):
		return typeXSPF
	}
	seen, _, _ := mime.ParseMediaType(mimetype.Detect(head).String()) // its names are well-formed
	if seen == "application/octet-stream" || seen == "text/plain" {
		if other, _, err := mime.ParseMediaType(http.DetectContentType(head)); err == nil && other != "text/plain" {
			return other
		}
	}
	return seen
}

// Media types of lists.
const (
	typeHLS  = "application/vnd.apple.mpegurl"
	typeDASH = "application/dash+xml"
	typeM3U  = "audio/x-mpegurl"
	typePLS  = "audio/x-scpls"
	typeXSPF = "application/xspf+xml"
)

func kindOf(mediaType string) Kind {
	switch mediaType {
	case "text/html", "application/xhtml+xml":
		return Page
	case typeHLS, "application/x-mpegurl", typeDASH:
		return Video
	case typeM3U, "audio/mpegurl", typePLS, "application/pls+xml", typeXSPF:
		return Playlist
	case "application/ogg":
		return Audio
	case "image/svg+xml":
		return Image
	}
	switch family, _, _ := strings.Cut(mediaType, "/"); family {
	case "audio":
		return Audio
	case "video":
		return Video
	case "image":
		return Image
	}
	return File
}
