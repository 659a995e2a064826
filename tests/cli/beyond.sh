# loam train on modules beyond the layers: adapters on the head and on the embedding, and the bias of B. Saving, going
# on, resuming to the same bytes, merging a tied head, exporting, generating.
. "$(dirname "$0")/common.sh"

make_model "$tmp/model"
train=(train --model "$tmp/model" --data "$tiny/questions.json" --learning-rate 2e-2 --dtype f32 "${one_thread[@]}")
has() { grep -qaF -- "$1" "$tmp/$2" || fail "no $1 in $2"; }
generate=(generate --model "$tmp/model" --prompt 'The bakery' --max-new-tokens 12 --dtype f32 "${one_thread[@]}")
ok 'the base' "${generate[@]}"
cp "$tmp/stdout" "$tmp/base"

beyond=("${train[@]}" --target-modules query_key_value,lm_head,word_embeddings --lora-dropout 0.1)
ok 'head and embedding' "${beyond[@]}" --out "$tmp/adapter" --max-steps 4
has 'transformer.word_embeddings.lora_embedding_A"' adapter/adapter_model.safetensors
has 'lm_head.lora_B.weight' adapter/adapter_model.safetensors
[ "$(grep -c 'a merge gives each a weight of its own' "$tmp/stderr")" -ge 1 ] || fail "$(cat "$tmp/stderr")"
ok 'two steps' "${beyond[@]}" --out "$tmp/resumed" --max-steps 4 --save-steps 2
rm -rf "$tmp/resumed/checkpoint-4" "$tmp/resumed"/adapter_*
ok 'resume' "${beyond[@]}" --out "$tmp/resumed" --max-steps 4 --save-steps 2 --resume
cmp -s "$tmp/adapter/adapter_model.safetensors" "$tmp/resumed/adapter_model.safetensors" || fail 'another adapter'
for level in mlp block; do
    ok "checkpointing $level" "${beyond[@]}" --out "$tmp/$level" --max-steps 4 --gradient-checkpointing "$level"
    cmp -s "$tmp/adapter/adapter_model.safetensors" "$tmp/$level/adapter_model.safetensors" || fail "$level differs"
done
ok 'going on' "${train[@]}" --adapter "$tmp/adapter" --out "$tmp/next" --max-steps 1 --learning-rate 0
cmp -s "$tmp/adapter/adapter_model.safetensors" "$tmp/next/adapter_model.safetensors" || fail 'going on changes it'
ok 'inspect' inspect "$tmp/adapter" --json
[ "$(grep -c '"module"' "$tmp/stdout")" = 4 ] || fail "$(cat "$tmp/stdout")"
ok 'a plan' plan --model "$tmp/model" --data "$tiny/questions.json" --target-modules lm_head,word_embeddings

# A fresh adapter leaves the outputs of the base; a trained one changes them, and its merge gives the same.
ok 'a fresh adapter' "${beyond[@]}" --out "$tmp/fresh" --max-steps 1 --learning-rate 0
ok 'with a fresh adapter' "${generate[@]}" --adapter "$tmp/fresh"
cmp -s "$tmp/stdout" "$tmp/base" || fail 'a fresh adapter changes the base'
ok 'with the adapter' "${generate[@]}" --adapter "$tmp/adapter"
cp "$tmp/stdout" "$tmp/adapted"
ok 'merge' merge --model "$tmp/model" --adapter "$tmp/adapter" --out "$tmp/merged" --quiet
has '"tie_word_embeddings": false' merged/config.json
has '"lm_head.weight"' merged/model.safetensors
generate[2]=$tmp/merged
ok 'the merged model' "${generate[@]}"
cmp -s "$tmp/stdout" "$tmp/adapted" || fail "$(cat "$tmp/stdout" "$tmp/adapted")"
refuses 1 'an adapter of the' 'export' export --model "$tmp/model" --adapter "$tmp/adapter" --gguf "$tmp/lora.gguf"

