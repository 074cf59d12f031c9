#!/usr/bin/env bash
# Installs what the tests of files use of other people's clients: tus-js-client, the usual client of resumable uploads.
#
#   deploy/test-files.sh DIR
#
# DIR gets node_modules. A complete DIR is left alone.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
dir=${1%/}
tus=4.3.1

[ "$(cat "$dir/VERSION" 2>/dev/null)" = "$tus" ] && exit 0
command -v npm >/dev/null || { echo "$0: needs npm (apt-get install npm)" >&2; exit 1; }
mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9 # two at once: the second finds it made
[ "$(cat "$dir/VERSION" 2>/dev/null)" = "$tus" ] && exit 0
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$dir" "tus-js-client@$tus"
echo "$tus" >"$dir/VERSION"
