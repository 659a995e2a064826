# loam merge: a model that generates like base and adapter, and refusals without output.
. "$(dirname "$0")/common.sh"

make_model "$tmp/model"
data=$tiny/questions.json
"$LOAM" train --model "$tmp/model" --data "$data" --out "$tmp/adapter" --max-steps 30 --learning-rate 2e-2 \
    --target-modules all-linear "${one_thread[@]}" >/dev/null 2>&1
merge=(merge --model "$tmp/model" --adapter "$tmp/adapter" "${one_thread[@]}")
generate=(generate --prompt 'The bakery' --max-new-tokens 20 "${one_thread[@]}" --dtype f32)

ok 'base and adapter' "${generate[@]}" --model "$tmp/model" --adapter "$tmp/adapter"
cp "$tmp/stdout" "$tmp/expected"
ok 'the base alone' "${generate[@]}" --model "$tmp/model"
cmp -s "$tmp/stdout" "$tmp/expected" && fail 'the adapter changes nothing'

ok 'merge' "${merge[@]}" --out "$tmp/merged" --json
[ "$(number merged "$tmp/stdout")" = 8 ] || fail "$(cat "$tmp/stdout")"
[ "$(number files "$tmp/stdout")" = 1 ] || fail "$(cat "$tmp/stdout")"
below "$(number max_logit_difference "$tmp/stdout")" 1e-4 || fail "$(cat "$tmp/stdout")"
below "$(number kl_divergence "$tmp/stdout")" 1e-9 || fail "$(cat "$tmp/stdout")"
for name in config.json tokenizer.json tokenizer_config.json; do
    cmp -s "$tmp/model/$name" "$tmp/merged/$name" || fail "$name is not the base's"
done
ok 'generate with the merged model' "${generate[@]}" --model "$tmp/merged"
cmp -s "$tmp/stdout" "$tmp/expected" || fail "$(cat "$tmp/stdout") is not $(cat "$tmp/expected")"

# In files of 100 kB with another dtype, then over itself into one file.
ok 'merge into shards' "${merge[@]}" --out "$tmp/shards" --max-shard-size 100KB --no-check
output_has '7 files'
[ -s "$tmp/shards/model-00007-of-00007.safetensors" ] || fail "$(ls "$tmp/shards")"
ok 'generate with shards' "${generate[@]}" --model "$tmp/shards"
cmp -s "$tmp/stdout" "$tmp/expected" || fail "$(cat "$tmp/stdout")"
# Shards from before are removed when the model becomes one file.
full=(train --model "$tmp/model" --data "$tiny/questions.json" --method full --max-steps 2 "${one_thread[@]}")
cp -r "$tmp/shards" "$tmp/full" && cp -r "$tmp/shards" "$tmp/anew"
ok 'full training' "${full[@]}" --out "$tmp/alone"
ok 'full training over shards' "${full[@]}" --out "$tmp/full" --overwrite
[ "$(ls "$tmp/full")" = "$(ls "$tmp/alone")" ] || fail "$(ls "$tmp/full")"
cmp -s "$tmp/full/model.safetensors" "$tmp/alone/model.safetensors" || fail 'another model'
ok 'init over shards' init --config "$tiny/config.json" --tokenizer "$tiny/tokenizer.json" --out "$tmp/anew" --overwrite
[ "$(ls "$tmp/anew"/*model*)" = "$tmp/anew/model.safetensors" ] || fail "$(ls "$tmp/anew")"
ok 'over it, in bf16' "${merge[@]}" --out "$tmp/shards" --overwrite --dtype bf16 --prompt 'Tell me more.'
output_has 'largest logit difference'
grep -q '"torch_dtype": "bfloat16"' "$tmp/shards/config.json" || fail "$(cat "$tmp/shards/config.json")"
[ "$(ls "$tmp/shards")" = "$(ls "$tmp/merged")" ] || fail "$(ls "$tmp/shards")"
ok 'inspect bf16' inspect "$tmp/shards"
output_has 'of bf16'

