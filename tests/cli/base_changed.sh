# A resumed run requires the model that it began with: every byte of its files is compared, unless the files are the same.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
data=$tiny/questions.json
train=(train --data "$data" --batch-size 2 --learning-rate 1e-3 --max-steps 6 --save-steps 3 "${one_thread[@]}")
weights=adapter_model.safetensors
ok 'a run' "${train[@]}" --model "$tmp/model" --out "$tmp/saved"
rm -r "$tmp/saved/checkpoint-6"
grep -q '"sha256": "[0-9a-f]\{64\}",$' "$tmp/saved/checkpoint-3/loam_state.json" || fail "$(cat "$tmp/saved/checkpoint-3/loam_state.json")"
# goes_on MODEL: the checkpoint can be resumed with this model.
goes_on() {
    rm -rf "$tmp/run" && cp -r "$tmp/saved" "$tmp/run"
    run "$case_name" "${train[@]}" --model "$1" --out "$tmp/run" --resume "${@:2}"
}
accepted() {
    [ "$code" -eq 0 ] || fail "exit code $code: $(cat "$tmp/stderr")"
    cmp -s "$tmp/saved/$weights" "$tmp/run/$weights" || fail 'another adapter'
}
changed() {
    [ "$code" -eq 1 ] && tail -n 1 "$tmp/stderr" | grep -qF -- "$1 has other contents now; give the same, or --allow-change" ||
        fail "exit code $code: $(cat "$tmp/stderr")"
}

case_name='the same files'
goes_on "$tmp/model"
accepted
grep -q 'comparing' "$tmp/stderr" && fail "read again: $(cat "$tmp/stderr")"
case_name='touched'
touch "$tmp/model/model.safetensors"
goes_on "$tmp/model"
accepted
grep -qE 'comparing [1-9][0-9.]* [KM]iB' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
case_name='a copy'
cp -r "$tmp/model" "$tmp/copy"
goes_on "$tmp/copy"
accepted

# A change after the beginning of a tensor, with the same size and time of the file.
case_name='four bytes of the weights'
cp -r "$tmp/model" "$tmp/other"
size=$(stat -c %s "$tmp/other/model.safetensors")
printf '\1\2\3\4' | dd of="$tmp/other/model.safetensors" bs=1 seek=$((size / 2)) conv=notrunc status=none
touch -r "$tmp/model/model.safetensors" "$tmp/other/model.safetensors"
goes_on "$tmp/other"
changed "--model $tmp/other"
[ ! -e "$tmp/run/checkpoint-6" ] || fail 'it went on'
goes_on "$tmp/other" --allow-change
[ "$code" -eq 0 ] && grep -q -- "--model $tmp/other has other contents now" "$tmp/run/run.yaml" || fail "$(cat "$tmp/stderr")"
case_name="the tokenizer's configuration"
cp -r "$tmp/model" "$tmp/config"
echo ' ' >>"$tmp/config/tokenizer_config.json"
goes_on "$tmp/config"
changed "--model $tmp/config"

# The hashed files are not those that the run was trained on.
case_name='changed during the run'
rm -rf "$tmp/run"
make_full_pipe "$tmp/steps"
"$LOAM" "${train[@]}" --model "$tmp/copy" --logging-steps 1 --save-steps 6 --out "$tmp/run" --max-steps 12 >"$tmp/steps" 2>"$tmp/stderr" 4>&- &
process=$!
wait_for_text '"step": 1}' "$tmp/run/metrics.jsonl"
printf '\1\2\3\4' | dd of="$tmp/copy/model.safetensors" bs=1 seek=$((size / 2)) conv=notrunc status=none
drain_pipe
code=0
wait "$process" || code=$?
kill "$reader" 2>/dev/null && wait "$reader" 2>/dev/null || true
[ "$code" -eq 0 ] || fail "exit code $code: $(cat "$tmp/stderr")"
[ "$(grep -c "^loam: warning: $tmp/copy/model.safetensors was changed during the run" "$tmp/stderr")" -eq 1 ] || fail "$(cat "$tmp/stderr")"
rm -r "$tmp/run/checkpoint-12"
run "$case_name, resumed" "${train[@]}" --model "$tmp/copy" --save-steps 6 --out "$tmp/run" --max-steps 12 --resume
changed "--model $tmp/copy"
finish
