#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other: those that read what strangers send most for the first time
# given (default 30s), the others for the second (default 10s).
set -euo pipefail
cd "$(dirname "$0")/.."
long=" FuzzWAV FuzzMP3 FuzzBody FuzzDecode FuzzSplitter FuzzVerbalize FuzzInspect FuzzUnpack "
for dir in $(grep -rlE --include='*_test.go' '^func Fuzz[A-Z]' . | xargs -n1 dirname | sort -u); do
  for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | sed 's/^func //' | sort -u); do
    time=${2:-10s}
    [[ $long == *" $target "* ]] && time=${1:-30s}
    echo "fuzz $dir $target for $time"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 20x "$dir"
  done
done
