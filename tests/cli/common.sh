# Sourced by every script of this directory. $LOAM is the command, $LOAM_SOURCE the repository, and $tmp a temporary directory
# of the test.
set -euo pipefail
tmp=$(mktemp -d "${TMPDIR:-/tmp}/loam-cli-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
tiny=$LOAM_SOURCE/tests/data/tiny
# Small models gain nothing from threads, and threads that wait for each other are slow while other tests run.
one_thread=(--threads 1)

failures=0
fail() {
    printf 'FAILED %s: %s\n' "$case_name" "$*"
    failures=$((failures + 1))
}
finish() {
    [ "$failures" -eq 0 ] || exit 1
}

# run NAME ARGUMENT...: runs the command and sets $code, $tmp/stdout and $tmp/stderr. Standard input is $input, or empty.
run() {
    case_name=$1
    shift
    code=0
    "$LOAM" "$@" <"${input:-/dev/null}" >"$tmp/stdout" 2>"$tmp/stderr" || code=$?
}

# ok NAME ARGUMENT...: runs the command, which must succeed.
ok() {
    run "$@"
    [ "$code" -eq 0 ] || fail "exit code $code: $(cat "$tmp/stderr")"
}

# refuses CODE TEXT NAME ARGUMENT...: runs the command, which must fail with CODE. The last line on standard error must contain
# TEXT and be the only one that begins with "loam: ". Standard output and $tmp/out must be empty.
refuses() {
    local expected=$1 text=$2
    shift 2
    run "$@"
    [ "$code" -eq "$expected" ] || fail "exit code $code, expected $expected: $(cat "$tmp/stderr")"
    [ "$(grep -c '^loam: ' "$tmp/stderr")" -eq 1 ] || fail "not one line of error: $(cat "$tmp/stderr")"
    tail -n 1 "$tmp/stderr" >"$tmp/message"
    grep -q '^loam: ' "$tmp/message" || fail "the error is not the last line: $(cat "$tmp/stderr")"
    grep -qF -- "$text" "$tmp/message" || fail "\"$text\" is not in: $(cat "$tmp/message")"
    [ ! -s "$tmp/stdout" ] || fail "standard output: $(head -n 3 "$tmp/stdout")"
    [ ! -e "$tmp/out" ] || [ -z "$(ls -A "$tmp/out")" ] || fail "left behind: $(ls -A "$tmp/out")"
    rm -rf "$tmp/out"
}

# output_has TEXT: checks that the standard output of the last run contains TEXT.
output_has() {
    grep -qF -- "$1" "$tmp/stdout" || fail "\"$1\" is not in the output: $(cat "$tmp/stdout")"
}

# make_model DIR [OPTION...]: makes a random tiny BLOOM.
make_model() {
    local directory=$1
    shift
    "$LOAM" init --config "$tiny/config.json" --tokenizer "$tiny/tokenizer.json" --out "$directory" "$@" >/dev/null
}

# make_full_pipe PIPE: makes a pipe, opens it as descriptor 4 and fills it up to the room for two lines of steps. A run that
# reports each step to it blocks before its fourth step, until drain_pipe.
make_full_pipe() {
    local room=200
    mkfifo "$1"
    exec 4<>"$1"
    head -c $((16 * $(getconf PAGESIZE) - room)) /dev/zero >&4
}
drain_pipe() {
    cat <&4 >/dev/null &
    reader=$!
    # Waits until the process is cat: before, a signal would run the trap above in it, which removes $tmp.
    while [ "$(cat "/proc/$reader/comm")" != cat ]; do sleep 0.01; done
    exec 4>&-
}
# wait_for_text TEXT FILE: waits, half a minute at most, until FILE contains TEXT.
wait_for_text() {
    local i
    for ((i = 0; i < 600; i++)); do
        if grep -qsF -- "$1" "$2"; then return; fi
        sleep 0.05
    done
    fail "\"$1\" does not appear: $(cat "$2")"
}

# number KEY FILE: prints the value of "KEY": NUMBER in a JSON file that contains the key once.
number() {
    sed -n "s/.*\"$1\": *\([-0-9.e+]*\).*/\1/p" "$2"
}
# below A B: whether A < B, as numbers.
below() {
    awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a + 0 < b + 0) }'
}
