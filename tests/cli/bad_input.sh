# What comes from outside and is wrong: one clear line, exit code 1, nothing half-written.
. "$(dirname "$0")/common.sh"

make_model "$tmp/model"
data=$tiny/questions.json

# refuses_train TEXT NAME OPTION...: training is refused; $model, $file and $out stand for other than the good ones.
refuses_train() {
    local text=$1 name=$2
    shift 2
    refuses 1 "$text" "$name" train --model "${model:-$tmp/model}" --data "${file:-$data}" --out "${out:-$tmp/out}" \
        --max-steps 1 "${one_thread[@]}" "$@"
}
# A copy of the model, to be spoiled.
spoil() {
    rm -rf "$tmp/spoilt"
    cp -r "$tmp/model" "$tmp/spoilt"
    model=$tmp/spoilt
}
# safetensors FILE HEADER BYTES: a container with this header and so many bytes of data.
safetensors() {
    local size=${#2} i
    {
        for i in 0 8 16 24 32 40 48 56; do printf "\\x$(printf %02x $((size >> i & 255)))"; done
        printf '%s' "$2"
        head -c "$3" /dev/zero
    } >"$1"
}

# ---- Files that are not there ----
model=$tmp/nowhere refuses_train "$tmp/nowhere" 'no such model'
file=$tmp/nowhere.json refuses_train "$tmp/nowhere.json" 'no such data'
refuses_train "$tmp/nowhere.json" 'no such eval data' --eval-data "$tmp/nowhere.json"
refuses_train "$tmp/nowhere.txt" 'no such template' --template "$tmp/nowhere.txt"
refuses_train "$tmp/nowhere" 'no such adapter' --adapter "$tmp/nowhere"
refuses 1 "$tmp/nowhere" 'inspect: no such path' inspect "$tmp/nowhere"
refuses 1 "$tmp/nowhere.json" 'init: no such config' init --config "$tmp/nowhere.json" --out "$tmp/out"
refuses 1 "$tmp/nowhere.json" 'init: no such tokenizer' init --config "$tiny/config.json" \
    --tokenizer "$tmp/nowhere.json" --out "$tmp/out"
refuses 1 "$tmp/nowhere" 'generate: no such model' generate --model "$tmp/nowhere" --prompt x
refuses 1 "$tmp/nowhere.txt" 'generate: no such prompt file' generate --model "$tmp/model" --prompt-file "$tmp/nowhere.txt"
refuses 1 "$tmp/nowhere" 'tokenize: no such model' tokenize --model "$tmp/nowhere"
refuses 1 "$tmp/nowhere.json" 'eval: no such data' eval --model "$tmp/model" --data "$tmp/nowhere.json"

# ---- The model ----
spoil && rm "$model/config.json"
refuses_train 'config.json' 'no config'
spoil && sed -i 's/"bloom"/"mamba"/' "$model/config.json"
refuses_train 'mamba' 'unknown architecture'
refuses 1 'mamba' 'inspect: unknown architecture' inspect "$model"
spoil && printf '{"model_type": "bloom",' >"$model/config.json"
refuses_train 'config.json' 'config is no JSON'
spoil && sed -i 's/"n_head": 4/"n_head": 5/' "$model/config.json"
refuses_train 'config.json' 'heads do not divide the hidden size'
spoil && sed -i 's/"hidden_size": 64/"hidden_size": -64/' "$model/config.json"
refuses_train 'hidden size is -64' 'negative size'
spoil && rm "$model/model.safetensors"
refuses_train 'model.safetensors' 'no weights'
spoil && truncate -s 100000 "$model/model.safetensors"
refuses_train 'model.safetensors' 'truncated weights'
spoil && truncate -s 5 "$model/model.safetensors"
refuses_train 'model.safetensors' 'weights cut in the header size'
spoil && : >"$model/model.safetensors"
refuses_train 'model.safetensors' 'empty weights'
spoil && printf '\377\377\377\377\377\377\377\177{}' >"$model/model.safetensors"
refuses_train 'model.safetensors' 'a header larger than the file'
spoil && safetensors "$model/model.safetensors" '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,64]}}' 64
refuses_train 'tensor a ' 'shape and offsets that disagree'
spoil && safetensors "$model/model.safetensors" '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}' 8
refuses_train 'model.safetensors' 'offsets beyond the data'
spoil && safetensors "$model/model.safetensors" \
    '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}}' 24
refuses_train 'model.safetensors' 'tensors that overlap'
spoil && safetensors "$model/model.safetensors" \
    '{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16]}}' 16
refuses_train 'tensor a ' 'a shape that overflows'
spoil && safetensors "$model/model.safetensors" '{"a":{"dtype":"Q99","shape":[4],"data_offsets":[0,16]}}' 16
refuses_train 'Q99' 'unknown dtype'
spoil && safetensors "$model/model.safetensors" '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}' 16
refuses_train 'word_embeddings.weight is missing' 'tensors of another model'
spoil && sed -i 's/"hidden_size": 64/"hidden_size": 32/' "$model/config.json"
refuses_train 'word_embeddings.weight' 'wrong shape'
spoil && sed -i 's/"n_layer": 2/"n_layer": 3/' "$model/config.json"
refuses_train 'h.2.' 'a missing layer'
spoil && sed -i 's/"n_layer": 2/"n_layer": 1/' "$model/config.json"
refuses_train 'h.1.' 'a layer that the config does not have'

# ---- The tokenizer ----
spoil && rm "$model/tokenizer.json"
refuses_train 'tokenizer.json' 'no tokenizer'
spoil && sed -i 's/"type": "ByteLevel"/"type": "Mystery"/' "$model/tokenizer.json"
refuses_train 'Mystery' 'unknown tokenizer part'
refuses 1 'Mystery' 'tokenize: unknown tokenizer part' tokenize --model "$model"
spoil && printf '{"model": 1}' >"$model/tokenizer.json"
refuses_train 'tokenizer.json' 'a tokenizer that is none'
sed 's/"vocab_size": 512/"vocab_size": 300/' "$tiny/config.json" >"$tmp/small.json"
refuses 1 'vocab_size is 300' 'init: ids beyond the vocabulary' init --config "$tmp/small.json" \
    --tokenizer "$tiny/tokenizer.json" --out "$tmp/out"
"$LOAM" init --config "$tmp/small.json" --out "$tmp/small" >/dev/null
cp "$tiny/tokenizer.json" "$tiny/tokenizer_config.json" "$tmp/small"
model=$tmp/small
refuses_train '300' 'ids beyond the vocabulary'
refuses 1 '300' 'generate: ids beyond the vocabulary' generate --model "$tmp/small" --prompt 'The bakery'
unset model

# ---- The examples ----
file=$tmp/data.json
printf '{"version": "v2.0", "data": []}' >"$file"
refuses_train 'data.json' 'empty SQuAD file'
printf '{"version": "v2.0", "data": [{"paragraphs": [{"context": "c", "qas": [{"id": "broken-1", "answers": []}]}]}]}' >"$file"
refuses_train 'question' 'a question without its text'
printf '{"version": "v2.0", "data": [' >"$file"
refuses_train 'data.json' 'SQuAD file that is cut off'
file=$tmp/data.jsonl
: >"$file"
refuses_train 'data.jsonl' 'empty file'
printf '{"text": "one"}\n{"text": \n' >"$file"
refuses_train 'data.jsonl:2' 'a broken line'
printf '{"text": "one"}\n{"txt": "two"}\n' >"$file"
refuses_train 'data.jsonl:2' 'a record without its field' --no-shuffle
refuses_train 'context' 'a template whose field the record lacks' --template squad
printf '{"text": "\377"}\n' >"$file"
refuses_train 'data.jsonl:1' 'invalid UTF-8'
unset file
printf 'no field in it' >"$tmp/template.txt"
refuses_train 'template.txt' 'template without a field' --template "$tmp/template.txt"
printf '{context' >"$tmp/template.txt"
refuses_train 'template.txt' 'template with an open brace' --template "$tmp/template.txt"
refuses 1 'question' 'generate: a field is missing' generate --model "$tmp/model" --template squad --field context=x
printf '1 2 three' >"$tmp/ids"
input=$tmp/ids refuses 1 'three' 'tokenize: no id' tokenize --model "$tmp/model" --decode
printf '1 2 512' >"$tmp/ids"
input=$tmp/ids refuses 1 '512' 'tokenize: id beyond the vocabulary' tokenize --model "$tmp/model" --decode
printf 'ab\377' >"$tmp/text"
input=$tmp/text refuses 1 'UTF-8' 'tokenize: invalid UTF-8' tokenize --model "$tmp/model"

# ---- Options whose values cannot be ----
refuses_train '--lora-r 0' 'r = 0' --lora-r 0
refuses_train 'query_key_value' 'targets that match nothing' --target-modules q_proj
refuses_train '(' 'targets that are no regular expression' --target-modules 'query('
refuses_train '--lora-dropout 1' 'dropout of 1' --lora-dropout 1
refuses_train 'tpu' 'unknown device' --device tpu

# ---- The adapter ----
"$LOAM" train --model "$tmp/model" --data "$data" --out "$tmp/adapter" --max-steps 1 >/dev/null 2>&1
spoil_adapter() {
    rm -rf "$tmp/broken"
    cp -r "$tmp/adapter" "$tmp/broken"
}
spoil_adapter && rm "$tmp/broken/adapter_model.safetensors"
refuses_train 'adapter_model.safetensors' 'adapter without weights' --adapter "$tmp/broken"
spoil_adapter && truncate -s 1000 "$tmp/broken/adapter_model.safetensors"
refuses_train 'adapter_model.safetensors' 'truncated adapter' --adapter "$tmp/broken"
spoil_adapter && sed -i 's/"r": 8/"r": 4/' "$tmp/broken/adapter_config.json"
refuses_train 'lora_A' 'adapter of another rank' --adapter "$tmp/broken"
for key in use_rslora use_dora; do
    spoil_adapter && sed -i "s/\"$key\": false/\"$key\": true/" "$tmp/broken/adapter_config.json"
    refuses_train "$key" "adapter that asks for $key" --adapter "$tmp/broken"
done

# ---- The output ----
mkdir "$tmp/full" && echo mine >"$tmp/full/notes"
out=$tmp/full refuses_train '--overwrite' 'output directory that is not empty'
[ "$(cat "$tmp/full/notes")" = mine ] || fail 'the directory was touched'
refuses 1 '--overwrite' 'init: output directory that is not empty' init --config "$tiny/config.json" --out "$tmp/full"
out=$tmp/full/notes refuses_train "$tmp/full/notes" 'output directory that is a file'
out=$tmp/full/notes/out refuses_train "$tmp/full/notes" 'output directory below a file'
refuses 1 '/proc/loam' 'init: output that cannot be made' init --config "$tiny/config.json" --out /proc/loam
out=/proc/loam refuses_train '/proc/loam' 'output that cannot be made'
finish
