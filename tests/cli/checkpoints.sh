# Which checkpoints a run resumes from, which it refuses, and which it removes. It removes only checkpoints that are provably
# its own and beyond the limit, abandoned, damaged, or replaced by --overwrite.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
data=$tiny/questions.json
train=(train --model "$tmp/model" --data "$data" --batch-size 2 --learning-rate 1e-3 --max-steps 6 --save-steps 2 "${one_thread[@]}")
weights=adapter_model.safetensors
out=$tmp/run

ok 'a run' "${train[@]}" --out "$tmp/saved"
# again: restores OUT to the state after that run.
again() { rm -rf "$out" && cp -r "$tmp/saved" "$out"; }
contents() { (cd "$1" && find . ! -type d -printf '%p %s %T@ %l\n' | sort); }
# kept CODE TEXT NAME ARGUMENT...: refused with one line that has TEXT; OUT does not change.
kept() {
    local expected=$1 text=$2
    shift 2
    contents "$out" >"$tmp/before"
    run "$@"
    [ "$code" -eq "$expected" ] || fail "exit code $code, expected $expected: $(cat "$tmp/stderr")"
    tail -n 1 "$tmp/stderr" | grep -qF -- "$text" || fail "\"$text\" is not in: $(cat "$tmp/stderr")"
    contents "$out" | diff "$tmp/before" - >"$tmp/changes" || fail "$(cat "$tmp/changes")"
}
have() { # CHECKPOINT...: exactly these are in OUT
    [ "$(find "$out" -maxdepth 1 -name 'checkpoint-*' -printf '%f\n' | sort)" = "$(printf '%s\n' "$@" | sort)" ] ||
        fail "$(ls "$out")"
}
# sign CHECKPOINT: updates its checksums to its files.
sign() { (cd "$1" && rm checksums.sha256 && sha256sum -- * >"$tmp/sums" && cp "$tmp/sums" checksums.sha256); }

# ---- An unreadable checkpoint is not damaged ----
# A link to itself cannot be opened, even by root.
for file in loam_state.json training_state.safetensors checksums.sha256; do
    again
    for checkpoint in "$out"/checkpoint-*; do
        rm "$checkpoint/$file" && ln -s "$file" "$checkpoint/$file"
    done
    kept 1 "/$file: Too many levels of symbolic links" "unreadable: $file" "${train[@]}" --out "$out" --resume
    grep -q "make it readable, or move $out/checkpoint-[0-9] away" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
done
again
rm "$out/checkpoint-6/loam_state.json" && ln -s loam_state.json "$out/checkpoint-6/loam_state.json"
kept 1 "$out/checkpoint-6/loam_state.json" 'one before it is no reason' "${train[@]}" --out "$out" --resume
kept 1 "$out/checkpoint-6/loam_state.json" 'nor one that is named' "${train[@]}" --out "$out" --resume "$out/checkpoint-4"
kept 1 "$out/checkpoint-6/loam_state.json" 'nor --overwrite' "${train[@]}" --out "$out" --overwrite
mv "$out/checkpoint-6" "$tmp/away"
ok 'moved away' "${train[@]}" --out "$out" --resume
grep -q "going on from $out/checkpoint-4" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"

# ---- A checkpoint of a newer loam is not damaged either ----
again
for checkpoint in "$out"/checkpoint-*; do
    sed -i 's/"version": 1/"version": 2/' "$checkpoint/loam_state.json" && sign "$checkpoint"
done
kept 1 'is of version 2' 'a newer version' "${train[@]}" --out "$out" --resume
again
for checkpoint in "$out"/checkpoint-*; do
    sed -i 's/"version": 1/"version": 2/' "$checkpoint/loam_state.json" && mv "$checkpoint/training_state.safetensors" "$checkpoint/state.bin" &&
        sign "$checkpoint"
done
kept 1 'is of version 2' 'a newer version with other files' "${train[@]}" --out "$out" --resume
ok 'replaced with --overwrite' "${train[@]}" --out "$out" --overwrite --max-steps 3 --save-steps 3
have checkpoint-3

# ---- Damage in all checkpoints ----
again
for checkpoint in "$out"/checkpoint-*; do truncate -s -1 "$checkpoint/training_state.safetensors"; done
kept 1 "there is no whole checkpoint to resume from in $out: --overwrite starts anew" 'all damaged' "${train[@]}" --out "$out" --resume
ok 'restarted with --overwrite' "${train[@]}" --out "$out" --resume --overwrite
cmp -s "$tmp/saved/$weights" "$out/$weights" || fail 'another adapter'
(cd "$out/checkpoint-6" && sha256sum --quiet -c checksums.sha256) || fail 'the damaged one stays'

