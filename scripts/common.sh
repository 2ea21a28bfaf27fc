# Shared by scripts/demo and scripts/test: says what it does, installs what is missing from the
# distribution, and names the step that failed. Sourced with the tree as the working directory.

step_name="start"

step() {
    step_name=$1
    printf '\n== %s\n' "$1"
}

on_failure() {
    status=$?
    if [ "$status" -ne 0 ] && [ "$status" -ne 130 ]; then
        printf '\n%s: the step "%s" failed (status %d).\n' "$0" "$step_name" "$status" >&2
        printf 'The lines above say why. Mend it and run %s again: finished steps are quick.\n' "$0" >&2
    fi
}
trap on_failure EXIT

# as_root COMMAND...: runs it as root: directly, or through sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        printf 'This needs root: install these packages yourself, or run as root or with sudo:\n  %s\n' "$*" >&2
        return 1
    fi
}

# need_packages PACKAGE...: installs those that are missing.
need_packages() {
    missing=""
    for package in "$@"; do
        if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
            missing="$missing $package"
        fi
    done
    if [ -z "$missing" ]; then
        echo "all packages are installed"
        return 0
    fi
    if ! command -v apt-get >/dev/null 2>&1; then
        printf 'This system has no apt-get. Install the equivalents of these Debian packages:\n %s\n' "$missing" >&2
        return 1
    fi
    printf 'Will install from the distribution:%s\n' "$missing"
    as_root apt-get update -q >/dev/null
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null
}

# want_packages PACKAGE...: installs those that are missing if it can; says so if it cannot.
want_packages() {
    if ! (need_packages "$@") 2>/dev/null; then
        printf 'could not install: %s; tests that use them will be skipped\n' "$*"
    fi
}

packages_build="gcc libc6-dev cmake ninja-build pkg-config libevent-dev libconfig-dev libyaml-dev
    libjansson-dev libzstd-dev zlib1g-dev libxxhash-dev libsodium-dev"
packages_test="libcmocka-dev clang libclang-rt-14-dev clang-format python3 binutils zstd nginx-light"
packages_wanted="chromium"

# build PRESET [TARGET...]: configures once, builds; quiet unless it fails.
build() {
    preset=$1
    shift
    log=build/$preset.log
    mkdir -p build
    if ! { cmake --preset "$preset" && cmake --build --preset "$preset" ${1:+--target "$@"}; } >"$log" 2>&1; then
        grep -E -A3 'error|Error|FAILED' "$log" | head -n 40 >&2 || tail -n 40 "$log" >&2
        printf '(all of it: %s)\n' "$log" >&2
        return 1
    fi
    printf '%s: %s\n' "$preset" "$(grep -E '^\[|ninja: no work' "$log" | tail -n 1)"
}
