# --dtype f16: the scale of the loss, in checkpoints and over steps that it has skipped; and that a step waits once for a
# GPU. The GPU is that of the tests' driver library.
. "$(dirname "$0")/common.sh"
export XDG_CACHE_HOME=$tmp/cache FAKE_CUDA_REPORT=$tmp/report
export LD_LIBRARY_PATH=$LOAM_BUILD/tests/tools/fake_cuda${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
# Weights that large give gradients that leave the range of f16 at the first scale of the loss.
mkdir "$tmp/config"
sed 's/"initializer_range": 0.02/"initializer_range": 1.0/' "$tiny/config.json" >"$tmp/config/config.json"
ok 'init' init --config "$tmp/config/config.json" --tokenizer "$tiny/tokenizer.json" --out "$tmp/model"
for i in 1 2 3 4 5 6; do echo "{\"text\": \"line $i of it\"}"; done >"$tmp/data.jsonl"
train=(train --model "$tmp/model" --data "$tmp/data.jsonl" --batch-size 1 --max-length 16 --learning-rate 1e-3 --logging-steps 1)
state() { tr -d '\n ' <"$1/loam_state.json" | sed -n "s/.*\"$2\":\([0-9.]*\).*/\1/p"; }

# ---- the scale ----
export FAKE_CUDA=capability=75
ok 'train on a GPU without products in bf16' "${train[@]}" --max-steps 8 --save-steps 1 --out "$tmp/whole"
grep -q 'computing in f16 on device cuda:0 (fake GPU 0)$' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
[ "$(grep -c 'the gradients leave the range of f16; skipped, and the scale of the loss is' "$tmp/stderr")" -ge 1 ] ||
    fail "no step was skipped: $(cat "$tmp/stderr")"
skipped=$(state "$tmp/whole/checkpoint-8" overflows) updates=$(state "$tmp/whole/checkpoint-8" updates)
grep -q "$skipped of 8 steps were skipped: their gradients left the range of f16; the scale of the loss is " "$tmp/stderr" ||
    fail "$(cat "$tmp/stderr")"
[ "$skipped" -ge 1 ] && [ $((skipped + updates)) -eq 8 ] || fail "$skipped steps skipped, $updates made"
[ "$(state "$tmp/whole/checkpoint-8" optimiser_step)" = "$updates" ] || fail 'skipped steps count for AdamW'
awk -v f="$(state "$tmp/whole/checkpoint-8" factor)" -v n="$skipped" 'BEGIN { exit f * 2 ^ n != 65536 }' ||
    fail "a scale of $(state "$tmp/whole/checkpoint-8" factor) after $skipped skipped steps"
# From before, within and after the skipped steps.
for step in 2 3 4; do
    cp -r "$tmp/whole" "$tmp/out"
    for ((later = step + 1; later <= 8; later++)); do rm -r "$tmp/out/checkpoint-$later"; done
    ok "resume from step $step" "${train[@]}" --max-steps 8 --save-steps 1 --out "$tmp/out" --resume
    cmp -s "$tmp/whole/adapter_model.safetensors" "$tmp/out/adapter_model.safetensors" || fail "another adapter from step $step"
    cmp -s "$tmp/whole/checkpoint-8/training_state.safetensors" "$tmp/out/checkpoint-8/training_state.safetensors" ||
        fail "other moments from step $step"
    [ "$(state "$tmp/out/checkpoint-8" factor)" = "$(state "$tmp/whole/checkpoint-8" factor)" ] || fail 'another scale'
    rm -r "$tmp/out"
done
# A checkpoint without a scale starts with the first one; one that cannot be is refused.
cp -r "$tmp/whole/checkpoint-2" "$tmp/old"
respoil() {
    sed -i "$1" "$tmp/old/loam_state.json"
    (cd "$tmp/old" && sed -i '/loam_state.json/d' checksums.sha256 && sha256sum loam_state.json >>checksums.sha256 && sort -k 2 -o checksums.sha256 checksums.sha256)
}
respoil 's/"factor": [0-9.]*/"factor": 3.0/'
refuses 1 "$tmp/old/loam_state.json: \"loss_scale\" with a factor of 3 after " 'a spoiled scale' \
    "${train[@]}" --max-steps 8 --out "$tmp/out" --resume "$tmp/old"
updates=$(state "$tmp/old" optimiser_step)
respoil 's/"optimiser_step": [0-9]*/"optimiser_step": 77/; s/"factor": 3[.0-9]*/"factor": 8.0/'
refuses 1 'with "optimiser_step" 77 cannot be' 'the count of another optimiser' \
    "${train[@]}" --max-steps 8 --out "$tmp/resumed" --resume "$tmp/old"
respoil "s/\"optimiser_step\": 77/\"optimiser_step\": $updates/"
respoil '/"good_steps"/d; s/"factor": .*/"nothing": 1/; s/"loss_scale"/"other"/; s/"overflows": [0-9]*/"overflows": -1/'
refuses 1 "$tmp/old/loam_state.json: \"overflows\" is -1, which cannot be" 'a spoiled count' \
    "${train[@]}" --max-steps 8 --out "$tmp/out" --resume "$tmp/old"
respoil 's/"overflows": -1/"overflows": 0/; s/"threads": [0-9]*/"threads": -1/'
refuses 1 "$tmp/old/loam_state.json: \"threads\" is -1, which cannot be" 'a spoiled number of threads' \
    "${train[@]}" --max-steps 8 --out "$tmp/out" --resume "$tmp/old"
respoil 's/"threads": -1/"threads": 1/'
ok 'a checkpoint without a scale' "${train[@]}" --max-steps 8 --out "$tmp/out" --resume "$tmp/old"
rm -r "$tmp/out"
unset FAKE_CUDA

# ---- the other commands, and devices ----
ok 'eval' eval --model "$tmp/model" --adapter "$tmp/whole" --data "$tmp/data.jsonl" --max-length 16 --dtype f16 --json
loss=$(number eval_loss "$tmp/stdout")
ok 'eval on ref' eval --model "$tmp/model" --adapter "$tmp/whole" --data "$tmp/data.jsonl" --max-length 16 --dtype f16 --device ref --json
awk -v a="$loss" -v b="$(number eval_loss "$tmp/stdout")" 'BEGIN { d = (a - b) / b; exit !(d < 0.01 && d > -0.01) }' ||
    fail "$loss on the GPU, $(number eval_loss "$tmp/stdout") on ref"
ok 'generate' generate --model "$tmp/model" --adapter "$tmp/whole" --prompt 'line' --max-new-tokens 2 --dtype f16
refuses 1 'device cpu does not compute in f16: choose --dtype bf16 or f32' 'f16 on the CPU' \
    "${train[@]}" --max-steps 1 --out "$tmp/out" --dtype f16 --device cpu

# ---- one wait a step, however many micro-batches it has ----
for steps in 3 4; do
    ok "$steps steps" "${train[@]}" --max-steps "$steps" --gradient-accumulation-steps 3 --token-budget 16 --out "$tmp/out" --device cuda
    sed -n 's/^waits //p' "$tmp/report" >>"$tmp/waits"
    rm -r "$tmp/out"
done
[ $(($(tail -n 1 "$tmp/waits") - $(head -n 1 "$tmp/waits"))) -eq 1 ] || fail "waits of 3 and 4 steps: $(cat "$tmp/waits")"
finish