# One adapter of a tied pair: both names in the file, one value. The merge stays tied.
tied=("${train[@]}" --target-modules query_key_value,lm_head --ensure-weight-tying)
ok 'a tied pair' "${tied[@]}" --out "$tmp/pair" --max-steps 4
has 'transformer.word_embeddings.lora_embedding_A"' pair/adapter_model.safetensors
has 'lm_head.lora_B.weight' pair/adapter_model.safetensors
has '"transformer.word_embeddings"' pair/adapter_config.json
ok 'two steps of a pair' "${tied[@]}" --out "$tmp/pair.resumed" --max-steps 4 --save-steps 2
rm -rf "$tmp/pair.resumed/checkpoint-4" "$tmp/pair.resumed"/adapter_*
ok 'resume a pair' "${tied[@]}" --out "$tmp/pair.resumed" --max-steps 4 --save-steps 2 --resume
cmp -s "$tmp/pair/adapter_model.safetensors" "$tmp/pair.resumed/adapter_model.safetensors" || fail 'another pair'
ok 'going on with a pair' "${train[@]}" --adapter "$tmp/pair" --out "$tmp/pair.next" --max-steps 1 --learning-rate 0
cmp -s "$tmp/pair/adapter_model.safetensors" "$tmp/pair.next/adapter_model.safetensors" || fail 'going on changes it'
generate[2]=$tmp/model
ok 'with the pair' "${generate[@]}" --adapter "$tmp/pair"
cp "$tmp/stdout" "$tmp/adapted"
ok 'merge of a pair' merge --model "$tmp/model" --adapter "$tmp/pair" --out "$tmp/merged.pair" --quiet
grep -qaF '"lm_head.weight"' "$tmp/merged.pair/model.safetensors" && fail 'the head is untied'
generate[2]=$tmp/merged.pair
ok 'the merged pair' "${generate[@]}"
cmp -s "$tmp/stdout" "$tmp/adapted" || fail "$(cat "$tmp/stdout" "$tmp/adapted")"
ok 'an embedding without a name of PEFT' "${train[@]}" --target-modules word_embeddings --ensure-weight-tying \
    --out "$tmp/alone" --max-steps 1
grep -qF 'ensure_weight_tying has no effect' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"

# DoRA of an embedding, whose head is tied to it, and of a tied pair.
for name in word_embeddings lm_head; do
    scaled=("${train[@]}" --target-modules dense,$name --use-dora --ensure-weight-tying)
    ok "DoRA of $name" "${scaled[@]}" --out "$tmp/dora.$name" --max-steps 4
    has 'transformer.word_embeddings.lora_magnitude_vector"' "dora.$name/adapter_model.safetensors"
    ok "two steps with DoRA of $name" "${scaled[@]}" --out "$tmp/dora.$name.resumed" --max-steps 4 --save-steps 2
    rm -rf "$tmp/dora.$name.resumed/checkpoint-4" "$tmp/dora.$name.resumed"/adapter_*
    ok "resume with DoRA of $name" "${scaled[@]}" --out "$tmp/dora.$name.resumed" --max-steps 4 --save-steps 2 --resume
    cmp -s "$tmp/dora.$name/adapter_model.safetensors" "$tmp/dora.$name.resumed/adapter_model.safetensors" || fail 'another adapter'
    generate[2]=$tmp/model
    ok "with DoRA of $name" "${generate[@]}" --adapter "$tmp/dora.$name"
    cp "$tmp/stdout" "$tmp/adapted"
    ok "merge of DoRA of $name" merge --model "$tmp/model" --adapter "$tmp/dora.$name" --out "$tmp/merged.$name" --quiet
    generate[2]=$tmp/merged.$name
    ok "merged DoRA of $name" "${generate[@]}"
    cmp -s "$tmp/stdout" "$tmp/adapted" || fail "$(cat "$tmp/stdout" "$tmp/adapted")"
done

