#!/usr/bin/env bash
# Makes the corpus of human speech that the tests listen to, from Debian's recorded telephone prompts.
#
#   deploy/test-speech.sh DIR
#
# DIR gets 16 kHz mono WAV files in fr/ (one speaker, with texts), en/ (a few, with texts) and armelle/ (another French
# speaker, 8 kHz at its source, without texts), and index.tsv: file, seconds, text, one line each. A complete DIR is left
# alone; an incomplete one is never seen. Needs Debian's apt-get and dpkg-deb, and ffmpeg.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
dir=${1%/}
version=1 # raise it when what is made changes

[ "$(cat "$dir/VERSION" 2>/dev/null)" = "$version" ] && { echo "$dir is complete"; exit 0; }
for tool in apt-get dpkg-deb ffmpeg flock zcat grep awk; do
  command -v "$tool" >/dev/null || { echo "$0: needs $tool (apt-get install apt dpkg ffmpeg util-linux gzip)" >&2; exit 1; }
done

mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9 # two at once: the second finds it made
[ "$(cat "$dir/VERSION" 2>/dev/null)" = "$version" ] && { echo "$dir is complete"; exit 0; }

part=$(mktemp -d "$dir.part.XXXXXX")
trap 'rm -rf "$part"' EXIT
mkdir "$part/deb" "$part/root" "$part/out"

# These packages conflict with each other when installed; unpacked side by side they do not.
packages="asterisk-core-sounds-fr asterisk-core-sounds-fr-g722 asterisk-core-sounds-en asterisk-core-sounds-en-g722
asterisk-prompt-fr-armelle"
echo "fetching recorded prompts"
# shellcheck disable=SC2086 # a list of words
download() { (cd "$part/deb" && apt-get -qq -o APT::Sandbox::User=root download $packages); }
download || { apt-get -qq update && download; }
for deb in "$part"/deb/*.deb; do dpkg-deb -x "$deb" "$part/root/$(basename "$deb" | cut -d_ -f1)"; done

# wav INPUT-OPTIONS… IN OUT
wav() {
  mkdir -p "$(dirname "${*: -1}")"
  ffmpeg -nostdin -v error -y "${@:1:$#-2}" -i "${@: -2:1}" -map_metadata -1 -fflags +bitexact -flags +bitexact \
    -ar 16000 -ac 1 -c:a pcm_s16le "${@: -1}"
}
# add FILE TEXT: a line of the index; a file has 44 bytes of header and 32000 bytes a second
add() {
  local bytes
  bytes=$(stat -c %s "$part/out/$1")
  printf '%s\t%s\t%s\n' "$1" "$(awk "BEGIN{printf \"%.2f\", ($bytes-44)/32000}")" "$2" >>"$part/out/index.tsv"
}
# prompts LANG SOUNDS LIMIT: those of over half a second whose text is speech, not the description of a noise
prompts() {
  local name text count=0
  while IFS=$'\t' read -r name text; do
    local in="$part/root/asterisk-core-sounds-$1-g722/usr/share/asterisk/sounds/$2/$name.g722"
    [ -f "$in" ] && [ "$(stat -c %s "$in")" -gt 4000 ] || continue
    wav -f g722 "$in" "$part/out/$1/$name.wav"
    add "$1/$name.wav" "$text"
    count=$((count + 1))
    [ "$count" -lt "$3" ] || break
  done < <(zcat "$part/root/asterisk-core-sounds-$1/usr/share/doc/asterisk-core-sounds-$1/core-sounds-$1.txt.gz" |
    LC_ALL=C.UTF-8 grep -ax '.*' | # some lines are not UTF-8
    awk -F': *' '!/^;/ && NF > 1 && !/[][()]/ { n = $1; sub(/^[^:]*: */, ""); gsub(/[\t\r"“”]/, ""); print n "\t" $0 }')
}

echo "converting them"
prompts fr fr_CA_f_June 1000
prompts en en_US_f_Allison 20
count=0
for in in "$part"/root/asterisk-prompt-fr-armelle/usr/share/asterisk/sounds/fr/*.gsm; do
  [ "$(stat -c %s "$in")" -gt 3300 ] || continue # 2 s at 1650 bytes a second
  wav "$in" "$part/out/armelle/$(basename "$in" .gsm).wav"
  add "armelle/$(basename "$in" .gsm).wav" ""
  count=$((count + 1))
  [ "$count" -lt 20 ] || break
done

echo "$version" >"$part/out/VERSION"
rm -rf "$dir"
mv "$part/out" "$dir"
echo "$dir: $(wc -l <"$dir/index.tsv") recordings"
