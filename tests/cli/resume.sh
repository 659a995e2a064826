# A run that was killed or stopped is resumed and ends with the same bytes. LOAM_KILLS is the number of kills; 200 takes
# minutes.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
data=$tiny/questions.json
kills=${LOAM_KILLS:-6}
# Options with all kinds of state: dropout, accumulation, shuffling, several epochs, a schedule with warm-up, evaluation.
bare=(train --model "$tmp/model" --data "$data" --eval-data "$data" --eval-steps 3 --batch-size 2 --accumulation 2
    --epochs 2.5 --warmup-steps 3 --lr-scheduler-type cosine --learning-rate 1e-2 --logging-steps 1
    --report-to tensorboard "${one_thread[@]}")
train=("${bare[@]}" --lora-dropout 0.1)
anew=("${train[@]}")
weights=adapter_model.safetensors

# same_end DIR: checks that it holds the result of the undisturbed run and no incomplete files.
same_end() {
    cmp -s "$tmp/whole/$weights" "$1/$weights" || fail "$1: another adapter"
    cmp -s <(figures "$tmp/whole") <(figures "$1") || fail "other metrics: $(diff <(figures "$tmp/whole") <(figures "$1"))"
    [ "$(events "$tmp/whole")" = "$(events "$1")" ] || fail "the event file has $(events "$1") bytes, not $(events "$tmp/whole")"
    [ -z "$(find "$1" -name '*.loam-*' -o -name '*.tmp-*')" ] || fail "left over: $(find "$1" -name '*.loam-*' -o -name '*.tmp-*')"
}
# Prints the metrics without times and memory.
figures() { sed 's/"[a-z_]*\(per_second\|runtime\|peak_memory_bytes\)": [^,}]*, //g' "$1/metrics.jsonl"; }
# Prints the bytes of the newest event file.
events() { find "$1/runs" -type f -printf '%f %s\n' | sort | tail -n 1 | cut -d ' ' -f 2; }

ok 'undisturbed' "${train[@]}" --out "$tmp/whole"
[ -z "$(find "$tmp/whole" -name 'checkpoint-*')" ] || fail 'checkpoints without the option'

# ---- Killed at random moments, also while a checkpoint is written ----
case_name='killed'
killed=0 finished=0 round=0
while [ "$killed" -lt "$kills" ]; do
    out=$tmp/killed-$round code=137
    while [ "$code" -eq 137 ]; do
        "$LOAM" "${train[@]}" --out "$out" --save-steps $((1 + round % 2)) --save-total-limit 2 --resume \
            >"$tmp/stdout" 2>"$tmp/stderr" &
        process=$!
        if [ "$killed" -lt "$kills" ]; then
            sleep "0.$((RANDOM % 5))$((RANDOM % 10))$((RANDOM % 10))"
            kill -KILL "$process" 2>/dev/null || true
        fi
        code=0
        wait "$process" 2>/dev/null || code=$?
        if [ "$code" -eq 137 ]; then killed=$((killed + 1)); fi
    done
    [ "$code" -eq 0 ] || fail "exit code $code: $(cat "$tmp/stderr")"
    [ "$code" -eq 0 ] || break
    same_end "$out"
    [ "$(find "$out" -maxdepth 1 -name 'checkpoint-*' | wc -l)" -le 2 ] || fail "too many checkpoints: $(ls "$out")"
    rm -rf "$out"
    finished=$((finished + 1)) round=$((round + 1))
done
echo "killed $killed times in $finished runs"

