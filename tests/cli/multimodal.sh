# A multimodal model: its text part is used, adapters have the modules of the whole, and a model that is written is the text
# part.
. "$(dirname "$0")/common.sh"
data=$tiny/text.txt

text='"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
      "vocab_size": 512, "max_position_embeddings": 256, "eos_token_id": 2'
printf '{%s}' "$text" >"$tmp/text.json"
printf '{"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"], "vision_config": {"hidden_size": 8},
  "text_config": {%s}}' "$text" >"$tmp/whole.json"
ok 'init: text' init --config "$tmp/text.json" --tokenizer "$tiny/tokenizer.json" --out "$tmp/text" --seed 3
ok 'init: whole' init --config "$tmp/whole.json" --tokenizer "$tiny/tokenizer.json" --out "$tmp/written" --seed 3
cmp -s "$tmp/text/model.safetensors" "$tmp/written/model.safetensors" || fail 'another model than its text part'
grep -q '"model_type": "llama"' "$tmp/written/config.json" || fail "config.json: $(cat "$tmp/written/config.json")"
grep -q '"architectures": \[' "$tmp/written/config.json" || fail "config.json: $(cat "$tmp/written/config.json")"
cp -r "$tmp/text" "$tmp/whole"
cp "$tmp/whole.json" "$tmp/whole/config.json"

loss_of() {
    ok "eval: $*" eval --data "$data" --json "${one_thread[@]}" "$@"
    number eval_loss "$tmp/stdout"
}
expected=$(loss_of --model "$tmp/text")
[ "$(loss_of --model "$tmp/whole")" = "$expected" ] || fail "another loss than $expected"
[ "$(grep -c 'only its text part is used, a llama model' "$tmp/stderr")" -eq 1 ] || fail "not told once: $(cat "$tmp/stderr")"

train() {
    ok "train: $1" train --model "$tmp/$1" --data "$data" --out "$tmp/$1.lora" --target-modules q_proj,v_proj --max-steps 3 \
        --max-length 64 --learning-rate 1e-2 --seed 5 "${one_thread[@]}"
}
train text
train whole
name=base_model.model.model.language_model.layers.1.self_attn.q_proj.lora_A.weight
grep -aq "$name" "$tmp/whole.lora/adapter_model.safetensors" || fail "no $name"
# A bare q_proj would name modules of the vision tower, too.
grep -q '"model.language_model.layers.1.self_attn.q_proj"' "$tmp/whole.lora/adapter_config.json" ||
    fail "target_modules: $(cat "$tmp/whole.lora/adapter_config.json")"
grep -q '"q_proj"' "$tmp/whole.lora/adapter_config.json" && fail 'target_modules has q_proj alone'

# Each adapter goes on either model.
adapted=$(loss_of --model "$tmp/text" --adapter "$tmp/text.lora")
[ "$adapted" != "$expected" ] || fail 'the adapter changes nothing'
for model in text whole; do
    [ "$(loss_of --model "$tmp/$model" --adapter "$tmp/$model.lora")" = "$adapted" ] || fail "$model: another loss"
done
[ "$(loss_of --model "$tmp/whole" --adapter "$tmp/text.lora")" = "$adapted" ] || fail 'text adapter on the whole'

ok merge merge --model "$tmp/whole" --adapter "$tmp/whole.lora" --out "$tmp/merged"
ok 'merge: text' merge --model "$tmp/text" --adapter "$tmp/text.lora" --out "$tmp/merged.text"
cmp -s "$tmp/merged/model.safetensors" "$tmp/merged.text/model.safetensors" || fail 'another merged model'
grep -q '"model_type": "llama"' "$tmp/merged/config.json" || fail "config.json: $(cat "$tmp/merged/config.json")"
grep -q text_config "$tmp/merged/config.json" && fail 'the merged config is of a multimodal model'

# Parameters that are trained as a whole have the names of the multimodal model, and go on either model.
for model in text whole; do
    ok "whole modules of $model" train --model "$tmp/$model" --data "$data" --out "$tmp/$model.norm" --max-steps 3 \
        --target-modules q_proj,v_proj --modules-to-save norm,embed_tokens --max-length 64 --learning-rate 1e-2 --seed 5 \
        "${one_thread[@]}"
    ok "merge: whole modules of $model" merge --model "$tmp/$model" --adapter "$tmp/$model.norm" --out "$tmp/merged.$model.norm"
done
grep -qaF 'base_model.model.model.language_model.norm.weight' "$tmp/whole.norm/adapter_model.safetensors" || fail 'no norm'
grep -qF '"model.language_model.embed_tokens"' "$tmp/whole.norm/adapter_config.json" || fail 'no full name'
cmp -s "$tmp/merged.text.norm/model.safetensors" "$tmp/merged.whole.norm/model.safetensors" || fail 'another merged model'
adapted=$(loss_of --model "$tmp/text" --adapter "$tmp/text.norm")
for adapter in whole text; do
    [ "$(loss_of --model "$tmp/whole" --adapter "$tmp/$adapter.norm")" = "$adapted" ] || fail "$adapter.norm: another loss"
done

rm -rf "$tmp/out"
printf '{"model_type": "llava"}' >"$tmp/whole/config.json"
refuses 1 '"text_config" is missing' 'no text part' train --model "$tmp/whole" --data "$data" --out "$tmp/out"
finish
