# loam convert: GGUF and mlx-lm to PEFT and back, without a change; and refusals.
. "$(dirname "$0")/common.sh"

vocabulary=$(number vocab_size "$tiny/config.json")
shared="\"vocab_size\": $vocabulary, \"hidden_size\": 32, \"intermediate_size\": 48, \"num_hidden_layers\": 2, \
\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"max_position_embeddings\": 256, \"initializer_range\": 0.2"
# make NAME CONFIG: a random model and an adapter NAME-adapter of it, all-linear, with ranks of its own.
make() {
    printf '{%s}\n' "$2" >"$tmp/$1.json"
    "$LOAM" init --config "$tmp/$1.json" --tokenizer "$tiny/tokenizer.json" --out "$tmp/$1" >/dev/null
    train "$1" "$1-adapter" --target-modules all-linear
}
train() {
    local model=$1 out=$2
    shift 2
    "$LOAM" train --model "$tmp/$model" --data "$tiny/questions.json" --out "$tmp/$out" --max-steps 2 --lr 0.05 --lora-r 4 \
        "${one_thread[@]}" "$@" >/dev/null 2>&1
}
loss_of() {
    ok "eval $2" eval --model "$tmp/$1" --adapter "$tmp/$2" "${one_thread[@]}" --dtype f32 --data "$tiny/questions.json" --json
    loss=$(number eval_loss "$tmp/stdout")
}
same_loss() {
    local first
    loss_of "$1" "$2"
    first=$loss
    loss_of "$1" "$3"
    awk -v a="$first" -v b="$loss" 'BEGIN { d = a - b; exit !(a != "" && b != "" && d * d < 1e-12) }' ||
        fail "$2 has the loss $first, $3 $loss"
}
same_tensors() {
    cmp -s "$tmp/$1/adapter_model.safetensors" "$tmp/$2/adapter_model.safetensors" || fail "$1 and $2 have other tensors"
}

# ---- GGUF ----
make_model "$tmp/bloom"
train bloom bloom-adapter --target-modules all-linear
make llama "\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \"rms_norm_eps\": 1e-5, $shared"
for model in bloom llama; do
    ok "export $model" export --model "$tmp/$model" --adapter "$tmp/$model-adapter" --gguf "$tmp/$model.gguf"
    ok "from GGUF, $model" convert "$tmp/$model.gguf" --model "$tmp/$model" --out "$tmp/$model-back"
    output_has 'an adapter of PEFT from one of GGUF'
    same_tensors "$model-adapter" "$model-back"
    same_loss "$model" "$model-adapter" "$model-back"
done
grep -qF "\"base_model_name_or_path\": \"$tmp/llama\"" "$tmp/llama-back/adapter_config.json" || fail "$(cat "$tmp/llama-back/adapter_config.json")"
train llama patterns --target-modules q_proj,up_proj --use-rslora --rank-pattern 'q_proj=2' --alpha-pattern 'layers.1.mlp.up_proj=3'
ok 'export other scales' export --model "$tmp/llama" --adapter "$tmp/patterns" --gguf "$tmp/patterns.gguf"
ok 'from GGUF, other scales' convert "$tmp/patterns.gguf" --model "$tmp/llama" --out "$tmp/patterns-back" --json
[ "$(number r "$tmp/stdout")" = 4 ] || fail "$(cat "$tmp/stdout")"
same_loss llama patterns patterns-back
ok 'in f16' export --model "$tmp/llama" --adapter "$tmp/llama-adapter" --gguf "$tmp/half.gguf" --dtype f16
ok 'from f16' convert "$tmp/half.gguf" --model "$tmp/llama" --out "$tmp/half"
ok 'GGUF to mlx-lm' convert "$tmp/llama.gguf" --model "$tmp/llama" --to mlx --out "$tmp/llama-mlx-of-gguf"

