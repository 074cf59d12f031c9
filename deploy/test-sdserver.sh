#!/usr/bin/env bash
# Builds a real sd-server (stable-diffusion.cpp) with random weights, for the tests that ask one for pictures.
#
#   deploy/test-sdserver.sh DIR
#
# DIR gets sd-server, model.safetensors and taesd.safetensors (0.9 GB; pictures made with them are noise). A complete DIR
# is left alone; an incomplete one is never seen. The source is in an sdist on PyPI, whose checksum is below. Needs
# python3 with pip, cmake, make and g++; the first time takes about 5 minutes of processor time.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
dir=${1%/}
package=stable_diffusion_cpp_python
release=0.4.7
sha256=998d1957260dd5ae4e18a8acc0c14b0a8757aaa9f96515197b6d5bbf46df9282
version="$release-1" # raise the second part when the way it is made changes

complete() { [ "$(cat "$dir/VERSION" 2>/dev/null)" = "$version" ]; }
complete && { echo "$dir is complete"; exit 0; }
for tool in python3 cmake make g++ flock tar sha256sum; do
  command -v "$tool" >/dev/null || { echo "$0: needs $tool (deploy/setup.sh test)" >&2; exit 1; }
done

mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9 # two at once: the second finds it made
complete && { echo "$dir is complete"; exit 0; }

here=$(cd "$(dirname "$0")" && pwd)
part=$(mktemp -d "$dir.part.XXXXXX")
trap 'rm -rf "$part"' EXIT
mkdir "$part/out"

echo "fetching $package $release"
(cd "$part" && python3 -m pip download -q --disable-pip-version-check --no-deps --no-binary "${package//_/-}" \
  -d . "${package//_/-}==$release")
archive="$part/$package-$release.tar.gz"
echo "$sha256  $archive" | sha256sum --quiet -c -
tar -xzf "$archive" -C "$part"

# Only the arithmetic is worth optimizing: the rest compiles in half the time without. Processor features are those of
# every x86-64 since 2013, so that a cached build moves between machines.
cat >"$part/fast.cmake" <<'END'
set(CMAKE_C_FLAGS_RELEASE "-O3 -DNDEBUG")
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")
END
echo "building sd-server"
begin=$SECONDS
{
  cmake -S "$part/$package-$release/vendor/stable-diffusion.cpp" -B "$part/build" -G "Unix Makefiles" \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE=-O0 -DCMAKE_CXX_FLAGS_RELEASE=-O0 \
    -DCMAKE_PROJECT_ggml_INCLUDE="$part/fast.cmake" -DSD_BUILD_EXAMPLES=ON -DSD_SERVER_BUILD_FRONTEND=OFF \
    -DSD_WEBP=OFF -DSD_WEBM=OFF -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DGGML_LLAMAFILE=ON -DGGML_CPU_REPACK=OFF &&
    nice -n 10 cmake --build "$part/build" --target sd-server --parallel "$(nproc)"
} >"$part/log" 2>&1 || { tail -n 40 "$part/log" >&2; exit 1; }
strip -o "$part/out/sd-server" "$part/build/bin/sd-server"
echo "built in $((SECONDS - begin)) s"

python3 "$here/test-sdweights.py" "$part/out"
echo "$version" >"$part/out/VERSION"
rm -rf "$dir"
mv "$part/out" "$dir"
echo "$dir: $(du -sh "$dir" | cut -f1)"
