# Models and adapters in .bin files of torch.save (tests/data/make_torch.py) give what their safetensors give.
. "$(dirname "$0")/common.sh"
files=$LOAM_SOURCE/tests/data/torch

ok 'safetensors' merge --model "$files/safetensors" --adapter "$files/adapter_safetensors" --out "$tmp/expected" --no-check
for model in single sharded safetensors; do
    for adapter in adapter_bin adapter_safetensors; do
        ok "$model and $adapter" merge --model "$files/$model" --adapter "$files/$adapter" --out "$tmp/merged" --no-check
        cmp -s "$tmp/expected/model.safetensors" "$tmp/merged/model.safetensors" || fail 'another model'
        [ -z "$(find "$tmp/merged" -name '*.bin*')" ] || fail 'a .bin file was written'
        rm -rf "$tmp/merged"
    done
    ok "inspect $model" inspect "$files/$model"
    output_has 'parameters: 1,904'
done
ok 'inspect an adapter' inspect "$files/adapter_bin"
output_has 'query_key_value'

# Safetensors have precedence, as in transformers.
cp -r "$files/safetensors" "$tmp/both"
echo 'no archive' >"$tmp/both/pytorch_model.bin"
ok 'both' inspect "$tmp/both"
rm "$tmp/both/model.safetensors"
refuses 1 'pytorch_model.bin: no zip archive, as torch.save writes it' 'no archive' inspect "$tmp/both"
cp "$files/old.bin" "$tmp/both/pytorch_model.bin"
refuses 1 'has the format of PyTorch before 1.6' 'an old file' inspect "$tmp/both"
cp -r "$files/adapter_safetensors" "$tmp/adapter"
cp "$files/object.bin" "$tmp/adapter/adapter_model.bin"
ok 'both files of an adapter' inspect "$tmp/adapter"
rm "$tmp/adapter/adapter_model.safetensors"
refuses 1 'needs __main__.Module, which loam does not run' 'an adapter that is an object' inspect "$tmp/adapter"
cp -r "$files/sharded" "$tmp/shards"
rm "$tmp/shards/pytorch_model-00002-of-00002.bin"
refuses 1 'pytorch_model-00002-of-00002.bin' 'a shard that is not there' inspect "$tmp/shards"
rm "$tmp/shards/pytorch_model.bin.index.json"
refuses 1 'pytorch_model.bin.index.json must name it' 'no index' merge --model "$tmp/shards" \
    --adapter "$files/adapter_bin" --out "$tmp/out" --no-check
finish
