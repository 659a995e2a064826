# A command that is stopped at any moment while it writes: under the final name is nothing or the complete output, and no
# other files are left; the exit code is that of the signal. Hub commands: hub_pull.sh, hub_push.sh. Training: resume.sh.
. "$(dirname "$0")/common.sh"

# Large enough that writing takes a while.
sed 's/"hidden_size": 64/"hidden_size": 256/; s/"vocab_size": [0-9]*/"vocab_size": 20000/' "$tiny/config.json" >"$tmp/config.json"
init=(init --config "$tmp/config.json" --tokenizer "$tiny/tokenizer.json" --out)
ok 'the model' "${init[@]}" "$tmp/model"
ok 'the adapter' train --model "$tmp/model" --data "$tiny/questions.json" --out "$tmp/adapter" --max-steps 1 --batch-size 1 \
    --target-modules all-linear --lora-r 256 "${one_thread[@]}"
merge=(merge --model "$tmp/model" --adapter "$tmp/adapter" --no-check --out)
export=(export --model "$tmp/model" --adapter "$tmp/adapter" --gguf)
ok 'merge' "${merge[@]}" "$tmp/merged"
ok 'export' "${export[@]}" "$tmp/lora.gguf"

# waits_for_signals PROCESS: whether the process is the command (not the shell before exec) and blocks SIGTERM, as it does
# before it begins to write. Fails if the process has ended.
waits_for_signals() {
    local key value
    while read -r key value; do
        if [ "$key" = Name: ] && [ "$value" != "${LOAM##*/}" ]; then return 1; fi
        if [ "$key" = SigBlk: ]; then
            (((0x$value >> 14) & 1))
            return
        fi
    done <"/proc/$1/status" 2>/dev/null
    return 1
}

# stopped SIGNAL CODE WHOLE ARGUMENT...: stops a command that writes $tmp/there/out, at later and later moments until it
# completes, and then compares its output with WHOLE. Repeats all if it was never stopped while it wrote: an adapter is
# written within milliseconds.
stopped() {
    local signal=$1 expected=$2 whole=$3 process delay=0 runs found=0
    shift 3
    case_name="$1, SIG$signal"
    for ((runs = 0; runs < 300; runs++)); do
        rm -rf "$tmp/there" && mkdir "$tmp/there"
        # bash starts background commands with SIGINT ignored; env restores the default.
        env --default-signal=INT "$LOAM" "$@" "$tmp/there/out" >"$tmp/stdout" 2>"$tmp/stderr" &
        process=$!
        while kill -0 "$process" 2>/dev/null && ! waits_for_signals "$process"; do :; done
        sleep "$(printf '%d.%03d' $((delay / 1000)) $((delay % 1000)))"
        kill "-$signal" "$process" 2>/dev/null || true
        code=0
        wait "$process" || code=$?
        if [ "$code" -ne "$expected" ]; then
            if [ "$code" -ne 0 ] || [ "$found" -gt 0 ]; then break; fi
            delay=0
            continue
        fi
        delay=$((delay + delay / 2 + 1)) # milliseconds
        if grep -q '^loam: stopped before it was done$' "$tmp/stderr"; then found=$((found + 1)); fi
        [ -z "$(ls -A "$tmp/there")" ] || fail "left behind: $(find "$tmp/there")"
    done
    [ "$code" -eq 0 ] || fail "exit code $code: $(cat "$tmp/stderr")"
    [ "$found" -gt 0 ] || fail 'never while it wrote'
    diff -r "$whole" "$tmp/there/out" || fail 'another result'
    [ "$(ls -A "$tmp/there")" = out ] || fail "$(ls -A "$tmp/there")"
    echo "$case_name: stopped $found times"
}
stopped TERM 143 "$tmp/model" "${init[@]}"
stopped INT 130 "$tmp/model" "${init[@]}"
stopped TERM 143 "$tmp/merged" "${merge[@]}"
stopped INT 130 "$tmp/merged" "${merge[@]}"
stopped TERM 143 "$tmp/lora.gguf" "${export[@]}"
stopped INT 130 "$tmp/lora.gguf" "${export[@]}"

# ---- Killed: the next run removes what is left, wherever the kill happened ----
# killed WHOLE ARGUMENT...: kills a command that writes $tmp/there/out, then lets it run to its end.
killed() {
    local whole=$1 process delay=1 left=0 turn
    shift
    case_name="$1, SIGKILL"
    for ((turn = 0; turn < 200 && left < 5; turn++)); do
        rm -rf "$tmp/there" && mkdir "$tmp/there"
        "$LOAM" "$@" "$tmp/there/out" >"$tmp/stdout" 2>"$tmp/stderr" &
        process=$!
        while kill -0 "$process" 2>/dev/null && ! waits_for_signals "$process"; do :; done
        sleep "$(printf '0.%03d' "$delay")"
        kill -KILL "$process" 2>/dev/null || true
        code=0
        wait "$process" 2>/dev/null || code=$?
        delay=$((delay < 200 ? delay + delay / 4 + 1 : 1)) # milliseconds
        if [ "$code" -ne 137 ] || [ -z "$(find "$tmp/there" -name '.loam-*' -o -name '*.tmp-*')" ]; then continue; fi
        left=$((left + 1))
        ok "after $case_name" "$@" "$tmp/there/out" --overwrite
        diff -r "$whole" "$tmp/there/out" || fail 'another result'
        [ "$(ls -A "$tmp/there")" = out ] || fail "left behind: $(ls -A "$tmp/there")"
    done
    [ "$left" -gt 0 ] || fail 'never while it wrote'
}
killed "$tmp/model" "${init[@]}"
killed "$tmp/merged" "${merge[@]}"
killed "$tmp/lora.gguf" "${export[@]}"
finish
