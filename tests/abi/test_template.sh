#!/bin/sh
# The template builds against an installed SDK and nothing else, and passes the checker.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
run() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; echo "test_template: failed: $*" >&2; exit 1; }; }

run cmake --install "$SHUNT_BUILD" --prefix "$work/prefix" --component sdk
cp -r "$work/prefix/share/shunt/template" "$work/my_policy"
run cmake -S "$work/my_policy" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" \
    -DSHUNT_PROGRAM="$SHUNT_BUILD/bin/shunt"
run cmake --build "$work/build"
run ctest --test-dir "$work/build" --no-tests=error

# The package's version is the ABI's, and another major is not taken for it.
mkdir "$work/other"
cat >"$work/other/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.22)
project(other LANGUAGES C)
find_package(shunt-sdk 2.0 CONFIG REQUIRED)
END
if cmake -S "$work/other" -B "$work/other/build" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/log" 2>&1; then
    echo "test_template: an SDK of ABI 1 was taken for 2.0" >&2
    exit 1
fi

# Without CMake: the flags that pkg-config and the installed version script give are enough.
if command -v pkg-config >/dev/null; then
    pc=$(find "$work/prefix" -name shunt-sdk.pc)
    map=$(find "$work/prefix" -name shunt_policy.map)
    mkdir "$work/plain"
    cp "$work/my_policy/my_policy.yaml" "$work/plain"
    cflags=$(PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --define-variable=prefix="$work/prefix" --cflags shunt-sdk)
    # shellcheck disable=SC2086
    run cc -std=c11 -O2 -fPIC -shared -nostartfiles -ffp-contract=off $cflags \
        "-Wl,--version-script=$map" -Wl,-z,now,-z,relro,-z,defs,-z,noexecstack \
        "$work/my_policy/my_policy.c" -o "$work/plain/my_policy.so"
    run "$SHUNT_BUILD/bin/shunt" check "$work/plain/my_policy.so"
fi
