# A wrong path in place of a model's directory: one line that names the right kind of path.
. "$(dirname "$0")/common.sh"
data=$tiny/questions.json
make_model "$tmp/model"
"$LOAM" train --model "$tmp/model" --data "$data" --out "$tmp/adapter" --max-steps 1 "${one_thread[@]}" >/dev/null 2>&1

# every CODE TEXT NAME MODEL: checks that each command that takes a model refuses it.
every() {
    refuses "$1" "$2" "train: $3" train --model "$4" --data "$data" --out "$tmp/out" "${one_thread[@]}"
    refuses "$1" "$2" "plan: $3" plan --model "$4"
    refuses "$1" "$2" "generate: $3" generate --model "$4" --prompt x "${one_thread[@]}"
    refuses "$1" "$2" "eval: $3" eval --model "$4" --data "$data" "${one_thread[@]}"
    refuses "$1" "$2" "merge: $3" merge --model "$4" --adapter "$tmp/adapter" --out "$tmp/out"
    refuses "$1" "$2" "export: $3" export --model "$4" --adapter "$tmp/adapter" --gguf "$tmp/gguf"
    [ ! -e "$tmp/gguf" ] || fail 'a file was written'
}
# every_reader: also checks the commands that only read metadata.
every_reader() {
    every "$@"
    refuses "$1" "$2" "tokenize: $3" tokenize --model "$4"
    refuses "$1" "${2#--model }" "inspect: $3" inspect "$4"
}
every_reader 2 'needs a value' 'no name' ''
url=https://huggingface.co/some/model
every_reader 2 "$url: expected a name, not an address: " 'a page of the hub' "$url"
refuses 2 ': --model some/model' 'a page within' generate --model "$url/tree/main?x=1" --prompt x
refuses 2 'download from other addresses first' 'an owner alone' inspect https://huggingface.co/some
every_reader 2 'download from other addresses first' 'another address' http://example.com/some/model
every_reader 1 "$tmp/model/model.safetensors is a file: expected the directory" 'weights' "$tmp/model/model.safetensors"
every 1 "tokenizer.json: --model $tmp/model" 'a config' "$tmp/model/config.json"
refuses 1 "tokenizer.json: --model $tmp/model" 'tokenize: a config' tokenize --model "$tmp/model/config.json"
ok 'inspect: a config' inspect "$tmp/model/config.json"
printf 'GGUF\3\0\0\0' >"$tmp/weights"
every_reader 1 'loam does not read GGUF files; use the model that it was made from' 'a GGUF file' "$tmp/weights"
every 1 "$tmp/adapter is an adapter: pass it as --adapter $tmp/adapter" 'an adapter' "$tmp/adapter"
every 1 "adapter_model.safetensors: --adapter $tmp/adapter" "an adapter's file" "$tmp/adapter/adapter_config.json"
refuses 1 "adapter_model.safetensors: $tmp/adapter" "inspect: an adapter's file" inspect "$tmp/adapter/adapter_config.json"
ok 'inspect: an adapter' inspect "$tmp/adapter"
ok 'tokenize: an adapter' tokenize --model "$tmp/adapter"

# ---- A wrong path in place of an adapter ----
# every_adapter CODE TEXT NAME ADAPTER: checks that each command that takes an adapter refuses it.
every_adapter() {
    refuses "$1" "$2" "train: $3" train --model "$tmp/model" --adapter "$4" --data "$data" --out "$tmp/out" "${one_thread[@]}"
    refuses "$1" "$2" "plan: $3" plan --model "$tmp/model" --adapter "$4"
    refuses "$1" "$2" "generate: $3" generate --adapter "$4" --prompt x "${one_thread[@]}"
    refuses "$1" "$2" "eval: $3" eval --model "$tmp/model" --adapter "$4" --data "$data" "${one_thread[@]}"
    refuses "$1" "$2" "merge: $3" merge --model "$tmp/model" --adapter "$4" --out "$tmp/out"
    refuses "$1" "$2" "export: $3" export --adapter "$4" --gguf "$tmp/gguf"
}
every_adapter 2 "$url: expected a name, not an address: --adapter some/model" 'an address' "$url"
every_adapter 1 "adapter_model.safetensors: --adapter $tmp/adapter" 'a file of the adapter' \
    "$tmp/adapter/adapter_model.safetensors"
every_adapter 1 "$tmp/model is a model and has no adapter_config.json: pass it as --model $tmp/model" 'a model' "$tmp/model"

# ---- A directory without safetensors ----
# other NAME TEXT: the weights have another name.
other() {
    rm -rf "$tmp/other"
    cp -r "$tmp/model" "$tmp/other"
    mv "$tmp/other/model.safetensors" "$tmp/other/$1"
    refuses 1 "$2" "train: $1" train --model "$tmp/other" --data "$data" --out "$tmp/out" "${one_thread[@]}"
    refuses 1 "$2" "merge: $1" merge --model "$tmp/other" --adapter "$tmp/adapter" --out "$tmp/out" --no-check
}
other pytorch_model.bin 'pytorch_model.bin: no zip archive, as torch.save writes it'
other pytorch_model-00001-of-00002.bin 'pytorch_model.bin.index.json must name it'
other consolidated.00.pth 'save_pretrained'
other model.Q4.gguf 'GGUF is not read'
other weights.safetensors 'the file must be called model.safetensors'
other training_args.bin 'has neither model.safetensors nor model.safetensors.index.json'
! grep -q convert "$tmp/message" || fail "$(cat "$tmp/message")"

# ---- Git LFS pointers ----
for name in config.json tokenizer.json tokenizer_config.json generation_config.json special_tokens_map.json \
    model.safetensors model.safetensors.index.json; do
    rm -rf "$tmp/other"
    cp -r "$tmp/model" "$tmp/other"
    [ "$name" != model.safetensors.index.json ] || rm "$tmp/other/model.safetensors"
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 531968\n' >"$tmp/other/$name"
    refuses 1 "$name is only a Git LFS pointer to the file: get the file itself with \"git lfs pull\"" "$name" \
        train --model "$tmp/other" --data "$data" --out "$tmp/out" "${one_thread[@]}"
done

# ---- More tokens than a number or any memory can hold ----
for option in max-length token-budget; do
    run "$option" plan --model "$tmp/model" "--$option" 2147483647
    [ "$code" -ne 0 ] && grep -q "^loam: --$option 2147483647: expected .*1073741824" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
done
ok 'plan: as many as can be counted' plan --model "$tmp/model" --max-length 1073741824 "${one_thread[@]}"
output_has 'It does not fit'
finish
