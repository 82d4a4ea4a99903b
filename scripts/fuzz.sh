#!/usr/bin/env bash
# Builds the fuzz targets and runs each for some seconds (30):
#   scripts/fuzz.sh [SECONDS] [TARGET...]
# A target tests/fuzz/fuzz_NAME.cpp starts from tests/fuzz/seeds/NAME/ and tests/fuzz/NAME.dict where
# they exist. What it learns stays in build/fuzz/corpus, what breaks it in build/fuzz/crashes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=30
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
  seconds=$1
  shift
fi
targets=("$@")
if ((${#targets[@]} == 0)); then
  for source in tests/fuzz/fuzz_*.cpp; do
    [[ -e $source ]] || continue
    source=${source##*/}
    targets+=("${source%.cpp}")
  done
fi
if ((${#targets[@]} == 0)); then
  echo "error: there are no tests/fuzz/fuzz_*.cpp" >&2
  exit 1
fi

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target "${targets[@]}"

fuzz_one() {
  local target=$1 seconds=$2 name=${1#fuzz_} log=build/fuzz/$1.log program
  local corpora=("build/fuzz/corpus/$name") options=()
  program=$(find build/fuzz -type f -name "$target" -perm -u+x | head -n 1)
  mkdir -p "${corpora[0]}" build/fuzz/crashes
  if [[ -d tests/fuzz/seeds/$name ]]; then
    corpora+=("tests/fuzz/seeds/$name")
  fi
  if [[ -f tests/fuzz/$name.dict ]]; then
    options+=("-dict=tests/fuzz/$name.dict")
  fi
  # A crash, a leak, ten seconds in one input and 2 GiB of memory are faults alike.
  if "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/crashes/$name-" "${options[@]}" "${corpora[@]}" \
    >"$log" 2>&1 </dev/null; then
    echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs, no fault"
  else
    tail -n 60 "$log"
    echo "$target: FAULT; its input is in build/fuzz/crashes, its log is $log"
    return 1
  fi
}
export -f fuzz_one
# shellcheck disable=SC2016  # the inner shell expands it
printf '%s\0' "${targets[@]}" |
  xargs -0 -n 1 -P "$(nproc)" bash -c 'fuzz_one "$1" "$0"' "$seconds" || exit 1
