# loam export: a LoRA adapter in GGUF, and refusals without output.
. "$(dirname "$0")/common.sh"

make_model "$tmp/model"
"$LOAM" train --model "$tmp/model" --data "$tiny/questions.json" --out "$tmp/adapter" --max-steps 2 --lora-r 4 \
    --target-modules all-linear "${one_thread[@]}" >/dev/null 2>&1
export=(export --model "$tmp/model" --adapter "$tmp/adapter")

ok 'export' "${export[@]}" --gguf "$tmp/lora.gguf"
output_has 'LoRA of 8 modules'
[ "$(head -c 4 "$tmp/lora.gguf")" = GGUF ] || fail 'no GGUF file'
for name in bloom adapter lora adapter.lora.alpha blk.1.attn_qkv.weight.lora_a blk.0.ffn_down.weight.lora_b; do
    grep -qaF "$name" "$tmp/lora.gguf" || fail "$name is not in it"
done
cksum <"$tmp/lora.gguf" >"$tmp/sum"
refuses 1 '--overwrite' 'a file that is there' "${export[@]}" --gguf "$tmp/lora.gguf"
ok 'over it, from the config alone' export --model "$tiny" --adapter "$tmp/adapter" --gguf "$tmp/lora.gguf" --overwrite
cksum <"$tmp/lora.gguf" | cmp -s - "$tmp/sum" || fail 'the bytes are others'
ok 'in f16' "${export[@]}" --gguf "$tmp/half.gguf" --dtype f16 --json
[ "$(number modules "$tmp/stdout")" = 8 ] || fail "$(cat "$tmp/stdout")"
[ "$(number bytes "$tmp/stdout")" = $((2 * 4 * 2 * (64 + 192 + 64 + 64 + 64 + 256 + 256 + 64))) ] ||
    fail "$(cat "$tmp/stdout")"

# ---- Refusals ----
# refuses_export CODE TEXT NAME OPTION...: $model and $adapter replace the valid ones.
refuses_export() {
    local code=$1 text=$2 name=$3
    shift 3
    mkdir "$tmp/out"
    refuses "$code" "$text" "$name" export --model "${model:-$tmp/model}" --adapter "${adapter:-$tmp/adapter}" \
        --gguf "${file:-$tmp/out/lora.gguf}" "$@"
}
model=$tmp/nowhere refuses_export 1 "$tmp/nowhere" 'no such model'
adapter=$tmp/nowhere refuses_export 1 "$tmp/nowhere" 'no such adapter'
adapter=$tmp/model refuses_export 1 'adapter_config.json' 'a model in the place of the adapter'
file=$tmp/model refuses_export 1 'is a directory' 'a directory in the place of the file'
file=$tmp/nowhere/lora.gguf refuses_export 1 "$tmp/nowhere/lora.gguf" 'a directory that is not there'
refuses_export 2 '--dtype' 'a dtype that is none' --dtype q8_0
refuses 2 '--gguf' 'no file named' export --model "$tmp/model" --adapter "$tmp/adapter"
mkdir "$tmp/small" && sed 's/"hidden_size": 64/"hidden_size": 32/' "$tiny/config.json" >"$tmp/small/config.json"
model=$tmp/small refuses_export 1 "the adapter's base is" 'an adapter of another base'

rm -rf "$tmp/other" && cp -r "$tmp/adapter" "$tmp/other"
sed -i 's/"bias": "none"/"bias": "all"/' "$tmp/other/adapter_config.json"
adapter=$tmp/other refuses_export 1 'no place for parameters of the model' 'an adapter with biases'

# A disk that becomes full after 16 kB.
case_name='a full disk'
code=0
mkdir "$tmp/out"
(trap '' XFSZ && ulimit -f 16 && "$LOAM" "${export[@]}" --gguf "$tmp/out/lora.gguf" >"$tmp/stdout" 2>"$tmp/stderr") || code=$?
[ "$code" -eq 1 ] || fail "exit code $code: $(cat "$tmp/stderr")"
grep -q '^loam: cannot write .*lora.gguf' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
[ -z "$(ls -A "$tmp/out")" ] || fail "left behind: $(ls -A "$tmp/out")"
finish
