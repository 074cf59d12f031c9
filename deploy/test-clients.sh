#!/usr/bin/env bash
# Installs the stock clients that the tests of the WebSocket use, in the versions that realtime/clients pins.
#
#   deploy/test-clients.sh DIR
#
# DIR gets python/ and beta/ (virtual environments) and node_modules/. A complete DIR is left alone.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
dir=${1%/}
pins=$(cd "$(dirname "$0")/../realtime/clients" && pwd)
version=$(cat "$pins"/requirements*.txt "$pins/package.json" | sha256sum | cut -c1-16)

[ "$(cat "$dir/VERSION" 2>/dev/null)" = "$version" ] && { echo "$dir is complete"; exit 0; }
for tool in python3 npm flock; do
  command -v "$tool" >/dev/null || { echo "$0: needs $tool" >&2; exit 1; }
done
mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9 # two at once: the second finds it made
[ "$(cat "$dir/VERSION" 2>/dev/null)" = "$version" ] && { echo "$dir is complete"; exit 0; }

echo "installing stock clients"
rm -rf "$dir" # an environment holds its own path: it is made in its place, and counts when VERSION is there
mkdir -p "$dir"
venv() {
  python3 -m venv "$dir/$1"
  "$dir/$1/bin/pip" install -q --disable-pip-version-check -r "$pins/$2"
}
venv python requirements.txt
venv beta requirements-beta.txt
cp "$pins/package.json" "$dir/"
npm install --prefix "$dir" --no-audit --no-fund --no-package-lock --loglevel error
echo "$version" >"$dir/VERSION"