# Files that the base does not have, left by another model, are named: other programs would use them with this model.
for command in merge full; do
    arguments=("${merge[@]}" --no-check)
    [ "$command" = merge ] || arguments=("${full[@]}")
    rm -rf "$tmp/old" && mkdir "$tmp/old" && echo '{"eos_token_id": 5}' >"$tmp/old/generation_config.json"
    ok "$command over another model" "${arguments[@]}" --out "$tmp/old" --overwrite
    grep -qF "loam: warning: $tmp/old/generation_config.json was there before, and $tmp/model has none" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
    [ "$(grep -c 'was there before' "$tmp/stderr")" -eq 1 ] || fail "$(cat "$tmp/stderr")"
done

# Chat templates with their own names are copied.
cp -r "$tmp/model" "$tmp/chatty" && mkdir "$tmp/chatty/additional_chat_templates"
echo '{{ tools }}' >"$tmp/chatty/additional_chat_templates/tool_use.jinja"
echo '{{ messages }}' >"$tmp/chatty/chat_template.jinja"
echo no >"$tmp/chatty/additional_chat_templates/notes"
chatty=(merge --model "$tmp/chatty" --adapter "$tmp/adapter" --out "$tmp/with" --no-check)
ok 'merge with templates' "${chatty[@]}"
rm "$tmp/chatty/additional_chat_templates/notes"
diff -r "$tmp/chatty/additional_chat_templates" "$tmp/with/additional_chat_templates" || fail 'other templates'
cmp -s "$tmp/chatty/chat_template.jinja" "$tmp/with/chat_template.jinja" || fail 'another chat template'
echo '{{ other }}' >"$tmp/chatty/additional_chat_templates/tool_use.jinja"
ok 'over it' "${chatty[@]}" --overwrite
diff -r "$tmp/chatty/additional_chat_templates" "$tmp/with/additional_chat_templates" || fail 'templates of before'
ok 'an adapter has them too' train --model "$tmp/chatty" --data "$data" --out "$tmp/tuned" --max-steps 1 --save-steps 1 \
    "${one_thread[@]}"
diff -r "$tmp/chatty/additional_chat_templates" "$tmp/tuned/additional_chat_templates" || fail 'other templates'

# ---- Two merges at once, and a merge after one that was killed ----
mkdir -p "$tmp/killed/.loam-1-0"
: >"$tmp/killed/.loam-1-0/.loam-work"
echo half >"$tmp/killed/.loam-1-0/model.safetensors"
ok 'files of a killed merge are removed' "${merge[@]}" --out "$tmp/killed" --no-check
[ "$(ls -A "$tmp/killed")" = "$(ls -A "$tmp/merged")" ] || fail "$(ls -A "$tmp/killed")"
case_name='two at once'
exec 8<"$tmp/killed"
flock -x 8
for command in merge init; do
    arguments=("${merge[@]}" --no-check)
    [ "$command" = merge ] || arguments=(init --config "$tiny/config.json")
    run "$command: another is writing" "${arguments[@]}" --out "$tmp/killed" --overwrite
    [ "$code" -eq 1 ] && grep -q 'is being written by another run' "$tmp/stderr" || fail "$code: $(cat "$tmp/stderr")"
done
exec 8<&-
case_name='two into a new directory'
for ((turn = 0; turn < 10; turn++)); do
    rm -rf "$tmp/race"
    "$LOAM" "${merge[@]}" --out "$tmp/race" --no-check >/dev/null 2>&1 &
    one=$!
    "$LOAM" "${merge[@]}" --out "$tmp/race" --no-check >/dev/null 2>&1 &
    two=$!
    both=0
    wait "$one" && both=$((both + 1))
    wait "$two" && both=$((both + 1))
    [ "$both" -eq 1 ] || fail "$both of two succeeded"
    [ "$(ls -A "$tmp/race")" = "$(ls -A "$tmp/merged")" ] || fail "$(ls -A "$tmp/race")"
done

