#!/usr/bin/env bash
# Installs the programs that Brenda needs and that are missing, with apt-get.
#   setup.sh run    what building and serving need
#   setup.sh test   what the tests need besides
set -euo pipefail

missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }

command -v go >/dev/null 2>&1 || { echo "Go 1.26 or newer is needed: see https://go.dev/doc/install" >&2; exit 1; }
need gcc gcc
need python3 python3
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
need npm npm
need espeak-ng espeak-ng
need ffmpeg ffmpeg
tesseract --list-langs 2>/dev/null | grep -qx fra || missing+=(tesseract-ocr tesseract-ocr-fra)
[ -f /usr/share/wordnet/data.noun ] || missing+=(wordnet-base)
for pair in fr-es:fr-es spa-eng:eng-spa fra-cat:fra-cat eng-cat:eng-cat ita-spa:spa-ita es-pt:es-pt fr-eo:eo-fr; do
  [ -f "/usr/share/apertium/modes/${pair%:*}.mode" ] || missing+=("apertium-${pair#*:}")
done
if [ "${1:-run}" = test ]; then
  need node nodejs
  need sox sox
  need cmake cmake
  need make make
  need g++ g++
  need curl curl
  need chromium chromium
  python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
  need wget wget
  need aria2c aria2
  need nginx nginx
  need dockerd docker.io
  need iptables iptables
  need busybox busybox-static
fi
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "These packages are missing. Install them, then try again:" >&2
  echo "  sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
if [ ! -e /usr/sbin/policy-rc.d ]; then # what the tests need of nginx and docker.io they run themselves: no service starts
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
for pair in nginx:nginx docker.io:docker.socket docker.io:docker; do # nor with the machine's next start
  [[ " ${missing[*]} " != *" ${pair%:*} "* ]] || systemctl disable -q "${pair#*:}" 2>/dev/null || true
done
