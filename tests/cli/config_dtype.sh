# config.json gives the dtype of the tensors beside it, whichever command writes them.
. "$(dirname "$0")/common.sh"
data=$tiny/questions.json

# declares DIRECTORY DTYPE SPELLING...: config.json has the dtype under exactly these keys.
declares() {
    local directory=$1 dtype=$2 key
    shift 2
    [ "$(grep -c 'dtype"' "$directory/config.json")" -eq $# ] || fail "$directory: $(cat "$directory/config.json")"
    for key; do
        grep -q "\"$key\": \"$dtype\"" "$directory/config.json" || fail "$directory: $(cat "$directory/config.json")"
    done
}
for keys in torch_dtype dtype 'torch_dtype dtype' ''; do
    text=
    for key in $keys; do text="$text  \"$key\": \"float16\",\n"; done
    sed "s/^{\$/{\n$text/" "$tiny/config.json" >"$tmp/dtype.json"
    read -ra expected <<<"${keys:-torch_dtype}"
    for dtype in f32:float32 bf16:bfloat16; do
        rm -rf "$tmp/random" "$tmp/full"
        ok "init: $keys, $dtype" init --config "$tmp/dtype.json" --tokenizer "$tiny/tokenizer.json" --out "$tmp/random" \
            --dtype "${dtype%:*}"
        declares "$tmp/random" "${dtype#*:}" "${expected[@]}"
        ok "full: $keys, $dtype" train --model "$tmp/random" --data "$data" --out "$tmp/full" --max-steps 2 --save-steps 1 \
            --method full --dtype "${dtype%:*}" "${one_thread[@]}"
        declares "$tmp/full" "${dtype#*:}" "${expected[@]}"
        declares "$tmp/full/checkpoint-1" "${dtype#*:}" "${expected[@]}"
    done
done
finish
