# Helpers for the scripts beside it and for tests/clients/run.sh; sourced, never run.
# What a script starts through these it stops again, by pid: put `trap stop_all EXIT` near its top.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

declare -A started=()     # pid -> what it is
declare -a start_order=() # pids, oldest first
scratch=''                # a temporary folder, gone with the script

note() {
  printf '%s\n' "$*" >&2
}

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

make_scratch() {
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/pannier.XXXXXX")
}

# port_in_use PORT: true when something listens there on loopback.
port_in_use() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# pick_port VARIABLE: a port that is free now, below the range that the kernel gives to clients.
declare -A picked_ports=()
pick_port() {
  local candidate
  for _ in {1..200}; do
    candidate=$((20000 + RANDOM % 12000))
    if [[ -z ${picked_ports[$candidate]:-} ]] && ! port_in_use "$candidate"; then
      picked_ports[$candidate]=1
      printf -v "$1" '%s' "$candidate"
      return
    fi
  done
  die "no free port between 20000 and 32000"
}

# wait_until SECONDS COMMAND...: true as soon as the command is, false when the time is over.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    if ((SECONDS >= deadline)); then
      return 1
    fi
    sleep 0.05
  done
}

is_alive() {
  kill -0 "$1" 2>/dev/null
}

# start WHAT LOG COMMAND...: in the background and in a session of its own, so that Ctrl-C reaches
# only the script, which then stops things in the right order. The pid is in $last_pid.
start() {
  local what=$1 log=$2
  shift 2
  setsid "$@" </dev/null >"$log" 2>&1 &
  last_pid=$!
  started[$last_pid]=$what
  start_order+=("$last_pid")
}

# stop PID: TERM, and KILL after ten seconds.
stop() {
  local pid=$1
  if [[ -z ${started[$pid]:-} ]]; then
    return
  fi
  if is_alive "$pid"; then
    kill -TERM "$pid" 2>/dev/null || true
    if ! wait_until 10 has_ended "$pid"; then
      note "${started[$pid]} (pid $pid) does not stop: killed"
      kill -KILL "$pid" 2>/dev/null || true
    fi
  fi
  wait "$pid" 2>/dev/null || true
  unset "started[$pid]"
}

# A child that ended stays a zombie, and alive to `kill -0`, until it is waited for.
has_ended() {
  local state
  state=$(sed -n 's/^State:\s*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null || true)
  [[ -z $state || $state == Z ]]
}

# The newest first: Pannier before the servers behind it.
stop_all() {
  local index
  trap '' INT TERM
  for ((index = ${#start_order[@]} - 1; index >= 0; index--)); do
    stop "${start_order[index]}"
  done
  start_order=()
  if [[ -n $scratch ]]; then
    rm -rf "$scratch"
    scratch=''
  fi
}

redis_field() { # PORT SECTION FIELD
  redis-cli -h 127.0.0.1 -p "$1" info "$2" 2>/dev/null | tr -d '\r' | sed -n "s/^$3://p"
}

redis_is_ours() { # PORT PID
  [[ $(redis_field "$1" server process_id) == "$2" ]]
}

# start_redis VARIABLE NAME ARGUMENTS...: a redis-server on a free port of loopback, nothing saved.
# REQUIRES: make_scratch. The port is in VARIABLE, the pid in $last_pid.
start_redis() {
  local variable=$1 name=$2 port
  shift 2
  for _ in {1..5}; do
    pick_port port
    mkdir -p "$scratch/$name"
    start "redis-server $name" "$scratch/$name/log" \
      redis-server --bind 127.0.0.1 --port "$port" --dir "$scratch/$name" --save '' \
      --appendonly no --repl-diskless-sync-delay 0 --maxclients 10000 "$@"
    if wait_until 10 redis_is_ours_or_dead "$port" "$last_pid" && ! has_ended "$last_pid"; then
      printf -v "$variable" '%s' "$port"
      return
    fi
    stop "$last_pid"
  done
  cat "$scratch/$name/log" >&2
  die "redis-server ($name) does not start"
}

redis_is_ours_or_dead() {
  has_ended "$2" || redis_is_ours "$1" "$2"
}

# Replication is up when the primary counts N replicas online and has their acknowledgements.
replicas_online() { # PRIMARY_PORT N
  local online
  online=$(redis-cli -h 127.0.0.1 -p "$1" info replication 2>/dev/null |
    grep -c '^slave[0-9]*:.*state=online' || true)
  ((online == $2)) && [[ $(redis-cli -h 127.0.0.1 -p "$1" wait "$2" 100 2>/dev/null) == "$2" ]]
}

# http_status PORT PATH: the status code of a GET on loopback, empty when nothing answers.
http_status() {
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 0
    printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$2" >&3
    read -r -t 2 _ status _ <&3 || true
    printf '%s' "${status:-}"
  ) 2>/dev/null
}

pannier_is_ready() { # PORT PROBE_PORT
  [[ $(redis-cli -h 127.0.0.1 -p "$1" ping 2>/dev/null) == PONG ]] &&
    [[ $(http_status "$2" /readyz) == 200 ]]
}

pannier_is_ready_or_dead() { # PID PORT PROBE_PORT
  has_ended "$1" || pannier_is_ready "$2" "$3"
}

# start_pannier CONFIG PORT PROBE_PORT [LOG]: starts it and waits until it is ready; its pid is in
# $last_pid, its output in LOG, else in $scratch/pannier.log.
start_pannier() {
  local log=${4:-$scratch/pannier.log}
  start pannier "$log" "$root/build/release/pannier" serve -c "$1"
  if ! wait_until 15 pannier_is_ready_or_dead "$last_pid" "$2" "$3" || has_ended "$last_pid"; then
    cat "$log" >&2
    die "Pannier does not get ready on port $2"
  fi
}

build_release() { # ARGUMENTS of `cmake --build`...
  (cd "$root" && cmake --preset release >/dev/null && cmake --build --preset release "$@")
}
