#!/bin/bash
# Builds the simulator alone (control, sim, Lua: MINIRAY_ENGINES=sim) in BUILD, runs its tests, and looks that nothing in it
# can start a process or a thread, or asks for what only Linux has, or for a library that it does not need.  Then the Python package
# of the laboratory alone: it grades.
#   scripts/check_sim_build.sh BUILD
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
tests=(test_sched_lua test_lua_sandbox)
for source in tests/unit/test_sim*.c; do
    tests+=("$(basename "$source" .c)")
done
mkdir -p "$build/pkgconfig"
ln -sf $(for one in inih libxxhash libcjson lua5.4 check libsubunit; do # these and no others are there
    echo "$(pkg-config --variable=pcfiledir $one)/$one.pc"
done) "$build/pkgconfig"
export PKG_CONFIG_LIBDIR=$PWD/$build/pkgconfig
if ! {
    cmake -S . -B "$build" -G Ninja -DMINIRAY_ENGINES=sim -DMINIRAY_TESTS=ON -DMINIRAY_WERROR=ON &&
        cmake --build "$build" -j "$(nproc)" --target miniray-sim sched-fifo sched-locality sched-priority sched-lua "${tests[@]}"
} >"$build/build.log" 2>&1; then
    grep -E 'error|Error|FAILED|warning' "$build/build.log" | head -40
    echo "the build of the simulator alone failed; all of it is in $build/build.log"
    exit 1
fi
wanted=$(IFS='|'; echo "${tests[*]}")
ctest --test-dir "$build" -R "^($wanted)\$" -j "$(nproc)" --no-tests=error --output-on-failure
# What its files include where the system is not Linux.
cc -M -U__linux__ -Icore/include -Icore -I"$build/plugins/sched-lua" $(pkg-config --cflags libcjson lua5.4) \
    core/{base,plugin,plugin/conformance,control,engine/sim}/*.c plugins/sched-*/*.c >"$build/includes"
linux=$(grep -oE '[^ ]*/sys/(prctl|epoll|eventfd|signalfd|timerfd|inotify|pidfd|sendfile|syscall|sysinfo)\.h' "$build/includes" | sort -u || true)
if [ -n "$linux" ]; then
    echo "the simulator alone is for any Unix, but includes:"
    echo "$linux"
    exit 1
fi
foreign=$(nm -u "$build/bin/miniray-sim" "$build"/plugins/*.so |
    grep -E ' (v?fork|clone|posix_spawnp?|execv[pe]*|pthread_create|socket|memfd_create|eventfd|epoll_create1?|pidfd_open|syscall)(@|$)' || true)
if [ -n "$foreign" ]; then
    echo "the simulator alone can do without, but calls:"
    echo "$foreign"
    exit 1
fi
"$build/bin/miniray-sim" --workload tests/sim/graham.jsonl --plugins "$build/plugins" --policy config/policies/list.lua --check
site=$build/site
rm -rf "$site"
build/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --target "$site" \
    -Ccmake.define.MINIRAY_ENGINES=sim -Cbuild-dir="$build/pip" .
status=0
(cd "$site" && PYTHONPATH=$PWD "$OLDPWD/build/venv/bin/python" -m miniray lab grade 1 miniray/labs/01-shortest-first/starter.lua >grade.txt) || status=$?
if [ $status != 1 ] || ! grep -q 'below the threshold' "$site/grade.txt"; then
    echo "the laboratory alone does not grade: status $status"
    cat "$site/grade.txt"
    exit 1
fi
if (cd "$site" && "$OLDPWD/build/venv/bin/python" -c 'import miniray; miniray.init()') 2>"$site/init.txt" || ! grep -q 'for the laboratory alone' "$site/init.txt"; then
    echo "the laboratory alone does not say that it runs no tasks"
    exit 1
fi
