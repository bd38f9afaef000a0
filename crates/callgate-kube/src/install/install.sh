# Keeps the file $2 a copy of the file $1, and removes it at the end. Needs a POSIX shell with cat,
# cp, mv, rm and sleep.
from=$1 to=$2 new=${2%/*}/.${2##*/}.new written= former=
umask 022

install() {
  wanted=$(cat "$from") || return 1
  if [ -z "$wanted" ]; then
    echo "$from is empty" >&2
    return 1
  fi
  if [ -f "$to" ] && [ "$(cat "$to")" = "$wanted" ]; then
    written=$wanted
    return 0
  fi
  if [ -d "$to" ]; then
    echo "$to is a folder" >&2
    return 1
  fi
  # Whole or not at all: what is read back is what was meant, and a rename is one step.
  rm -f "$new"
  cp "$from" "$new" && [ "$(cat "$new")" = "$wanted" ] || return 1
  # The end may come on either side of the rename.
  former=$written written=$wanted
  mv -f "$new" "$to" || return 1
  former=
  echo "installed ${to##*/}"
}

remove() {
  rm -f "$new"
  # A file that is not the one written here is somebody else's by now.
  if [ -f "$to" ]; then
    is=$(cat "$to")
    case $is in
      "$written" | "$former") [ -z "$is" ] || { rm -f "$to" && echo "removed ${to##*/}"; } ;;
    esac
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
