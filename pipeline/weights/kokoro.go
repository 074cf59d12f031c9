package weights

import "golang.org/x/sys/cpu"

// KokoroGraph names the file of the entry "kokoro" that this processor should run. The rewritten graph is
// about 1.5 times faster with VNNI, where its results are those of the original bit for bit; without VNNI,
// ONNX Runtime's unsigned-by-signed kernels saturate at 16 bits and the speech would be wrong, so the
// original is used.
func KokoroGraph() string {
	if cpu.X86.HasAVX512VNNI || cpu.X86.HasAVXVNNI {
		return "kokoro-vnni.onnx"
	}
	return "kokoro.onnx"
}
