#!/usr/bin/env bash
# clang-tidy 14 over src/, with the checks of .clang-tidy:
#   scripts/tidy.sh                 all files
#   scripts/tidy.sh --changed [REV] those that differ from REV (HEAD), and untracked ones
#   scripts/tidy.sh FILE...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v clang-tidy-14 >/dev/null; then
  echo "error: clang-tidy-14 is missing; scripts/install_deps.sh --ci installs it" >&2
  exit 1
fi
case ${1:-} in
  '') mapfile -t files < <(git ls-files --cached --others --exclude-standard 'src/*.cpp') ;;
  --changed)
    mapfile -t files < <(
      git diff --name-only --diff-filter=d "${2:-HEAD}" -- 'src/*.cpp'
      git ls-files --others --exclude-standard 'src/*.cpp'
    )
    ;;
  *) files=("$@") ;;
esac

# Libraries that are compiled once are not ours.
ours=()
for file in "${files[@]}"; do
  if [[ -f $file && $file != src/third_party/* ]]; then
    ours+=("$file")
  fi
done
if ((${#ours[@]} == 0)); then
  echo "tidy: nothing to look at"
  exit 0
fi

cmake --preset release >/dev/null
# The analyzer looks at few paths of a function only, which costs a third of the time and finds the
# plain faults. GCC's warnings are GCC's business: -w keeps clang from adding its own to them. What is
# told of a library's header is not ours either: the analyzer does not understand Asio's coroutines.
check() {
  local output
  if ! output=$(clang-tidy-14 -quiet -p build/release --extra-arg=-w --extra-arg=-Xclang \
    --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=max-nodes=8000 "$1" 2>&1) &&
    grep -q -E "^$PWD/[^ ]*: error: |clang-diagnostic-error|^error: |^Error " <<<"$output"; then
    printf '%s\n' "$output" | grep -v -E '^[0-9]+ warnings? (generated|treated)' || true
    return 1
  fi
}
export -f check
# xargs goes on after a fault, so that all are shown, and tells at the end.
# shellcheck disable=SC2016  # the inner shell expands it
if ! printf '%s\0' "${ours[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'check "$0"'; then
  echo "tidy: faults in ${#ours[@]} files looked at"
  exit 1
fi
echo "tidy: ${#ours[@]} files, no fault"