# ---- mlx-lm ----
make gpt2 "\"model_type\": \"gpt2\", \"architectures\": [\"GPT2LMHeadModel\"], \"vocab_size\": $vocabulary, \"n_embd\": 32, \
\"n_layer\": 2, \"n_head\": 4, \"n_positions\": 256, \"initializer_range\": 0.2"
train llama dora --use-dora --target-modules q_proj,down_proj --lora-dropout 0.25
for pair in 'llama llama-adapter' 'gpt2 gpt2-adapter' 'llama dora'; do
    read -r model adapter <<<"$pair"
    ok "to mlx-lm, $adapter" convert "$tmp/$adapter" --to mlx --out "$tmp/$adapter-mlx" --model "$tmp/$model"
    ok "from mlx-lm, $adapter" convert "$tmp/$adapter-mlx" --out "$tmp/$adapter-again" --model "$tmp/$model"
    same_tensors "$adapter" "$adapter-again"
    same_loss "$model" "$adapter" "$adapter-again"
done
cmp -s "$tmp/llama-adapter-mlx/adapters.safetensors" "$tmp/llama-mlx-of-gguf/adapters.safetensors" || fail 'another adapter by way of GGUF'
for text in 'model.h.1.attn.c_attn.lora_a"' 'model.h.0.mlp.c_fc.lora_b"'; do
    grep -qaF "$text" "$tmp/gpt2-adapter-mlx/adapters.safetensors" || fail "no $text"
done
for text in '"fine_tune_type": "dora"' '"num_layers": 2' '"self_attn.q_proj"' '"rank": 4' '"scale": 4.0' '"dropout": 0.25'; do
    grep -qF "$text" "$tmp/dora-mlx/adapter_config.json" || fail "no $text: $(cat "$tmp/dora-mlx/adapter_config.json")"
done
grep -qF '"fan_in_fan_out": true' "$tmp/gpt2-adapter-again/adapter_config.json" || fail 'fan_in_fan_out'
ok 'one rank and scale for all' convert "$tmp/patterns" --to mlx --out "$tmp/patterns-mlx" # of the model that it names
ok 'and back' convert "$tmp/patterns-mlx" --model "$tmp/llama" --out "$tmp/patterns-again"
same_loss llama patterns patterns-again

cp -r "$tmp/llama-adapter-mlx" "$tmp/old-mlx"
sed -i 's/"rank": 4/"rank": 4, "alpha": 16/' "$tmp/old-mlx/adapter_config.json"
ok 'of an old mlx-lm' convert "$tmp/old-mlx" --model "$tmp/llama" --out "$tmp/old-again"
grep -qF '"alpha"' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
same_tensors llama-adapter old-again

