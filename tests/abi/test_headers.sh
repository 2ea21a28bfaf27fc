#!/bin/sh
# The SDK's headers compile alone and together, without warnings, in every C and C++ dialect from
# C11 and C++11 on; SHUNT_POLICY_DEFINE also in C++20, the first with designated initialisers.
set -eu
headers=$SHUNT_SOURCE/sdk/include
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tried=0

compile() { # COMPILER DIALECT FILE FLAGS...
    compiler=$1 dialect=$2 file=$3
    shift 3
    "$compiler" "-std=$dialect" -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Wundef -Werror \
        -I"$headers" "$@" "$file" || { echo "test_headers: $compiler -std=$dialect: $file" >&2; exit 1; }
    tried=$((tried + 1))
}

for header in "$headers"/shunt/*.h; do
    name=$(basename "$header" .h)
    printf "#include <shunt/%s.h>\nextern int some_c;\n" "$name" >"$work/$name.c"
    printf "#include <shunt/%s.h>\nextern int some_cxx;\n" "$name" >"$work/$name.cpp"
done
cat >"$work/define.c" <<'END'
#include <shunt/shunt.h>
static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    (void)ask;
    return shunt_stay(&answer->decisions[0], SHUNT_REASON_NONE);
}
static const struct shunt_policy_ops ops = {.size = sizeof(ops), .decide = decide};
SHUNT_POLICY_DEFINE("x", "1.0.0", "MIT", "X.", 0, 0, .ops = &ops);
END
sed 's/\.size = sizeof(ops), //; s/= {\.decide/= {.size = sizeof(struct shunt_policy_ops), .decide/' \
    "$work/define.c" >"$work/define_cxx20.C"

for compiler in gcc clang; do
    command -v $compiler >/dev/null || { echo "test_headers: no $compiler here"; continue; }
    for dialect in c11 c17 c2x; do
        for file in "$work"/*.c; do
            compile $compiler $dialect "$file" -Wstrict-prototypes -Wmissing-prototypes
        done
    done
done
for compiler in g++ clang++; do
    command -v $compiler >/dev/null || { echo "test_headers: no $compiler here"; continue; }
    for dialect in c++11 c++14 c++17 c++20; do
        for file in "$work"/*.cpp; do
            compile $compiler $dialect "$file"
        done
    done
    compile $compiler c++20 "$work/define_cxx20.C" -Wno-missing-field-initializers
done
[ "$tried" -gt 0 ] || exit 77
echo "$tried combinations"