# ---- Checkpoints of another run ----
ok 'another run' "${train[@]}" --out "$tmp/other" --save-steps 3 --seed 7
again
kept 1 "$out/checkpoint-6 is of another run" 'into the directory of another run' "${train[@]}" --out "$out" --seed 7 \
    --resume "$tmp/other/checkpoint-3"
ok 'back to an earlier one' "${train[@]}" --out "$out" --resume "$out/checkpoint-2" --allow-change --learning-rate 2e-3 --max-steps 5 --save-steps 5
have checkpoint-2 checkpoint-5
again
mv "$out/checkpoint-2" "$tmp/mine" && cp -r "$tmp/other/checkpoint-3" "$out/checkpoint-3"
ok 'an earlier one of another run' "${train[@]}" --out "$out" --resume --max-steps 8 --save-total-limit 1
have checkpoint-3 checkpoint-8
again
mkdir "$out/checkpoint-12" && echo mine >"$out/checkpoint-12/weights" && sign_of=$(cd "$out/checkpoint-12" && sha256sum weights)
echo "$sign_of" >"$out/checkpoint-12/checksums.sha256"
ok 'a directory of somebody else' "${train[@]}" --out "$out" --overwrite --save-total-limit 1
have checkpoint-12 checkpoint-6
[ "$(cat "$out/checkpoint-12/weights")" = mine ] || fail 'it was touched'

# A copy in place of a checkpoint that the run made is another directory.
case_name='another directory in its place'
rm -rf "$out"
make_full_pipe "$tmp/steps"
"$LOAM" "${train[@]}" --logging-steps 1 --save-total-limit 1 --out "$out" >"$tmp/steps" 2>"$tmp/stderr" 4>&- &
process=$!
wait_for_text '"step": 2' "$out/checkpoint-2/loam_state.json"
sleep 1 # the directory gets its name before the run has recorded it
mv "$out/checkpoint-2" "$tmp/aside" && cp -r "$tmp/aside" "$out/checkpoint-2"
drain_pipe
code=0
wait "$process" || code=$?
kill "$reader" 2>/dev/null && wait "$reader" 2>/dev/null || true
[ "$code" -eq 0 ] || fail "exit code $code: $(cat "$tmp/stderr")"
have checkpoint-2 checkpoint-6

# ---- Nothing left to train ----
again
kept 1 "has 6 steps and this run is to have 3: nothing is left to train" 'fewer steps' "${train[@]}" --out "$out" --resume --max-steps 3
tail -n 1 "$tmp/stderr" | grep -qF -- "--adapter $out/checkpoint-6" || fail "$(cat "$tmp/stderr")"
python3 - "$data" >"$tmp/small.json" <<'END'
import json, sys
squad = json.load(open(sys.argv[1]))
squad["data"] = squad["data"][:1]
squad["data"][0]["paragraphs"] = squad["data"][0]["paragraphs"][:1]
json.dump(squad, sys.stdout)
END
on_small=("${train[@]/"$data"/"$tmp/small.json"}")
kept 1 'nothing is left to train' 'less data' "${on_small[@]}" --out "$out" --resume --allow-change --max-steps -1 --epochs 1
kept 1 'nothing is left to train' 'as many steps of something else' "${on_small[@]}" --out "$out" --resume --allow-change
ok 'the adapter it names' "${on_small[@]}" --adapter "$out/checkpoint-6" --max-steps 2 --out "$tmp/further"
ok 'the same again' "${train[@]}" --out "$out" --resume
cmp -s "$tmp/saved/$weights" "$out/$weights" && cmp -s "$tmp/saved/run.yaml" <(sed "s|$out|$tmp/saved|" "$out/run.yaml") || fail 'another result'
grep -q 'changed on the way' "$out/README.md" "$out/run.yaml" && fail 'a change that was none'

# ---- Differences that the options do not show ----
ok 'more data' "${on_small[@]}" --out "$out" --resume --allow-change --max-steps 8
ok 'more steps' "${on_small[@]}" --out "$out" --resume --max-steps 10
for file in run.yaml README.md; do
    grep -q "from step 6 on: --data was $data and is $tmp/small.json$" "$out/$file" || fail "$(cat "$out/$file")"
    grep -q 'from step 6 on: 8 steps in all, not 6$' "$out/$file" || fail "$(cat "$out/$file")"
    grep -q 'from step 8 on: 10 steps in all, not 8$' "$out/$file" || fail "$(cat "$out/$file")"
done
grep -q '^| epochs |' "$out/README.md" && fail 'epochs of two files'
ok 'run.yaml is read all the same' train --config "$out/run.yaml" --out "$tmp/repeated"
finish