# ---- Refusals ----
refuses_convert() {
    local code=$1 text=$2 name=$3
    shift 3
    refuses "$code" "$text" "$name" convert "$@" --out "$tmp/out"
}
refuses 2 'loam convert needs DIR|NAME|FILE' 'no adapter' convert --out "$tmp/out"
refuses 2 '--out' 'no output' convert "$tmp/llama-adapter"
refuses_convert 2 '--to' 'a form that is none' "$tmp/llama-adapter" --to gguf
refuses_convert 1 'of PEFT already' 'PEFT to PEFT' "$tmp/llama-adapter"
refuses_convert 1 'of mlx-lm already' 'mlx-lm to mlx-lm' "$tmp/dora-mlx" --model "$tmp/llama" --to mlx
refuses_convert 1 '--model' 'a GGUF without a model' "$tmp/llama.gguf"
refuses_convert 1 '--model' 'mlx-lm without a model' "$tmp/dora-mlx"
refuses_convert 1 "$tmp/nowhere" 'nothing there' "$tmp/nowhere" --model "$tmp/llama"
refuses_convert 1 'neither' 'a model' "$tmp/llama" --model "$tmp/llama"
refuses_convert 1 'is no GGUF file' 'another file' "$tiny/config.json" --model "$tmp/llama"
refuses_convert 1 '"general.architecture" is "bloom"' 'the GGUF of another family' "$tmp/bloom.gguf" --model "$tmp/llama"
refuses_convert 1 'mlx-lm has no bloom model' 'a family that mlx-lm lacks' "$tmp/bloom-adapter" --to mlx
train llama saved --modules-to-save norm
refuses_convert 1 '"modules_to_save"' 'parameters of the model' "$tmp/saved" --to mlx
train llama embedding --target-modules q_proj,embed_tokens
refuses_convert 1 'an adapter of the embedding' 'an adapted embedding' "$tmp/embedding" --to mlx
refuses 1 'choose another' 'over the source' convert "$tmp/llama-adapter" --to mlx --out "$tmp/llama-adapter" --overwrite
mkdir "$tmp/wide" && sed 's/"hidden_size": 32/"hidden_size": 64/' "$tmp/llama.json" >"$tmp/wide/config.json"
refuses_convert 1 'another shape' 'a model of other sizes' "$tmp/llama.gguf" --model "$tmp/wide"
for size in 3 7 20 100 1000; do
    head -c "$size" "$tmp/llama.gguf" >"$tmp/cut.gguf"
    refuses_convert 1 "$tmp/cut.gguf" "GGUF cut to $size bytes" "$tmp/cut.gguf" --model "$tmp/llama"
done
head -c -64 "$tmp/llama.gguf" >"$tmp/cut.gguf"
refuses_convert 1 'goes beyond the file' 'GGUF without its end' "$tmp/cut.gguf" --model "$tmp/llama"
sed 's/blk\.0\.attn_q\.weight\.lora_a/blk.0.attn_q.weight.lora_x/' "$tmp/llama.gguf" >"$tmp/other.gguf"
refuses_convert 1 'blk.0.attn_q.weight.lora_a is missing' 'a pair of one' "$tmp/other.gguf" --model "$tmp/llama"
sed 's/blk\.0\.attn_q\.weight\.lora_/blk.0.attn_q.waight.lora_/g' "$tmp/llama.gguf" >"$tmp/other.gguf"
refuses_convert 1 'blk.0.attn_q.waight.lora_a' 'a tensor that is none' "$tmp/other.gguf" --model "$tmp/llama"
sed 's/adapter\.type/adapter.tape/' "$tmp/llama.gguf" >"$tmp/other.gguf"
refuses_convert 1 '"adapter.type" is ""' 'no LoRA' "$tmp/other.gguf" --model "$tmp/llama"
# broken_mlx TEXT NAME SED: a change of the config of mlx-lm.
broken_mlx() {
    rm -rf "$tmp/broken" && cp -r "$tmp/llama-adapter-mlx" "$tmp/broken"
    sed -i "$3" "$tmp/broken/adapter_config.json"
    refuses_convert 1 "$1" "$2" "$tmp/broken" --model "$tmp/llama"
}
broken_mlx '"fine_tune_type" is "full"' 'whole weights' 's/"fine_tune_type": "lora"/"fine_tune_type": "full"/'
broken_mlx 'q_proj.m is missing' 'DoRA without magnitudes' 's/"fine_tune_type": "lora"/"fine_tune_type": "dora"/'
broken_mlx 'scale' 'no scale' 's/"scale"/"stale"/'
broken_mlx 'lora_parameters' 'no parameters' 's/lora_parameters/lora_perimeters/'
broken_mlx 'dropout' 'a dropout of 2' 's/"dropout": 0.0/"dropout": 2.0/'
rm -rf "$tmp/broken" && cp -r "$tmp/dora-mlx" "$tmp/broken"
sed -i 's/"dora"/"lora"/' "$tmp/broken/adapter_config.json"
refuses_convert 1 '.m" is no LoRA matrix' 'magnitudes without DoRA' "$tmp/broken" --model "$tmp/llama"
finish
