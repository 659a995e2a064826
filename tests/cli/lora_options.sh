# loam train with the options of LoRA: choices of modules, patterns, initial values, LoRA+.
. "$(dirname "$0")/common.sh"

make_model "$tmp/model"
train=(train --model "$tmp/model" --data "$tiny/questions.json" --learning-rate 2e-2 --dtype f32 "${one_thread[@]}")
has() { grep -qF -- "$1" "$tmp/$2/adapter_config.json" || fail "no $1 in $(cat "$tmp/$2/adapter_config.json")"; }

chosen=(--target-modules dense,query_key_value --exclude-modules h.1.self_attention.dense --rank-pattern 'h.0.*=2,dense=3'
    --alpha-pattern dense=5 --use-rslora --lora-r 4)
ok 'a choice' "${train[@]}" "${chosen[@]}" --out "$tmp/chosen" --max-steps 4 --save-steps 2
has '"use_rslora": true' chosen
has '"h.1.self_attention.dense"' chosen
has '"h.0.*": 2,' chosen
ok 'its modules' inspect "$tmp/chosen" --json
[ "$(grep -c '"module"' "$tmp/stdout")" = 3 ] || fail "$(cat "$tmp/stdout")"
ok 'going on from it' "${train[@]}" --adapter "$tmp/chosen" --out "$tmp/next" --max-steps 1
has '"h.0.*": 2,' next
rm -rf "$tmp/chosen/checkpoint-4"
refuses 1 '--rank-pattern was h.0.*=2,dense=3 and is h.0.*=2' 'resume with other ranks' "${train[@]}" \
    "${chosen[@]/#h.0.\*=2,dense=3/h.0.*=2}" --out "$tmp/chosen" --max-steps 4 --save-steps 2 --resume

ok 'layers' "${train[@]}" --layers-to-transform 1 --layers-pattern h --rank-pattern nothing=3 --out "$tmp/layers" --max-steps 1
grep -qF 'give no adapted module its rank: "nothing"' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
grep -qaF 'h.0.' "$tmp/layers/adapter_model.safetensors" && fail 'layer 0 is adapted'

# PiSSA: an adapter of twice the rank for the original base. A step of rate 0 leaves the outputs of the base.
generate=(generate --model "$tmp/model" --prompt 'The bakery' --max-new-tokens 20 --dtype f32 "${one_thread[@]}")
ok 'the base' "${generate[@]}"
cp "$tmp/stdout" "$tmp/base"
for init in pissa pissa_niter_4 olora; do
    ok "$init" "${train[@]}" --lora-r 4 --init-lora-weights "$init" --out "$tmp/$init" --max-steps 1 --learning-rate 0
    has '"r": 8,' "$init"
    has '"init_lora_weights": true' "$init"
    ok "with $init" "${generate[@]}" --adapter "$tmp/$init"
    cmp -s "$tmp/stdout" "$tmp/base" || fail "$init changes the base"
done
pissa=("${train[@]}" --lora-r 4 --init-lora-weights pissa)
ok 'four steps' "${pissa[@]}" --out "$tmp/whole" --max-steps 4
ok 'two of them' "${pissa[@]}" --out "$tmp/resumed" --max-steps 4 --save-steps 2
rm -rf "$tmp/resumed/checkpoint-4" "$tmp/resumed"/adapter_*
ok 'resume' "${pissa[@]}" --out "$tmp/resumed" --max-steps 4 --save-steps 2 --resume
cmp -s "$tmp/whole/adapter_model.safetensors" "$tmp/resumed/adapter_model.safetensors" || fail 'another adapter'
# Nothing is taken from an embedding, whose update has the rank of the file too.
for init in pissa olora; do
    ok "$init beside an embedding" "${train[@]}" --lora-r 4 --init-lora-weights "$init" --out "$tmp/embedding.$init" \
        --target-modules dense,word_embeddings --rank-pattern word_embeddings=3 --eval-data "$tiny/questions.json" --max-steps 4
    loss=$(sed -n 's/.*"eval_loss": *\([0-9.]*\).*/\1/p' "$tmp/embedding.$init/metrics.jsonl" | tail -n 1)
    ok "the loss with $init beside an embedding" eval --model "$tmp/model" --adapter "$tmp/embedding.$init" \
        --data "$tiny/questions.json" --dtype f32 --json "${one_thread[@]}"
    awk -v a="$loss" -v b="$(number eval_loss "$tmp/stdout")" 'BEGIN { d = a - b; exit !(a > 0 && d < 1e-4 && d > -1e-4) }' ||
        fail "$loss in training, $(number eval_loss "$tmp/stdout") of the file"
done
ok 'a plan' plan --model "$tmp/model" --data "$tiny/questions.json" --init-lora-weights pissa

ok 'LoRA+' "${train[@]}" --loraplus-lr-ratio 16 --out "$tmp/plus" --max-steps 4
ok 'one rate' "${train[@]}" --out "$tmp/one" --max-steps 4
cmp -s "$tmp/plus/adapter_model.safetensors" "$tmp/one/adapter_model.safetensors" && fail 'LoRA+ changes nothing'

out=(--out "$tmp/none" --max-steps 1)
refuses 1 'no linear module is left' 'all excluded' "${train[@]}" --exclude-modules query_key_value "${out[@]}"
refuses 1 'layers_to_transform with a regular expression' 'layers of an expression' "${train[@]}" \
    --target-modules '.*dense' --layers-to-transform 1 "${out[@]}"
refuses 1 'expected an even rank' 'odd rank' "${train[@]}" --init-lora-weights orthogonal --lora-r 3 "${out[@]}"
refuses 1 'choose one of both' 'DoRA with PiSSA' "${train[@]}" --init-lora-weights pissa --use-dora "${out[@]}"
refuses 2 'expected gaussian' 'an unknown initialisation' "${train[@]}" --init-lora-weights ones "${out[@]}"
refuses 2 'expected MODULE=N' 'a bad pattern' "${train[@]}" --rank-pattern dense "${out[@]}"

finish
