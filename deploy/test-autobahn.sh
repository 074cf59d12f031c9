#!/usr/bin/env bash
# Installs the Autobahn|Testsuite, which examines WebSocket servers and needs a Python 2.7, in an environment of its own.
#
#   deploy/test-autobahn.sh DIR
#
# DIR gets bin/wstest. A complete DIR is left alone. The Python is python2.7 of PATH or one that pyenv has.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
dir=${1%/}
version=25.10.1
[ "$(cat "$dir/VERSION" 2>/dev/null)" = "$version" ] && { echo "$dir is complete"; exit 0; }

python=$(command -v python2.7 || true)
if [ -z "$python" ] || ! "$python" -c '' 2>/dev/null; then # pyenv's own python2.7 answers only when it is chosen
  root=$(pyenv root 2>/dev/null || echo "${PYENV_ROOT:-$HOME/.pyenv}")
  for found in "$root"/versions/2.7*/bin/python2.7; do [ -x "$found" ] && python=$found; done
fi
[ -n "$python" ] && "$python" -c '' || { echo "$0: needs a Python 2.7: pyenv install 2.7.18" >&2; exit 1; }

mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9 # two at once: the second finds it made
[ "$(cat "$dir/VERSION" 2>/dev/null)" = "$version" ] && { echo "$dir is complete"; exit 0; }
echo "installing the Autobahn|Testsuite"
rm -rf "$dir" "$dir.tools"
"$python" -m pip install -q --disable-pip-version-check --target "$dir.tools" virtualenv==20.15.1 2>/dev/null
PYTHONPATH=$dir.tools "$python" -m virtualenv -q "$dir"
rm -rf "$dir.tools"
"$dir/bin/pip" install -q --disable-pip-version-check "autobahntestsuite==$version" 2>/dev/null
echo "$version" >"$dir/VERSION"
