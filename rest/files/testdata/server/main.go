// Command server serves the files of one folder through the whole of package rest, and prints its address. The tests kill it
// and measure it: it is a process of its own, and no race detector slows it down. GET /plain/DIR tells how many nanoseconds
// it takes to read a folder and to look at each of its files, without Brenda.
package main

import (
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"brenda/rest"
	"brenda/rest/files"
	"brenda/rest/files/vault"
)

type silent struct{}

func (silent) Request(string, string, int, time.Duration) {}

func main() {
	root := flag.String("root", "", "the folder")
	most := flag.Int64("max", 0, "bytes of an upload; 0: the usual limit")
	flag.Parse()
	if err := serve(*root, *most); err != nil {
		log.Fatal(err)
	}
}

func serve(root string, most int64) error {
	quiet := slog.New(slog.DiscardHandler)
	opt := vault.Options{Archive: vault.Limits{Bytes: 8 << 30, Ratio: 1 << 40, Entries: 100_000}}
	v, err := vault.Open(root, opt, quiet)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	table := rest.Routes(rest.Features{Files: files.New(v, files.Config{MaxUpload: most})})
	mux := http.NewServeMux()
	mux.Handle("/", rest.New(rest.Config{}, table, silent{}, quiet))
	mux.HandleFunc("/plain/", func(w http.ResponseWriter, r *http.Request) {
		took, err := plain(filepath.Join(root, filepath.Base(r.URL.Path)))
		fmt.Fprintln(w, took.Nanoseconds(), err)
	})
	return rest.NewServer(mux, quiet).Serve(ln)
}

func plain(dir string) (time.Duration, error) {
	begin := time.Now()
	list, err := os.ReadDir(dir)
	for _, e := range list {
		if _, errStat := os.Stat(filepath.Join(dir, e.Name())); errStat != nil {
			err = errStat
		}
	}
	return time.Since(begin), err
}
