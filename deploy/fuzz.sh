#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, for the time given (default 30s).
set -euo pipefail
cd "$(dirname "$0")/.."
for dir in $(grep -rlE --include='*_test.go' '^func Fuzz[A-Z]' . | xargs -n1 dirname | sort -u); do
  for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | sed 's/^func //' | sort -u); do
    echo "fuzz $dir $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-30s}" -fuzzminimizetime 20x "$dir"
  done
done
