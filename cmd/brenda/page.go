package main

import (
	"brenda/rest/httpx"
	"brenda/web"
)

// page is the page at /.
func page() httpx.Handler { return web.Handler() }
