# Keeps the file $2 a copy of the file $1, and removes it at the end. Needs a POSIX shell with cat,
# cp, mv, rm and sleep.
from=$1 to=$2 new=${2%/*}/.${2##*/}.new written=
umask 022

install() {
  wanted=$(cat "$from") || return 1
  if [ -f "$to" ] && [ "$(cat "$to")" = "$wanted" ]; then
    written=$wanted
    return 0
  fi
  if [ -d "$to" ]; then
    echo "$to is a folder" >&2
    return 1
  fi
  # Whole or not at all: what is read back is what was meant, and a rename is one step.
  cp "$from" "$new" && [ "$(cat "$new")" = "$wanted" ] && mv -f "$new" "$to" || return 1
  written=$wanted
  echo "installed ${to##*/}"
}

remove() {
  rm -f "$new"
  # A file that is not the one written here is somebody else's by now.
  if [ -n "$written" ] && [ -f "$to" ] && [ "$(cat "$to")" = "$written" ]; then
    rm -f "$to"
    echo "removed ${to##*/}"
  fi
  exit 0
}

trap remove TERM INT
while :; do
  install || { rm -f "$new"; echo "${to##*/} is not installed" >&2; exit 1; }
  # A trap waits for a command that runs, and not for wait.
  sleep "${3:-10}" &
  wait $!
done
