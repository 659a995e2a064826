# The environment of the process: signals, descriptors, limits.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
data=$tiny/questions.json
train=(train --model "$tmp/model" --data "$data" --batch-size 1 "${one_thread[@]}")

# ---- Signals that end a process by default: the run saves its finished steps and can be resumed ----
ok 'undisturbed' "${train[@]}" --max-steps 30 --out "$tmp/whole"

# begin COMMAND...: starts a run, by COMMAND (env ...), and waits until it has written its first metrics and is paused.
begin() {
    rm -rf "$tmp/out" "$tmp/steps"
    make_full_pipe "$tmp/steps"
    "$@" "$LOAM" "${train[@]}" --max-steps 30 --logging-steps 1 --out "$tmp/out" >"$tmp/steps" 2>"$tmp/stderr" 4>&- &
    process=$!
    wait_for_text '"step": 1}' "$tmp/out/metrics.jsonl"
}
end() {
    code=0
    wait "$process" || code=$?
    kill "$reader" 2>/dev/null && wait "$reader" 2>/dev/null || true
}
for signal in HUP XCPU USR1 USR2 ALRM VTALRM PROF PWR; do
    case_name="SIG$signal"
    begin env "--default-signal=$signal"
    kill "-$signal" "$process"
    # Repeated signals are harmless: a closed terminal sends HUP twice, the system sends XCPU each second. A run that is not
    # paused may have ended.
    for _ in 1 2; do
        sleep 0.02
        kill "-$signal" "$process" 2>/dev/null || true
    done
    drain_pipe
    end
    [ "$code" -eq $((128 + $(kill -l "$signal"))) ] || fail "exit code $code: $(cat "$tmp/stderr")"
    [ -n "$(find "$tmp/out" -name 'checkpoint-*')" ] || fail "nothing is saved: $(ls -A "$tmp/out")"
    ok "on after SIG$signal" "${train[@]}" --max-steps 30 --logging-steps 1 --out "$tmp/out" --resume
    cmp -s "$tmp/whole/adapter_model.safetensors" "$tmp/out/adapter_model.safetensors" || fail 'another adapter'
done
for signal in HUP USR1; do
    case_name="SIG$signal is ignored, as by nohup"
    begin env "--ignore-signal=$signal"
    kill "-$signal" "$process"
    drain_pipe
    end
    [ "$code" -eq 0 ] || fail "exit code $code: $(cat "$tmp/stderr")"
done
case_name='SIGHUP, then SIGTERM, which is the first to count'
begin env --default-signal=HUP
kill -HUP "$process"
sleep 0.1
kill -TERM "$process" 2>/dev/null || true
drain_pipe
end
[ "$code" -eq 129 ] || fail "exit code $code: $(cat "$tmp/stderr")"
case_name='SIGQUIT ends it at once'
begin env --default-signal=QUIT
(ulimit -c 0 && kill -QUIT "$process")
code=0
wait "$process" 2>/dev/null || code=$?
exec 4>&-
[ "$code" -eq 131 ] || fail "exit code $code"

# A limit on the size of files acts like a full disk, without a signal. `trap -` restores the shell's default.
case_name='a limit on the size of files'
code=0
rm -rf "$tmp/out"
(ulimit -f 8 && exec "$LOAM" "${train[@]}" --max-steps 2 --save-wait 0 --out "$tmp/out" >"$tmp/stdout" 2>"$tmp/stderr") || code=$?
[ "$code" -eq 1 ] && grep -q '^loam: .*File too large$' "$tmp/stderr" || fail "$code: $(cat "$tmp/stderr")"

