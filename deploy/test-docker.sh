#!/usr/bin/env bash
# Runs a Docker daemon of the tests' own, beside any other: its data, its socket and its pid are in one folder, it touches
# neither networks nor firewalls, and it needs no registry. Needs root, and Debian's docker.io, iptables and busybox-static.
#
#   deploy/test-docker.sh serve DIR   runs the daemon on DIR/sock until it gets SIGTERM
#   deploy/test-docker.sh image DIR   waits for it, and makes the image brenda-busybox:1 and the image plain-busybox:1
#   deploy/test-docker.sh clean DIR   removes its containers, ends it and what a killed one left, and removes DIR
set -euo pipefail

[ $# -eq 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
verb=$1 dir=${2%/}
export DOCKER_HOST="unix://$dir/sock"
for tool in dockerd docker busybox iptables; do
  command -v "$tool" >/dev/null || { echo "$0: needs $tool: apt-get install docker.io iptables busybox-static" >&2; exit 1; }
done

# answers SECONDS: tells whether the daemon answers within that time
answers() {
  local until=$((SECONDS + $1))
  until docker version >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || return 1
    sleep 0.2
  done
}

# gone PIDFILE SECONDS: tells whether the process of a pid file ends within that time
gone() {
  local pid until=$((SECONDS + $2))
  pid=$(cat "$1" 2>/dev/null) || return 0
  while kill -0 "$pid" 2>/dev/null && ! grep -qs '^State:.Z' "/proc/$pid/status"; do # a zombie is gone
    [ "$SECONDS" -lt "$until" ] || return 1
    sleep 0.1
  done
}

# finish PIDFILE: ends the process of a pid file
finish() {
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 0
  grep -qa -e dockerd -e containerd "/proc/$pid/cmdline" 2>/dev/null || return 0 # the number is somebody else's by now
  kill "$pid" 2>/dev/null || return 0
  gone "$1" 20 || kill -9 "$pid" 2>/dev/null || true
  gone "$1" 5 || true
}

# orphans: ends the containers that outlived their daemon, by the process that each one has as a keeper
orphans() {
  local proc pid
  for proc in /proc/[0-9]*; do
    pid=${proc#/proc/}
    { tr '\0' ' ' <"$proc/cmdline"; } 2>/dev/null | grep -q "^[^ ]*containerd-shim.* -address $dir/exec/" || continue
    # shellcheck disable=SC2046 # a list of numbers
    kill -9 $(cat "$proc/task/$pid/children" 2>/dev/null) "$pid" 2>/dev/null || true
  done
}

case $verb in
serve)
  mkdir -p "$dir/data" "$dir/exec"
  gone "$dir/exec/containerd/containerd.pid" 10 || true # of one that was killed: it dies with it, a little later
  rm -f "$dir/pid" "$dir/exec/containerd/containerd.pid"
  exec dockerd --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/pid" --host "$DOCKER_HOST" \
    --iptables=false --ip-masq=false --bridge=none --exec-opt native.cgroupdriver=cgroupfs --shutdown-timeout 5
  ;;
image)
  answers 60 || { echo "$0: the daemon does not answer" >&2; exit 1; }
  root=$(mktemp -d "$dir/root.XXXXXX")
  trap 'rm -rf "$root"' EXIT
  mkdir -p "$root/bin" "$root/tmp"
  cp "$(command -v busybox)" "$root/bin/busybox"
  for name in sh sleep echo cat true yes printf; do ln -s busybox "$root/bin/$name"; done
  tar -C "$root" -c . | docker import - brenda-busybox:1 >/dev/null
  tar -C "$root" -c . | docker import - plain-busybox:1 >/dev/null
  ;;
clean)
  if answers 1; then
    docker ps -aq | xargs -r docker rm -f >/dev/null || true
  fi
  finish "$dir/pid"
  finish "$dir/exec/containerd/containerd.pid"
  orphans
  awk -v d="$dir/" 'index($2, d) == 1 { print $2 }' /proc/mounts | sort -r | while read -r m; do umount "$m" || true; done
  rm -rf "$dir"
  ;;
*)
  echo "$0: $verb is not serve, image or clean" >&2
  exit 2
  ;;
esac
