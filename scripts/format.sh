#!/usr/bin/env bash
# Layout of the C++ files, by clang-format 14: `check` (the default) tells, `fix` rewrites.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Another version lays out differently: the number matters.
format=''
for candidate in clang-format-14 clang-format; do
  if command -v "$candidate" >/dev/null && "$candidate" --version | grep -q 'version 14\.'; then
    format=$candidate
    break
  fi
done
if [[ -z $format ]]; then
  echo "error: clang-format 14 is missing; scripts/install_deps.sh --ci installs it" >&2
  exit 1
fi

mapfile -d '' files < <(find src include tests \
  \( -name node_modules -o -name build \) -prune -o \( -name '*.cpp' -o -name '*.hpp' \) -print0)
case ${1:-check} in
  check) "$format" --dry-run -Werror "${files[@]}" ;;
  fix) "$format" -i "${files[@]}" ;;
  *)
    echo "usage: $0 [check|fix]" >&2
    exit 2
    ;;
esac
