#!/usr/bin/env bash
# Fetches the photos that the tests look at: public ones that the Python package scikit-image carries.
#
#   deploy/test-photos.sh DIR
#
# A complete DIR is left alone; an incomplete one is never seen. Needs Python with pip.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
dir=${1%/}
sums="88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5 astronaut.png
b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a camera.png
596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb chelsea.png
f029226b28b642e80113d86622e9b215ee067a0966feaf5e60604a1e05733955 clock_motion.png
cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7 coffee.png
c7fb60789fe394c485f842291ea3b21e50d140f39d6dcb5fb9917cc178225455 horse.png
db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179 motorcycle_left.png
341a6f0a61557662b02734a9b6e56ec33a915b2c41886b97509dedf2a43b47a3 page.png
c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c rocket.jpg
bd84aa3a6e3c9887850d45d606c96b2e59433fbef50338570b63c319e668e6d1 text.png"
check() { (cd "$1" && sha256sum --quiet -c - <<<"${sums// /  }") 2>/dev/null; }
[ -d "$dir" ] && check "$dir" && { echo "$dir is complete"; exit 0; }

mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9 # two at once: the second finds it made
[ -d "$dir" ] && check "$dir" && { echo "$dir is complete"; exit 0; }
part=$(mktemp -d "$dir.part.XXXXXX")
trap 'rm -rf "$part"' EXIT
echo "fetching photos"
python3 -m pip download -q --no-deps --only-binary :all: -d "$part" scikit-image
mkdir "$part/out"
python3 - "$part"/*.whl "$part/out" $(cut -d' ' -f2 <<<"$sums") <<'PY'
import pathlib, sys, zipfile
wheel, out, *names = sys.argv[1:]
with zipfile.ZipFile(wheel) as z:
    for name in names:
        pathlib.Path(out, name).write_bytes(z.read("skimage/data/" + name))
PY
check "$part/out" || { echo "$0: the photos are not the known ones" >&2; exit 1; }
rm -rf "$dir"
mv "$part/out" "$dir"
echo "$dir: $(ls "$dir" | wc -l) photos"