# ---- Closed standard streams: no file gets their descriptors ----
for closed in '<&-' '>&-' '2>&-' '<&- >&-' '<&- >&- 2>&-'; do
    case_name="train $closed"
    rm -rf "$tmp/out"
    code=0
    eval "\"\$LOAM\" \"\${train[@]}\" --max-steps 3 --save-steps 2 --logging-steps 1 --report-to tensorboard --out \"\$tmp/out\" $closed" \
        >"$tmp/stdout" 2>"$tmp/stderr" || code=$?
    [ "$code" -eq 0 ] || fail "exit code $code: $(cat "$tmp/stderr")"
    ! grep -qv '^{.*}$' "$tmp/out/metrics.jsonl" || fail "metrics.jsonl: $(cat "$tmp/out/metrics.jsonl")"
    ! grep -rqaE 'step 1/3|computing in|the adapter is in' "$tmp/out/runs" "$tmp/out"/*.json* || fail 'lines of the log are in the files'
    cmp -s "$tmp/out/adapter_config.json" "$tmp/whole/adapter_config.json" || fail 'another configuration'
done

# ---- A reader that stops reading: no message, exit code 1, for every command ----
# into_closed NAME ARGUMENT...: runs the command with a closed pipe as standard output.
into_closed() {
    case_name="a closed pipe: $1"
    shift
    rm -rf "$tmp/out" "$tmp/lora.gguf" "$tmp/code"
    { sleep 0.2 && code=0 && { "$LOAM" "$@" <"${input:-/dev/null}" 2>"$tmp/stderr" || code=$?; } && echo "$code" >"$tmp/code"; } | :
    [ "$(cat "$tmp/code")" -eq 1 ] || fail "exit code $(cat "$tmp/code"): $(cat "$tmp/stderr")"
    ! grep -q '^loam: ' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
}
adapter=(--model "$tmp/model" --adapter "$tmp/whole")
into_closed 'no command' --help
into_closed help help train
into_closed version --version
into_closed machine --version --verbose
into_closed completion completion bash
into_closed inspect inspect "$tmp/model"
into_closed 'inspect --json' inspect "$tmp/model" --json
into_closed plan plan --model "$tmp/model" --data "$data" "${one_thread[@]}"
into_closed train "${train[@]}" --max-steps 2 --logging-steps 1 --out "$tmp/out"
[ -s "$tmp/out/adapter_model.safetensors" ] || fail 'the run did not save'
into_closed eval eval "${adapter[@]}" --data "$data" "${one_thread[@]}"
into_closed generate generate "${adapter[@]}" --prompt 'The' --max-new-tokens 4 "${one_thread[@]}"
into_closed merge merge "${adapter[@]}" --out "$tmp/out" "${one_thread[@]}"
into_closed init init --config "$tiny/config.json" --out "$tmp/out"
into_closed export export "${adapter[@]}" --gguf "$tmp/lora.gguf"
echo 'some text' >"$tmp/text"
input=$tmp/text into_closed tokenize tokenize --model "$tmp/model"

# ---- Limits ----
limited() { # NAME LIMIT TEXT ARGUMENT...
    case_name=$1
    local limit=$2 text=$3
    shift 3
    code=0
    (eval "$limit" && exec "$LOAM" "$@" </dev/null >"$tmp/stdout" 2>"$tmp/stderr") || code=$?
    [ "$code" -eq 1 ] && [ "$(grep -c . "$tmp/stderr")" -eq 1 ] && grep -q "^loam: .*$text" "$tmp/stderr" || fail "$code: $(cat "$tmp/stderr")"
    [ ! -e "$tmp/out" ] || fail "left behind: $(ls -A "$tmp/out")"
}
rm -rf "$tmp/out"
limited 'few files' 'ulimit -n 8' 'ulimit -n' "${train[@]}" --max-steps 1 --quiet --out "$tmp/out"
limited 'few files, merge' 'ulimit -n 8' 'ulimit -n' merge "${adapter[@]}" --out "$tmp/out" --no-check
# If not all threads can be started, fewer are used. The limit does not apply to root, and another user may not be able to
# run the command from the build directory.
other=(setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --)
[ "$(id -u)" -eq 0 ] || other=()
chmod -R a+rX "$tmp" && mkdir "$tmp/other" && chmod 777 "$tmp/other"
if "${other[@]}" "$LOAM" --version >/dev/null 2>&1; then
    export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 # the search for leaks needs a thread of its own
    case_name='few processes'
    code=0
    there=$({ find /proc/[0-9]*/task -mindepth 1 -maxdepth 1 -uid "$("${other[@]}" id -u)" 2>/dev/null || true; } | wc -l)
    "${other[@]}" bash -c "ulimit -u $((there + 4)); exec \"\$@\"" bash "$LOAM" train --model "$tmp/model" --data "$data" \
        --max-steps 2 --threads 16 --out "$tmp/other/out" >"$tmp/stdout" 2>"$tmp/stderr" </dev/null || code=$?
    [ "$code" -eq 0 ] && grep -q 'warning: no more than .* of 16 threads can be started' "$tmp/stderr" || fail "$code: $(cat "$tmp/stderr")"
    ! grep -q libgomp "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
    [ -z "$(find "$tmp/other" -name '.loam-*')" ] || fail "left behind: $(find "$tmp/other")"
else
    echo 'no user for whom processes are limited can run the command where it was built'
fi

# Sanitizers set up their own stack before the command begins.
if grep -aqs -e __asan_init -e __tsan_init -e __msan_init "$LOAM" "$LOAM_BUILD"/libloam.so*; then finish && exit 0; fi
limited 'a small stack' 'ulimit -s 64' 'stack is limited to 64 KiB' "${train[@]}" --max-steps 1 --quiet --out "$tmp/out"
case_name='a small stack that may grow'
code=0
(ulimit -Ss 64 && exec "$LOAM" "${train[@]}" --max-steps 30 --out "$tmp/out" >"$tmp/stdout" 2>"$tmp/stderr") || code=$?
[ "$code" -eq 0 ] || fail "exit code $code: $(cat "$tmp/stderr")"
cmp -s "$tmp/whole/adapter_model.safetensors" "$tmp/out/adapter_model.safetensors" || fail 'another adapter'
finish
