package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// clientTable is which client did what.
type clientTable struct {
	order    []string
	versions map[string]string
	cells    map[string]bool // "client/scenario" → it worked
}

func newClientTable() *clientTable {
	return &clientTable{versions: map[string]string{}, cells: map[string]bool{}}
}

func (c *clientTable) add(client, version, scenario string, ok bool) {
	if c.versions[client] == "" {
		c.order = append(c.order, client)
		c.versions[client] = version
	}
	c.cells[client+"/"+scenario] = ok
}

// String is the page docs/clients.md.
func (c *clientTable) String() string {
	names := map[string]string{
		"talk": "talk", "interrupt": "interrupt", "truncate": "truncate", "tool": "function call", "push_to_talk": "push to talk",
	}
	scenarios := strings.Fields(everyScenario)
	var b strings.Builder
	b.WriteString("# Stock clients of the WebSocket\n\n" +
		"Published clients, unmodified, talk to a real server over real sockets, with real engines and recorded French.\n" +
		"This table is written by the run itself, and `make test` fails when it is not so any more:\n" +
		"`go test ./cmd/brenda -run TestStockClients -update`. What each does is in [realtime/clients](../realtime/clients/README.md).\n\n")
	b.WriteString("| client | version |")
	for _, s := range scenarios {
		fmt.Fprintf(&b, " %s |", names[s])
	}
	b.WriteString("\n| --- | --- |" + strings.Repeat(" --- |", len(scenarios)) + "\n")
	for _, client := range c.order {
		fmt.Fprintf(&b, "| %s | %s |", client, c.versions[client])
		for _, s := range scenarios {
			mark := "–" // the client has no call for it
			if ok, run := c.cells[client+"/"+s]; run && ok {
				mark = "yes"
			} else if run {
				mark = "**no**"
			}
			fmt.Fprintf(&b, " %s |", mark)
		}
		b.WriteString("\n")
	}
	b.WriteString("\nA dash: the client's interface has no such action (the agents SDKs truncate by themselves when interrupted;\n" +
		"Pipecat's turns are the server's). A scenario whose answer is complete but empty, as the smallest model's is now and\n" +
		"then, is tried a second time; nothing else is.\n")
	return b.String()
}

// check compares the table with the page, or writes it there.
func (c *clientTable) check(t *testing.T, page string) {
	t.Helper()
	if len(c.order) < len(stockClients) {
		t.Logf("the page is compared when all clients run, not after a part of them:\n%s", c)
		return
	}
	if *update {
		if err := os.WriteFile(page, []byte(c.String()), 0o644); err != nil { //nolint:gosec // a page for everybody
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if c.String() != string(want) {
		t.Errorf("docs/clients.md does not say what was seen; run with -update. Seen:\n%s", c)
	}
}
