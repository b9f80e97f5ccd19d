#!/bin/bash
# `cmake --install`, then what an author of plugins or of C programs does with it: a plugin built alone through
# find_package(miniray), and a program compiled through pkg-config and run.
#   scripts/check_install.sh BUILD_FOLDER
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
work=$build/install-check
rm -rf "$work"
mkdir -p "$work"
prefix=$work/prefix
cmake --install "$build" --prefix "$prefix" >/dev/null
libdir=$(dirname "$(find "$prefix" -name libminiray.so)")

# Alone: a copy, so that nothing of the tree around it can help.
cp -r "$root/plugins/sched-fifo" "$work/sched-fifo"
cmake -S "$work/sched-fifo" -B "$work/sched-fifo/build" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
cmake --build "$work/sched-fifo/build" >/dev/null
plugin=$(find "$work/sched-fifo/build" -name sched-fifo.so)
[ -n "$plugin" ] || { echo "no sched-fifo.so was built alone" >&2; exit 1; }
if [ -x "$libdir/miniray/bin/miniray-plugin-check" ]; then
    "$libdir/miniray/bin/miniray-plugin-check" "$plugin" >"$work/check.log" ||
        { cat "$work/check.log" >&2; exit 1; }
fi
for name in sched-fifo sched-locality sched-priority sched-lua store-mem store-shm store-file; do
    [ -f "$libdir/miniray/plugins/$name.so" ] || { echo "$name.so was not installed" >&2; exit 1; }
done

cat >"$work/hello.c" <<'C'
#include <miniray/miniray.h>
#include <stdio.h>
int main(void)
{
    puts(mr_strerror(MR_E_FULL));
    return 0;
}
C
export PKG_CONFIG_PATH=$libdir/pkgconfig
# shellcheck disable=SC2046
cc "$work/hello.c" -o "$work/hello" $(pkg-config --define-variable=prefix="$prefix" --cflags --libs miniray) -Wl,-rpath,"$libdir"
said=$("$work/hello")
[ "$said" = "the object store is full" ] || { echo "the installed library said: $said" >&2; exit 1; }
echo "install: a plugin and a program were built against $prefix"
