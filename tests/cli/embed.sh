# Tests the programs of examples/embed against the installed library: shared, static, and from Python.
. "$(dirname "$0")/common.sh"
case_name=install
prefix=$tmp/prefix
cmake --install "$LOAM_BUILD" --prefix "$prefix" >"$tmp/log" 2>&1 || fail "$(cat "$tmp/log")"
library=$(find "$prefix" -name 'libloam.so')
libraries=$(dirname "$library")
[ -f "$libraries/libloam.a" ] || fail 'no libloam.a'
# With sanitizers, the runtime would have to be linked into the programs.
nm -D "$library" >"$tmp/symbols"
if grep -q __asan_ "$tmp/symbols"; then
    echo 'this build has sanitizers, whose runtime the programs would have to load first'
    exit 77
fi
make_model "$tmp/model"
export OMP_NUM_THREADS=1

# build DIRECTORY FLAG...: compiles both programs into it.
build() {
    local directory=$1 flags program
    shift
    flags=$(PKG_CONFIG_PATH=$libraries/pkgconfig pkg-config --cflags --libs "$@" loam)
    mkdir -p "$directory"
    for program in finetune score; do
        # shellcheck disable=SC2086  # flags are several words
        cc -std=c11 -Wall -Wextra -Werror "$LOAM_SOURCE/examples/embed/$program.c" $flags -o "$directory/$program" \
            2>"$tmp/log" || fail "$program does not compile: $(cat "$tmp/log")"
    done
}

# programs DIRECTORY: runs both programs; their output is $tmp/stdout.
programs() {
    rm -rf "$tmp/adapter"
    {
        "$1/finetune" "$tmp/model" "$tmp/adapter" &&
            "$1/score" "$tmp/model" - 'The cat sat on the mat.' &&
            "$1/score" "$tmp/model" "$tmp/adapter" 'The cat sat on the mat.'
    } >"$tmp/stdout" 2>"$tmp/stderr" || fail "$(cat "$tmp/stderr")"
}

case_name='shared library'
build "$tmp/shared"
export LD_LIBRARY_PATH=$libraries
programs "$tmp/shared"
cp "$tmp/stdout" "$tmp/expected"
[ "$(grep -c '^step ' "$tmp/stdout")" -eq 30 ] || fail "steps: $(cat "$tmp/stdout")"
below "$(awk '$2 == 30 { print $4 }' "$tmp/stdout")" "$(awk '$2 == 1 { print $4 }' "$tmp/stdout")" ||
    fail "the loss does not fall: $(cat "$tmp/stdout")"
grep -q '^generated: The cat' "$tmp/stdout" || fail "nothing was generated: $(cat "$tmp/stdout")"
grep '^[0-9]' "$tmp/stdout" | awk '{ print $1 }' >"$tmp/scores"
below "$(sed -n 2p "$tmp/scores")" "$(sed -n 1p "$tmp/scores")" || fail "the adapter is no better: $(cat "$tmp/scores")"
case_name='the adapter in the command'
printf '{"text": "The cat sat on the mat."}\n' >"$tmp/data.jsonl"
ok 'eval with the adapter' eval --model "$tmp/model" --adapter "$tmp/adapter" --data "$tmp/data.jsonl" "${one_thread[@]}"

case_name='Python'
if command -v python3 >/dev/null; then
    python3 "$LOAM_SOURCE/examples/embed/score.py" "$library" "$tmp/model" 'The cat sat on the mat.' >"$tmp/python" \
        2>"$tmp/stderr" || fail "$(cat "$tmp/stderr")"
    grep '^[0-9]' "$tmp/expected" | head -n 1 | cmp -s - "$tmp/python" || fail "another score: $(cat "$tmp/python")"
fi

case_name='static library'
unset LD_LIBRARY_PATH
rm "$libraries"/libloam.so*
build "$tmp/static" --static
programs "$tmp/static"
cmp -s "$tmp/stdout" "$tmp/expected" || fail "another output: $(diff "$tmp/stdout" "$tmp/expected")"
finish