# ---- Stopped: the run finishes the step and saves ----
for signal in TERM INT; do
    case_name="SIG$signal"
    rm -rf "$tmp/out"
    mkfifo "$tmp/steps"
    # bash starts background commands with SIGINT ignored; env restores the default.
    env --default-signal=INT "$LOAM" "${train[@]}" --out "$tmp/out" --resume >"$tmp/steps" 2>"$tmp/stderr" &
    process=$!
    exec 4<"$tmp/steps"
    head -n 1 <&4 >"$tmp/first"
    kill "-$signal" "$process"
    cat <&4 >/dev/null
    exec 4<&-
    rm "$tmp/steps"
    code=0
    wait "$process" || code=$?
    expected=143
    [ "$signal" = TERM ] || expected=130
    if [ "$code" -eq "$expected" ]; then
        tail -n 1 "$tmp/stderr" | grep -q "^loam: stopped at step [0-9]* of .*, saved in $tmp/out/checkpoint-[0-9]*; --resume" ||
            fail "$(cat "$tmp/stderr")"
        [ "$(find "$tmp/out" -maxdepth 1 -name 'checkpoint-*' | wc -l)" -eq 1 ] || fail "$(ls -A "$tmp/out")"
        [ ! -e "$tmp/out/$weights" ] || fail 'a result of half a run'
        (cd "$tmp/out"/checkpoint-* && sha256sum --quiet -c checksums.sha256) || fail 'checksums'
        ok 'the checkpoint as an adapter' eval --model "$tmp/model" --data "$data" "${one_thread[@]}" \
            --adapter "$(echo "$tmp/out"/checkpoint-*)"
    else
        # The run ended before the signal arrived.
        [ "$code" -eq 0 ] || fail "exit code $code: $(cat "$tmp/stderr")"
    fi
    ok "on after SIG$signal" "${train[@]}" --out "$tmp/out" --resume
    same_end "$tmp/out"
done

# ---- Available checkpoints ----
rm -rf "$tmp/out"
ok 'nothing there yet' "${train[@]}" --out "$tmp/out" --resume --save-steps 4
grep -q "no checkpoint to resume from in $tmp/out: the run starts anew" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
same_end "$tmp/out"
last=$(find "$tmp/out" -maxdepth 1 -name 'checkpoint-*' | sed 's/.*-//' | sort -n | tail -n 1)
cp -r "$tmp/out" "$tmp/saved"
ok 'from the very end' "${train[@]}" --out "$tmp/out" --resume
grep -q "going on from $tmp/out/checkpoint-$last at step $last of $last" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
same_end "$tmp/out"
# Killed after the newest was written and before the older ones were removed: the limit holds although nothing more is saved.
ok 'one too many' "${train[@]}" --out "$tmp/out" --resume --save-total-limit 2
[ "$(find "$tmp/out" -maxdepth 1 -name 'checkpoint-*' | wc -l)" -eq 2 ] || fail "$(ls "$tmp/out")"
rm -rf "$tmp/out" && cp -r "$tmp/saved" "$tmp/out"
ok 'from one of them, elsewhere' "${train[@]}" --out "$tmp/elsewhere" --resume "$tmp/out/checkpoint-4" --report-to none
cmp -s "$tmp/whole/$weights" "$tmp/elsewhere/$weights" || fail 'another adapter'
cmp -s <(figures "$tmp/whole") <(figures "$tmp/elsewhere") || fail 'other metrics'
run 'from a directory that is not there' "${train[@]}" --out "$tmp/new" --resume "$tmp/nowhere"
[ "$code" -eq 1 ] && grep -q "$tmp/nowhere/checksums.sha256" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
[ ! -e "$tmp/new" ] || fail 'the directory was left behind'
run 'without --resume' "${train[@]}" --out "$tmp/out"
[ "$code" -eq 1 ] && grep -q 'not empty' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
mkdir "$tmp/notes" && echo mine >"$tmp/notes/notes"
run 'the files of somebody else' "${train[@]}" --out "$tmp/notes" --resume
[ "$code" -eq 1 ] && grep -q 'not empty' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
[ "$(ls -A "$tmp/notes")" = notes ] || fail "$(ls -A "$tmp/notes")"

# ---- A damaged checkpoint: the one before it is used ----
damage() { # NAME COMMAND...: what the command does to the newest checkpoint is seen
    local name=$1
    shift
    rm -rf "$tmp/out" && cp -r "$tmp/saved" "$tmp/out"
    (cd "$tmp/out/checkpoint-$last" && "$@")
    ok "$name" "${train[@]}" --out "$tmp/out" --resume --save-steps 4
    [ "$(grep -c 'falling back to the checkpoint before' "$tmp/stderr")" -eq 1 ] || fail "$(cat "$tmp/stderr")"
    same_end "$tmp/out"
    (cd "$tmp/out/checkpoint-$last" && sha256sum --quiet -c checksums.sha256) || fail 'the damaged one stays'
}
flip() { # FILE: one byte in its middle becomes another
    local at=$(($(wc -c <"$1") / 2)) byte
    byte=$(od -An -tu1 -j "$at" -N 1 "$1")
    # shellcheck disable=SC2059
    printf "$(printf '\\%03o' $((byte ^ 1)))" | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
}
damage 'a truncated file' truncate -s -1 training_state.safetensors
damage 'a flipped bit' flip training_state.safetensors
damage 'a flipped bit in the state' flip loam_state.json
damage 'a flipped bit in the checksums' flip checksums.sha256
damage 'a file that is gone' rm loam_state.json

