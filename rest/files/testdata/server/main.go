// Command server serves the files of one folder through the whole of package rest, and prints its address. The tests kill it
// and measure it: it is a process of its own, and no race detector slows it down.
package main

import (
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
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
	return rest.NewServer(rest.New(rest.Config{}, table, silent{}, quiet), quiet).Serve(ln)
}
