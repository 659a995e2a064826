# An input that changes or disappears during a run: the finished steps are saved, and the run can be resumed once the input
# is back.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
python3 - "$tiny/questions.json" >"$tmp/lines.jsonl" <<'END'
import json, sys
for article in json.load(open(sys.argv[1]))["data"]:
    for paragraph in article["paragraphs"]:
        for question in paragraph["qas"]:
            print(json.dumps({"text": question["question"] + " " + paragraph["context"]}))
END
cp "$tmp/lines.jsonl" "$tmp/data.jsonl" && cp "$tmp/lines.jsonl" "$tmp/eval.jsonl"
train=(train --model "$tmp/model" --data "$tmp/data.jsonl" --eval-data "$tmp/eval.jsonl" --max-steps 40 --batch-size 1
    --learning-rate 1e-3 --logging-steps 1 "${one_thread[@]}")
weights=adapter_model.safetensors
ok 'undisturbed' "${train[@]}" --eval-steps 5 --out "$tmp/whole"

again=() # what --resume needs then
size=10  # bytes that are left
# broken FILE TEXT ARGUMENT...: FILE is cut while the run is paused. The run reports TEXT and saves its steps.
broken() {
    local file=$1 text=$2 steps=$tmp/steps
    shift 2
    rm -rf "$tmp/out" "$steps"
    make_full_pipe "$steps"
    "$LOAM" "${train[@]}" --out "$tmp/out" "$@" >"$steps" 2>"$tmp/stderr" 4>&- &
    process=$!
    wait_for_text '"step": 1}' "$tmp/out/metrics.jsonl"
    cp "$file" "$tmp/whole_file"
    truncate -s "$size" "$file"
    drain_pipe
    code=0
    wait "$process" || code=$?
    kill "$reader" 2>/dev/null && wait "$reader" 2>/dev/null || true
    cp -p "$tmp/whole_file" "$file"
    [ "$code" -eq 1 ] || fail "exit code $code: $(cat "$tmp/stderr")"
    [ "$(grep '^loam: ' "$tmp/stderr" | grep -vc '^loam: warning: ')" -eq 1 ] || fail "not one line of error: $(cat "$tmp/stderr")"
    step=$(tail -n 1 "$tmp/stderr" | sed -n "s|^loam: $text; step \([0-9]*\) of 40 is saved in $tmp/out/checkpoint-[0-9]*: --resume goes on from there$|\1|p")
    [ -n "$step" ] && [ -d "$tmp/out/checkpoint-$step" ] || fail "$(cat "$tmp/stderr")"
    [ ! -e "$tmp/out/$weights" ] || fail 'a result of half a run'
    ok "$case_name, on" "${train[@]}" --out "$tmp/out" "$@" --resume "${again[@]}"
    grep -q "going on from $tmp/out/checkpoint-$step at step $step of 40" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
    cmp -s "$tmp/whole/$weights" "$tmp/out/$weights" || fail 'another adapter'
    [ "$(grep -c '"loss"' "$tmp/out/metrics.jsonl")" -eq 40 ] || fail "lines are missing: $(grep -c . "$tmp/out/metrics.jsonl")"
}
case_name='the data is cut off'
broken "$tmp/data.jsonl" "$tmp/data.jsonl:[0-9]*: the file has become shorter since it was opened" --eval-steps 5
case_name='the evaluation data is cut off'
broken "$tmp/eval.jsonl" "$tmp/eval.jsonl:[0-9]*: the file has become shorter since it was opened" --eval-steps 5
[ "$step" -eq 5 ] || fail "not at the evaluation: $step"
case_name='at the last step'
broken "$tmp/eval.jsonl" "$tmp/eval.jsonl:[0-9]*: the file has become shorter since it was opened"
[ "$step" -eq 40 ] || fail "not at the end: $step"
# f32 weights are read in place from the mapped file.
train+=(--dtype f32)
ok 'undisturbed, f32' "${train[@]}" --eval-steps 5 --out "$tmp/whole" --overwrite
case_name='the model is cut off'
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}handle_sigbus=0 # AddressSanitizer has a handler of its own
again=(--allow-change)
unreadable="$tmp/model can no longer be read: .*; make it whole, then --allow-change lets --resume take it"
broken "$tmp/model/model.safetensors" "$unreadable" --eval-steps 5
# The rest of the page in which a file ends reads as zeros, without a signal.
case_name='the model loses its last bytes'
size=-16
broken "$tmp/model/model.safetensors" "$unreadable" --eval-steps 5
size=10
# Converted weights are in memory: the run continues without the model, whose tokenizer is then missing.
case_name='the model is gone'
cp -r "$tmp/model" "$tmp/gone" && rm -rf "$tmp/out" "$tmp/steps"
make_full_pipe "$tmp/steps"
"$LOAM" "${train[@]}" --model "$tmp/gone" --dtype bf16 --out "$tmp/out" >"$tmp/steps" 2>"$tmp/stderr" 4>&- &
process=$!
wait_for_text '"step": 1}' "$tmp/out/metrics.jsonl"
rm -r "$tmp/gone"
drain_pipe
wait "$process" || fail "$(cat "$tmp/stderr")"
kill "$reader" 2>/dev/null && wait "$reader" 2>/dev/null || true
grep -qF "$tmp/gone no longer exists: $tmp/out has no tokenizer from it" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
finish
