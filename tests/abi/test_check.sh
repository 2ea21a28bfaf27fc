#!/bin/sh
# `shunt check`: the shipped policies pass, the hostile ones fail for the right reason, refused
# files and wrong usage have their own exit statuses.
set -eu
shunt=$SHUNT_BUILD/bin/shunt
policies=$SHUNT_BUILD/lib/shunt/policies
hostile=$SHUNT_BUILD/tests/policies
fail() { echo "test_check: $*" >&2; exit 1; }

# expect STATUS WORDS ARGS...: exit status, and words in the output.
expect() {
    want=$1 words=$2
    shift 2
    got=0
    out=$("$shunt" check "$@" 2>&1) || got=$?
    [ "$got" = "$want" ] || fail "check $*: exit status $got instead of $want: $out"
    case $out in *"$words"*) ;; *) fail "check $*: no \"$words\" in: $out" ;; esac
}

for name in fifo amortized; do
    expect 0 "all 11 probes passed" "$policies/$name.so"
    expect 0 '"passed":true' --json "$policies/$name.so"
    "$shunt" check --print-params "$policies/$name.so" | cmp - "$SHUNT_SOURCE/plugins/$name/$name.yaml" ||
        fail "$name.yaml differs"
done
expect 1 "decide answered with an unknown action" "$hostile/garbage_answers.so"
expect 1 "decide failed" "$hostile/decide_fails.so"
expect 1 "models_changed failed" "$hostile/layout_fails.so"
expect 1 "create failed with -7" "$hostile/create_fails.so"
expect 1 "calls alloc of the host where that is not legal" "$hostile/curious.so"
expect 1 "--reproduce 5" --reproduce 5 "$hostile/curious.so"
expect 1 "refused: needs ABI 2.x, host offers 1.0" "$hostile/wrong_major.so"
expect 1 "crashed: " "$hostile/crashes.so"
expect 1 "keeps something between instances" "$hostile/remembers.so"
expect 2 "No such file" /nonexistent.so
expect 2 "is missing"
expect 2 "not understood" --colour "$policies/fifo.so"

# A YAML file that says something else is named with the line.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$policies/fifo.so" "$work"
sed 's/600/601/' "$policies/fifo.yaml" >"$work/fifo.yaml"
expect 1 "fifo.yaml:11: differs" "$work/fifo.so"
