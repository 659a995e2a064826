# An output directory that disappears or fills up during a run: the run reports it once and continues training. The result
# stays in memory until it can be saved or the run is told to stop.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
data=$tiny/questions.json
train=(train --model "$tmp/model" --data "$data" --max-steps 60 --batch-size 1 --logging-steps 1 --report-to tensorboard
    "${one_thread[@]}")
weights=adapter_model.safetensors
out=$tmp/run/out

# begin ARGUMENT...: starts a run and waits until it has written its first metrics and is paused.
begin() {
    rm -rf "$tmp/run" && mkdir "$tmp/run"
    make_full_pipe "$tmp/run/steps"
    # bash starts background commands with SIGINT ignored; env restores the default.
    env --default-signal=INT "$LOAM" "${train[@]}" --out "$out" "$@" >"$tmp/run/steps" 2>"$tmp/stderr" 4>&- &
    process=$!
    wait_for_text '"step": 1}' "$out/metrics.jsonl"
    wait_until_blocked
}
# wait_until_blocked: waits, half a minute at most, until ten checks in a row find the run blocked in writing its report.
wait_until_blocked() {
    local i still=0
    for ((i = 0; i < 3000 && still < 10; i++)); do
        still=$((still + 1))
        [ "$(sed 's/.*) \(.\).*/\1/' "/proc/$process/stat")" = S ] || still=0
        sleep 0.01
    done
}
# end CODE: lets the run end and checks its exit code.
end() {
    code=0
    wait "$process" || code=$?
    kill "$reader" 2>/dev/null && wait "$reader" 2>/dev/null || true
    [ "$code" -eq "$1" ] || fail "exit code $code, expected $1: $(cat "$tmp/stderr")"
}
reported_once() { # TEXT
    [ "$(grep -cF -- "$1" "$tmp/stderr")" -eq 1 ] || fail "\"$1\" is not reported exactly once: $(cat "$tmp/stderr")"
}
whole() { # the result is that of an undisturbed run, metrics and events too
    cmp -s "$tmp/whole/$weights" "$out/$weights" || fail 'another adapter'
    [ "$(grep -c '"loss"' "$out/metrics.jsonl")" -eq 60 ] || fail "lines are missing: $(grep -c . "$out/metrics.jsonl")"
    [ "$(find "$out/runs" -type f -printf '%s\n')" = "$(find "$tmp/whole/runs" -type f -printf '%s\n')" ] ||
        fail 'events are missing'
    [ -z "$(find "$out" -name '*.loam-*' -o -name '*.tmp-*')" ] || fail "left over: $(ls -A "$out")"
}
ok 'undisturbed' "${train[@]}" --out "$tmp/whole"

case_name='removed'
begin --save-steps 40
mv "$out" "$tmp/run/away" && rm -rf "$tmp/run/away"
drain_pipe
end 0
whole
reported_once "$out/metrics.jsonl cannot be made: No such file or directory"
reported_once "the output directory $out no longer existed: it is created again"
reported_once "$out/metrics.jsonl is being written again, nothing is missing"
[ -e "$out/checkpoint-40" ] && [ -e "$out/checkpoint-60" ] || fail "no checkpoints: $(ls "$out")"

case_name='moved away'
begin
mv "$out" "$tmp/run/moved"
drain_pipe
end 0
whole
[ ! -e "$tmp/run/moved/$weights" ] || fail 'the result went with the directory'

case_name='in its place a directory with something in it'
begin
mv "$out" "$tmp/run/moved" && mkdir "$out" && echo mine >"$out/notes"
drain_pipe
wait_for_text 'the result cannot be saved' "$tmp/stderr"
rm "$out/notes"
end 0
whole

case_name='a file in its place, until it is gone'
begin --save-steps 20
mv "$out" "$tmp/run/away" && echo mine >"$out"
drain_pipe
wait_for_text 'the result cannot be saved' "$tmp/stderr"
[ "$(cat "$out")" = mine ] || fail 'the file was touched'
[ "$(grep -c '^loam: warning: no checkpoint of step' "$tmp/stderr")" -eq 3 ] || fail "$(cat "$tmp/stderr")"
rm "$out"
end 0
whole

for signal in INT TERM; do
    case_name="told to stop by SIG$signal while it waits"
    begin
        mv "$out" "$tmp/run/away" && echo mine >"$out"
    drain_pipe
    wait_for_text 'the result cannot be saved' "$tmp/stderr"
    kill "-$signal" "$process"
    [ "$signal" = INT ] && end 130 || end 143
    tail -n 1 "$tmp/stderr" | grep -q "^loam: stopped: the result of 60 steps is lost, there is no checkpoint of it: .*$out" ||
        fail "$(tail -n 1 "$tmp/stderr")"
    [ "$(cat "$out")" = mine ] || fail 'the file was touched'
done

case_name='no longer than it is told to wait'
begin --save-wait 1
mv "$out" "$tmp/run/away" && echo mine >"$out"
drain_pipe
end 1
tail -n 1 "$tmp/stderr" | grep -q "^loam: the result of 60 steps is lost, there is no checkpoint of it: .*$out" ||
    fail "$(tail -n 1 "$tmp/stderr")"
reported_once 'saving is tried again for 1 s'
grep -q 'until it works' "$tmp/stderr" && fail "$(cat "$tmp/stderr")"

case_name='a checkpoint in the place of the result'
begin --save-wait 1
mkdir "$out/README.md"
drain_pipe
end 1
tail -n 1 "$tmp/stderr" | grep -q "^loam: the result is not saved, but step 60 is, in $out/checkpoint-60, and --resume .*README.md: Is a directory" ||
    fail "$(tail -n 1 "$tmp/stderr")"
rmdir "$out/README.md"
ok 'its result' "${train[@]}" --out "$out" --resume
whole

case_name='not at all'
begin --save-wait 0
mv "$out" "$tmp/run/away" && echo mine >"$out"
drain_pipe
end 1
grep -q 'the result cannot be saved' "$tmp/stderr" && fail "$(cat "$tmp/stderr")"

case_name='stopped at a step'
begin --save-steps 20
mv "$out" "$tmp/run/away" && echo mine >"$out"
kill -INT "$process"
drain_pipe
end 130
tail -n 1 "$tmp/stderr" | grep -q "^loam: stopped at step [0-9]* of 60, and not saved: .*$out" || fail "$(cat "$tmp/stderr")"

# ---- A second signal stops at once ----
for second in INT TERM; do
    case_name="a second signal, SIG$second"
    begin
        # The run is blocked in writing a report. One signal would let it finish the step; two end it at once.
    kill -INT "$process"
    sleep 0.2
    kill -0 "$process" 2>/dev/null || fail 'the first one ended it'
    kill "-$second" "$process"
    code=0
    wait "$process" || code=$?
    exec 4>&-
    expected=130
    [ "$second" = INT ] || expected=143
    [ "$code" -eq "$expected" ] || fail "exit code $code, expected $expected"
    [ -z "$(find "$out" -name 'checkpoint-*')" ] || fail "it saved: $(ls -A "$out")"
    ok "anew after SIG$second" "${train[@]}" --out "$out" --resume
    cmp -s "$tmp/whole/$weights" "$out/$weights" || fail 'another adapter'
done
finish