# A bias of B.
biased=("${train[@]}" --target-modules dense,query_key_value --lora-bias --init-lora-weights true)
ok 'a bias of B' "${biased[@]}" --out "$tmp/biased" --max-steps 4
has '"lora_bias": true' biased/adapter_config.json
has 'dense.lora_B.bias' biased/adapter_model.safetensors
ok 'merge of biases' merge --model "$tmp/model" --adapter "$tmp/biased" --out "$tmp/merged.biased" --quiet
refuses 1 'biases of B' 'export of biases' export --model "$tmp/model" --adapter "$tmp/biased" --gguf "$tmp/lora.gguf"
refuses 1 'true and false alone' 'a bias with gaussian' "${train[@]}" --lora-bias --out "$tmp/none" --max-steps 1
refuses 1 'choose one of both' 'a bias with DoRA' "${train[@]}" --lora-bias --init-lora-weights true --use-dora \
    --out "$tmp/none" --max-steps 1
refuses 1 'lora_bias of an embedding' 'a bias of an embedding' "${train[@]}" --target-modules word_embeddings --lora-bias \
    --init-lora-weights true --out "$tmp/none" --max-steps 1
refuses 1 'which shares its weight' 'PiSSA of a tied head' "${train[@]}" --target-modules lm_head --init-lora-weights pissa \
    --out "$tmp/none" --max-steps 1

# Rows of tokens, which a tied head shares: the merge stays tied.
tokens=("${train[@]}" --target-modules dense --trainable-token-indices 40,7,12)
ok 'trained tokens' "${tokens[@]}" --out "$tmp/tokens" --max-steps 4
has '"trainable_token_indices": [' tokens/adapter_config.json
has 'transformer.word_embeddings.token_adapter.trainable_tokens_delta"' tokens/adapter_model.safetensors
ok 'two steps with tokens' "${tokens[@]}" --out "$tmp/tokens.resumed" --max-steps 4 --save-steps 2
rm -rf "$tmp/tokens.resumed/checkpoint-4" "$tmp/tokens.resumed"/adapter_*
ok 'resume with tokens' "${tokens[@]}" --out "$tmp/tokens.resumed" --max-steps 4 --save-steps 2 --resume
cmp -s "$tmp/tokens/adapter_model.safetensors" "$tmp/tokens.resumed/adapter_model.safetensors" || fail 'another adapter'
ok 'going on with tokens' "${train[@]}" --adapter "$tmp/tokens" --out "$tmp/tokens.next" --max-steps 1 --learning-rate 0
cmp -s "$tmp/tokens/adapter_model.safetensors" "$tmp/tokens.next/adapter_model.safetensors" || fail 'going on changes it'
generate[2]=$tmp/model
ok 'with tokens' "${generate[@]}" --adapter "$tmp/tokens"
cp "$tmp/stdout" "$tmp/adapted"
ok 'merge of tokens' merge --model "$tmp/model" --adapter "$tmp/tokens" --out "$tmp/merged.tokens" --quiet
grep -qaF '"lm_head.weight"' "$tmp/merged.tokens/model.safetensors" && fail 'the head is untied'
generate[2]=$tmp/merged.tokens
ok 'the merged tokens' "${generate[@]}"
cmp -s "$tmp/stdout" "$tmp/adapted" || fail "$(cat "$tmp/stdout" "$tmp/adapted")"
ok 'inspect tokens' inspect "$tmp/tokens"
grep -qF 'rows of 3 trained tokens' "$tmp/stdout" || fail "$(cat "$tmp/stdout")"
ok 'tokens of the head' "${train[@]}" --trainable-token-indices 'word_embeddings=3;lm_head=5,3' --out "$tmp/apart" --max-steps 2
has 'lm_head.token_adapter.trainable_tokens_delta' apart/adapter_model.safetensors
refuses 1 'token 99999' 'a token beyond the vocabulary' "${train[@]}" --trainable-token-indices 99999 --out "$tmp/none" --max-steps 1
refuses 1 'choose one of both' 'tokens of an adapted head' "${train[@]}" --target-modules lm_head --trainable-token-indices 3 \
    --out "$tmp/none" --max-steps 1
refuses 1 'names neither' 'tokens of another module' "${train[@]}" --trainable-token-indices dense=3 --out "$tmp/none" --max-steps 1
refuses 2 'expected ids' 'no ids' "${train[@]}" --trainable-token-indices a,b --out "$tmp/none" --max-steps 1
refuses 1 'trained tokens' 'export of tokens' export --model "$tmp/model" --adapter "$tmp/tokens" --gguf "$tmp/lora.gguf"
finish
