package main

import (
	"context"
	"fmt"
	"os"

	"brenda/pipeline/engine/clip"
	"brenda/pipeline/engine/imagenet"
	"brenda/pipeline/engine/kokoro"
	"brenda/pipeline/engine/rapidocr"
	"brenda/pipeline/engine/smartturn"
	"brenda/pipeline/engine/whispercpp"
)

// runEngine is a child of a server: an engine that may abort its process has one of its own. It returns the exit code.
func runEngine(ctx context.Context, name string, args []string) int {
	var err error
	switch name {
	case "whisper":
		err = whispercpp.ChildMain(ctx, args)
	case "kokoro":
		err = kokoro.ChildMain(ctx, args)
	case "clip":
		err = clip.ChildMain(ctx, args)
	case "imagenet":
		err = imagenet.ChildMain(ctx, args)
	case "rapidocr":
		err = rapidocr.ChildMain(ctx, args)
	case "smartturn":
		err = smartturn.ChildMain(ctx, args)
	default:
		err = fmt.Errorf("there is no engine %q", name)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