# ---- Refusals ----
# refuses_merge CODE TEXT NAME OPTION...: $model and $adapter replace the valid ones.
refuses_merge() {
    local code=$1 text=$2 name=$3
    shift 3
    refuses "$code" "$text" "$name" merge --model "${model:-$tmp/model}" --adapter "${adapter:-$tmp/adapter}" \
        --out "${out:-$tmp/out}" "${one_thread[@]}" "$@"
}
model=$tmp/nowhere refuses_merge 1 "$tmp/nowhere" 'no such model'
adapter=$tmp/nowhere refuses_merge 1 "$tmp/nowhere" 'no such adapter'
adapter=$tmp/model refuses_merge 1 'adapter_config.json' 'a model in the place of the adapter'
out=$tmp/merged refuses_merge 1 '--overwrite' 'a directory that is not empty'
out=$tmp/model refuses_merge 1 "the model's own directory" 'over the base' --overwrite
out=$tmp/adapter refuses_merge 1 "the adapter's own directory" 'over the adapter' --overwrite
out=$tmp/model/config.json refuses_merge 1 'not a directory' 'a file in the place of the directory'
refuses_merge 2 'max-shard-size' 'a size that is none' --max-shard-size huge
refuses_merge 2 '--dtype' 'a dtype that is none' --dtype q4_0
refuses_merge 1 'the prompt is empty' 'an empty prompt' --prompt ''

sed 's/"hidden_size": 64/"hidden_size": 32/' "$tiny/config.json" >"$tmp/small.json"
"$LOAM" init --config "$tmp/small.json" --tokenizer "$tiny/tokenizer.json" --out "$tmp/small" >/dev/null
model=$tmp/small refuses_merge 1 "the adapter's base is" 'an adapter of another base'
cp -r "$tmp/model" "$tmp/bare" && rm "$tmp/bare/tokenizer.json"
model=$tmp/bare refuses_merge 1 '--no-check' 'no tokenizer to check with'
model=$tmp/bare ok 'no tokenizer, no check' merge --model "$tmp/bare" --adapter "$tmp/adapter" --out "$tmp/out" --no-check
rm -rf "$tmp/out"
for key in use_dora lora_bias; do
    rm -rf "$tmp/other" && cp -r "$tmp/adapter" "$tmp/other"
    sed -i "s/\"$key\": false/\"$key\": true/" "$tmp/other/adapter_config.json"
    adapter=$tmp/other refuses_merge 1 "$key" "an adapter that asks for $key"
done

# The file's shapes give the ranks; only the config gives the scales, which the comparison of the logits checks.
rm -rf "$tmp/other" && cp -r "$tmp/adapter" "$tmp/other"
sed -i 's/"use_rslora": false/"use_rslora": true/; s/"alpha_pattern": {}/"alpha_pattern": {"h.0.*": 3}/' "$tmp/other/adapter_config.json"
ok 'another scale' merge --model "$tmp/model" --adapter "$tmp/other" --out "$tmp/out"
ok 'the scale it has' merge --model "$tmp/model" --adapter "$tmp/adapter" --out "$tmp/plain"
! cmp -s "$tmp/out/model.safetensors" "$tmp/plain/model.safetensors" || fail 'the scale is not in the weights'
rm -rf "$tmp/out" "$tmp/plain"
ok 'inspect it' inspect "$tmp/other"
output_has 'others by alpha_pattern (scale'
output_has 'rank-stabilised'

# A disk that becomes full after 200 kB.
case_name='a full disk'
code=0
(trap '' XFSZ && ulimit -f 200 && "$LOAM" "${merge[@]}" --out "$tmp/out" --no-check >"$tmp/stdout" 2>"$tmp/stderr") || code=$?
[ "$code" -eq 1 ] || fail "exit code $code: $(cat "$tmp/stderr")"
grep -q '^loam: cannot write .*model.safetensors' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
[ ! -e "$tmp/out" ] || fail "left behind: $(ls -A "$tmp/out")"
finish
