package files_test

import (
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// nginx serves a folder, as something to compare with.
func nginx(t *testing.T, root string) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	dir := t.TempDir()
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/log;
events {} http { access_log off; sendfile on; tcp_nopush on; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p;
fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s; server { listen %[2]s; root %[3]s; } }`, dir, addr, root)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nginx", "-p", dir, "-c", filepath.Join(dir, "conf"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("nginx: %v (apt-get install nginx)", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(t, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return "http://" + addr + "/"
}

// rounds is how often each of two is measured, in turns: the best of each counts, since others use the machine too. Where they
// use all of it, there are more rounds.
const rounds, mostRounds = 21, 100

// curl fetches an address, and returns how many seconds that took and how many bytes came.
func curl(t *testing.T, url string) (seconds float64, size int) {
	t.Helper()
	out := tool(t, "", "curl", "-sf", "-o", os.DevNull, "-w", "%{time_total} %{size_download}", url)
	if _, err := fmt.Sscan(out, &seconds, &size); err != nil {
		t.Fatalf("curl: %q (%v)", out, err)
	}
	return seconds, size
}

// TestThroughput compares a download of 100 MB with nginx's, turn by turn in one run.
func TestThroughput(t *testing.T) {
	const size = 100 << 20
	c := startChild(t, program(t), memoryDir(t), 0)
	c.write(t, "big", string(randomBytes(size)))
	other := nginx(t, c.root) + "big"
	fetch := func(url string) float64 {
		took, n := curl(t, url)
		if n != size {
			t.Fatalf("%s: %d bytes", url, n)
		}
		return took
	}
	ours, theirs := math.Inf(1), math.Inf(1)
	for n := 0; n < rounds || n < mostRounds && theirs < 0.9*ours; n++ {
		ours, theirs = min(ours, fetch(c.url+downloadRoute+"big")), min(theirs, fetch(other))
	}
	ratio := theirs / ours
	t.Logf("100 MB, best of %d or more: %.0f MB/s, nginx %.0f MB/s: %.2f of it", rounds, 100/ours, 100/theirs, ratio)
	if ratio < 0.9 {
		t.Error("slower than nine tenths of nginx")
	}
}

// TestLongList compares a list of 10,000 entries with reading the folder and looking at each of its files.
func TestLongList(t *testing.T) {
	const entries = 10_000
	c := startChild(t, program(t), memoryDir(t), 0)
	folder("many", entries, "x").put(t, c.root)
	if a := c.do(t, http.MethodGet, listRoute+"many", ""); strings.Count(a.body, `"name"`) != entries {
		t.Fatalf("%d entries", strings.Count(a.body, `"name"`))
	}
	ours, theirs := math.Inf(1), math.Inf(1)
	for n := 0; n < rounds || n < mostRounds && ours >= 3*theirs; n++ {
		took, _ := curl(t, c.url+listRoute+"many")
		ours = min(ours, took)
		var nanoseconds float64
		var err string
		a := c.do(t, http.MethodGet, "/plain/many", "")
		if n, _ := fmt.Sscan(a.body, &nanoseconds, &err); n != 2 || err != "<nil>" {
			t.Fatal(a.body)
		}
		theirs = min(theirs, nanoseconds/1e9)
	}
	t.Logf("%d entries, best of %d or more: %.1f ms over HTTP, %.1f ms by os.ReadDir and os.Stat: %.2f times", entries, rounds, ours*1e3, theirs*1e3, ours/theirs)
	if ours >= 3*theirs {
		t.Error("three times as slow, or more")
	}
}
