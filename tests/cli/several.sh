# Several adapters in generate, eval and merge: factors, names and refusals.
. "$(dirname "$0")/common.sh"

make_model "$tmp/model"
train() {
    local out=$1
    shift
    "$LOAM" train --model "$tmp/model" --data "$tiny/questions.json" --out "$out" --max-steps 3 --lr 0.05 \
        "${one_thread[@]}" "$@" >/dev/null 2>&1
}
train "$tmp/a" --lora-r 4
train "$tmp/b" --lora-r 2 --target-modules all-linear --seed 7
common=(--model "$tmp/model" "${one_thread[@]}" --dtype f32)
# loss_of ADAPTER...: the loss of a sum of adapters, as JSON.
loss_of() {
    local arguments=() adapter
    for adapter; do arguments+=(--adapter "$adapter"); done
    ok "eval $*" eval "${common[@]}" --data "$tiny/questions.json" --json "${arguments[@]}"
    loss=$(number eval_loss "$tmp/stdout")
}
# same A B: whether two losses agree to what f32 holds.
same() {
    awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; exit !(a != "" && b != "" && d * d < 1e-10) }'
}

# ---- Factors ----
loss_of; base=$loss
loss_of "$tmp/a"; a=$loss
loss_of "$tmp/b"; b=$loss
loss_of "$tmp/a" "$tmp/b"; both=$loss
for pair in "$base $a" "$a $b" "$a $both" "$b $both"; do
    # shellcheck disable=SC2086
    ! same $pair || fail "an adapter has no effect: $pair"
done
loss_of "$tmp/b:1" "$tmp/a:1.0"; same "$loss" "$both" || fail "the order counts: $loss, $both"
loss_of "$tmp/a" "$tmp/b:0"; same "$loss" "$a" || fail "a factor of 0: $loss, $a"
loss_of "$tmp/a:0.5" "$tmp/a:5e-1"; same "$loss" "$a" || fail "two halves: $loss, $a"
loss_of "$tmp/a:2" "$tmp/b" "$tmp/a:-1"; same "$loss" "$both" || fail "a negative factor: $loss, $both"

# ---- Merged ----
ok 'merges two' merge --model "$tmp/model" --adapter "$tmp/a:0.5" --adapter "$tmp/b:-1" --out "$tmp/merged" "${one_thread[@]}"
output_has 'tensors merged'
loss_of "$tmp/a:0.5" "$tmp/b:-1"; sum=$loss
ok 'the merged model' eval --model "$tmp/merged" --data "$tiny/questions.json" --json --dtype f32 "${one_thread[@]}"
same "$(number eval_loss "$tmp/stdout")" "$sum" || fail "merged: $(cat "$tmp/stdout"), not $sum"
refuses 1 "the adapter's own directory" 'over one of them' merge --model "$tmp/model" --adapter "$tmp/a" --adapter "$tmp/b" \
    --out "$tmp/b" --overwrite

# ---- Generated ----
ok 'generates with two' generate "${common[@]}" --prompt 'where is' --max-new-tokens 8 --adapter "$tmp/a:3" --adapter "$tmp/b:2" --json
sed -n '/"ids"/,/]/p' "$tmp/stdout" >"$tmp/ids"
ok 'merges them' merge --model "$tmp/model" --adapter "$tmp/a:3" --adapter "$tmp/b:2" --out "$tmp/merged3" --no-check
ok 'generates with the merged model' generate --model "$tmp/merged3" --dtype f32 "${one_thread[@]}" --prompt 'where is' --max-new-tokens 8 --json
sed -n '/"ids"/,/]/p' "$tmp/stdout" | cmp -s - "$tmp/ids" || fail "other tokens: $(cat "$tmp/stdout" "$tmp/ids")"

# ---- Names that end in a number ----
cp -r "$tmp/a" "$tmp/run:2"
loss_of "$tmp/run:2"; same "$loss" "$a" || fail "a directory run:2 is not itself: $loss, $a"
loss_of "$tmp/run:2:1"; same "$loss" "$a" || fail "run:2 with a factor: $loss, $a"
loss_of "$tmp/run:2:0"; same "$loss" "$base" || fail "run:2 with the factor 0: $loss, $base"
(cd "$tmp" && "$LOAM" generate --model model --adapter a:0.5 --adapter run:2 --prompt x --print-config) >"$tmp/run.yaml"
grep -qF -- "- \"$tmp/a:0.5\"" "$tmp/run.yaml" || fail "$(grep -A 3 adapter "$tmp/run.yaml")"
grep -qF -- "- \"$tmp/run:2\"" "$tmp/run.yaml" || fail "$(grep -A 3 adapter "$tmp/run.yaml")"

# ---- The model that they name ----
ok 'the model of the first' generate --adapter "$tmp/a" --adapter "$tmp/b" --prompt x --max-new-tokens 1 "${one_thread[@]}"
! grep -q 'which is used' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
cp -r "$tmp/b" "$tmp/other"
sed -i 's|"base_model_name_or_path": "[^"]*"|"base_model_name_or_path": "org/other"|' "$tmp/other/adapter_config.json"
ok 'another model' generate --adapter "$tmp/a" --adapter "$tmp/other" --prompt x --max-new-tokens 1 "${one_thread[@]}"
grep -qF "$tmp/other is for the model \"org/other\"" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"

# ---- Refusals ----
generate=(generate --model "$tmp/model" --prompt x "${one_thread[@]}")
refuses 2 'too large' 'a factor beyond f32' "${generate[@]}" --adapter "$tmp/a:1e60"
refuses 1 "$tmp/nowhere" 'an adapter that is not there' "${generate[@]}" --adapter "$tmp/a" --adapter "$tmp/nowhere:0.5"
refuses 1 "$tmp/a:half" 'a factor that is none' "${generate[@]}" --adapter "$tmp/a:half"
refuses 1 "$tmp/model is a model" 'a model in the place of the second' "${generate[@]}" --adapter "$tmp/a" --adapter "$tmp/model:2"
mkdir "$tmp/broken" && cp "$tmp/b/adapter_config.json" "$tmp/broken"
refuses 1 "$tmp/broken/adapter_model.safetensors" 'a broken second adapter' "${generate[@]}" --adapter "$tmp/a" --adapter "$tmp/broken"
train "$tmp/dora" --use-dora
ok 'DoRA alone' "${generate[@]}" --adapter "$tmp/dora:1" --max-new-tokens 1
for sum in "$tmp/dora:0.5" "$tmp/a $tmp/dora" "$tmp/dora $tmp/a"; do
    arguments=()
    for adapter in $sum; do arguments+=(--adapter "$adapter"); done
    refuses 1 "$tmp/dora: DoRA" "$sum" "${generate[@]}" "${arguments[@]}"
    refuses 1 "$tmp/dora: DoRA" "merge $sum" merge --model "$tmp/model" --out "$tmp/out" "${arguments[@]}"
done
refuses 2 '--adapter is given twice' 'two adapters to train' train --model "$tmp/model" --data "$tiny/questions.json" \
    --out "$tmp/out" --adapter "$tmp/a" --adapter "$tmp/b"
finish