# ---- Other options ----
changed() { # TEXT ARGUMENT...: refused, naming it; and allowed when it is said
    local text=$1
    shift
    rm -rf "$tmp/out" && cp -r "$tmp/saved" "$tmp/out"
    run "changed: $text" "${train[@]}" --out "$tmp/out" --resume "$@"
    [ "$code" -eq 1 ] || fail "exit code $code"
    tail -n 1 "$tmp/stderr" | grep -qF -- "$text" || fail "\"$text\" is not in: $(cat "$tmp/stderr")"
    cmp -s "$tmp/saved/$weights" "$tmp/out/$weights" || fail 'the result was touched'
    cmp -s "$tmp/saved/metrics.jsonl" "$tmp/out/metrics.jsonl" || fail 'the metrics were touched'
}
changed '--learning-rate was 0.01 and is 0.02' --learning-rate 2e-2
changed '--seed was 42 and is 43' --seed 43
changed '--lora-r was 8 and is 4' --lora-r 4
changed '--shuffle was true and is false' --no-shuffle
sed 's/bakery/bakehouse/' "$data" >"$tmp/other.json"
same=("${train[@]}")
train=("${train[@]/#"$data"/"$tmp/other.json"}")
changed "--data was $data and is $tmp/other.json"
train=("${same[@]}")
ok 'allowed' "${train[@]}" --out "$tmp/out" --resume --learning-rate 2e-2 --allow-change --epochs 4
grep -q -- '--learning-rate was 0.01 and is 0.02' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
ok 'a longer run' "${train[@]}" --out "$tmp/saved" --resume --epochs 4
grep -q 'the learning rate follows the schedule of the new number' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
grep -q '"epoch": 4,' "$tmp/saved/metrics.jsonl" || fail "$(tail -n 2 "$tmp/saved/metrics.jsonl")"

# ---- An adapter to continue from ----
from=("${bare[@]}" --adapter "$tmp/start")
cp -r "$tmp/whole" "$tmp/start"
rm -rf "$tmp/out" "$tmp/from"
ok 'from an adapter' "${from[@]}" --out "$tmp/from"
ok 'from an adapter, to be resumed' "${from[@]}" --out "$tmp/out" --save-steps 4
rm -rf "$tmp/out/checkpoint-$last" "$tmp/saved" && cp -r "$tmp/out" "$tmp/saved"
changed '--init-lora-weights was none and is gaussian'
train=("${from[@]}")
cp -r "$tmp/start" "$tmp/kept"
for file in adapter_model.safetensors adapter_config.json; do
    if [ "$file" = adapter_config.json ]; then echo >>"$tmp/start/$file"; else flip "$tmp/start/$file"; fi
    changed "--adapter $tmp/start has other contents now"
    cp "$tmp/kept/$file" "$tmp/start/$file"
done
mv "$tmp/start" "$tmp/moved"
rm -rf "$tmp/out" && cp -r "$tmp/saved" "$tmp/out"
ok 'resumed from an adapter that has moved' "${bare[@]}" --adapter "$tmp/moved" --out "$tmp/out" --resume
cmp -s "$tmp/from/$weights" "$tmp/out/$weights" || fail 'another adapter'

# ---- All parameters ----
full=("${bare[@]}" --method full --learning-rate 1e-3 --max-steps 6)
for dtype in f32 bf16; do
    rm -rf "$tmp/out" "$tmp/full"
    ok "full, $dtype" "${full[@]}" --dtype "$dtype" --out "$tmp/full"
    ok "full, $dtype, to be resumed" "${full[@]}" --dtype "$dtype" --out "$tmp/out" --save-steps 2
    rm -rf "$tmp/out/checkpoint-6" "$tmp/out/checkpoint-4"
    ok "full, $dtype, resumed" "${full[@]}" --dtype "$dtype" --out "$tmp/out" --resume
    cmp -s "$tmp/full/model.safetensors" "$tmp/out/model.safetensors" || fail 'another model'
done
finish
