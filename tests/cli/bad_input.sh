# Wrong input from outside: one clear line, exit code 1, no incomplete output. Output that cannot be written is tested in
# bad_output.sh.
. "$(dirname "$0")/common.sh"

make_model "$tmp/model"
data=$tiny/questions.json

# refuses_train TEXT NAME OPTION...: training is refused with exit code $expected, or 1. $model, $file and $out replace the
# valid ones.
refuses_train() {
    local text=$1 name=$2
    shift 2
    refuses "${expected:-1}" "$text" "$name" train --model "${model:-$tmp/model}" --data "${file:-$data}" --out "${out:-$tmp/out}" \
        --max-steps 1 "${one_thread[@]}" "$@"
}
# refuses_loss NAME MODEL: a command whose loss is not finite fails; progress lines on standard output are allowed.
refuses_loss() {
    run "train: $1" train --model "$2" --data "$data" --out "$tmp/out" --max-steps 1 "${one_thread[@]}"
    [ "$code" -eq 1 ] && tail -n 1 "$tmp/stderr" | grep -q '^loam: step 1: the loss is .*damaged' || fail "$(cat "$tmp/stderr")"
    [ ! -e "$tmp/out" ] || fail "left behind: $(ls -A "$tmp/out")"
    refuses 1 'damaged' "eval: $1" eval --model "$2" --data "$data" --limit 4 "${one_thread[@]}"
    refuses 1 'damaged' "generate: $1" generate --model "$2" --prompt 'The bakery' "${one_thread[@]}"
}
# Makes a copy of the model, to be damaged.
spoil() {
    rm -rf "$tmp/spoilt"
    cp -r "$tmp/model" "$tmp/spoilt"
    model=$tmp/spoilt
}
# safetensors FILE HEADER BYTES: writes a container with this header and that many bytes of data.
safetensors() {
    local size=${#2} i
    {
        for i in 0 8 16 24 32 40 48 56; do printf "\\x$(printf %02x $((size >> i & 255)))"; done
        printf '%s' "$2"
        head -c "$3" /dev/zero
    } >"$1"
}

# ---- Missing files ----
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

# ---- Files of another kind ----
mkfifo "$tmp/pipe" # without a writer: opening it must not wait for one
ln -s loop "$tmp/loop"
for path in "$tmp" "$tmp/pipe" /dev/zero /dev/null; do
    [ -d "$path" ] || file=$path refuses_train "$path: it is not a regular file" "data: $path"
    refuses 1 "$path: it is not a regular file" "prompt: $path" generate --model "$tmp/model" --prompt-file "$path"
    refuses 1 "$path: it is not a regular file" "tokenizer: $path" init --config "$tiny/config.json" \
        --tokenizer "$path" --out "$tmp/out"
    refuses_train "$path" "template: $path" --template "$path"
done
file=$tmp/loop refuses_train "$tmp/loop: Too many levels" 'data that is a loop of links'
model=$tmp/loop refuses_train "$tmp/loop" 'a model that is a loop of links'
model=$tmp/model/config.json refuses_train "is a file: expected the directory" 'a model that is a file'
refuses_train "pass it as --model $tmp/model" 'an adapter that is a model' --adapter "$tmp/model"
for name in $'new\nline' 'two words'; do
    model=$tmp/$name refuses_train "${name//$'\n'/?}" 'a name of several lines or words'
done
model=$tmp/$'\377' && cp -r "$tmp/model" "$model"
refuses_train 'the name is not UTF-8' 'a model whose name is no UTF-8' # and could not be written into the output
unset model

# ---- The model ----
spoil && rm "$model/config.json"
refuses_train 'config.json' 'no config'
spoil && sed -i 's/"bloom"/"mamba"/' "$model/config.json"
refuses_train 'mamba' 'unknown architecture'
refuses 1 'mamba' 'inspect: unknown architecture' inspect "$model"
spoil && printf '{"model_type": "bloom",' >"$model/config.json"
refuses_train 'config.json' 'config is no JSON'
spoil && printf '{"model_type": "bl\377"}' >"$model/config.json"
refuses_train 'config.json' 'config is no UTF-8'
spoil && sed -i 's/"n_head": 4/"n_head": 5/' "$model/config.json"
refuses_train 'config.json' 'heads do not divide the hidden size'
spoil && sed -i 's/"hidden_size": 64/"hidden_size": -64/' "$model/config.json"
refuses_train 'hidden size is -64' 'negative size'
spoil && sed -i 's/"n_layer": 2/"n_layer": 1e300/' "$model/config.json"
refuses_train '"n_layer" is 1e+300, which is too large' 'a number without measure'
spoil && sed -i 's/"n_layer": 2/"n_layer": 9223372036854775807/' "$model/config.json"
refuses_train 'number of layers is 9223372036854775807' 'as many layers as there are numbers'
spoil && sed -i 's/"vocab_size": 512/"vocab_size": 4000000000000/' "$model/config.json"
refuses_train 'vocabulary size is 4000000000000' 'a vocabulary larger than any memory'
refuses 1 'vocabulary size is 4000000000000' 'init: the same' init --config "$model/config.json" --out "$tmp/out"
spoil && rm "$model/model.safetensors"
refuses_train 'model.safetensors' 'no weights'
spoil && truncate -s 100000 "$model/model.safetensors"
refuses_train 'model.safetensors' 'truncated weights'
spoil && truncate -s 5 "$model/model.safetensors"
refuses_train 'model.safetensors' 'weights cut in the header size'
for name in model.safetensors tokenizer.json config.json; do
    spoil && printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 531968\n' >"$model/$name"
    refuses_train "$name is only a Git LFS pointer" "$name that Git LFS has not fetched"
done
spoil && : >"$model/model.safetensors"
refuses_train 'model.safetensors' 'empty weights'
spoil && printf '\377\377\377\377\377\377\377\177{}' >"$model/model.safetensors"
refuses_train 'model.safetensors' 'a header larger than the file'
spoil && printf '\0\0\0\0\0\0\0\020{}' >"$model/model.safetensors"
refuses_train 'model.safetensors' 'a header of 2^60 bytes'
refuses 1 'model.safetensors' 'inspect: a header of 2^60 bytes' inspect "$model"
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
for value in 'NaN: \377\377\377\177' 'an infinity: \0\0\200\177'; do
    spoil && truncate -s -4 "$model/model.safetensors" && printf "${value#*: }" >>"$model/model.safetensors"
    refuses_loss "${value%%: *} among the weights" "$model"
done

# ---- The tokenizer ----
spoil && rm "$model/tokenizer.json"
refuses_train 'tokenizer.json' 'no tokenizer'
spoil && sed -i 's/"type": "ByteLevel"/"type": "Mystery"/' "$model/tokenizer.json"
refuses_train 'Mystery' 'unknown tokenizer part'
refuses 1 'Mystery' 'tokenize: unknown tokenizer part' tokenize --model "$model"
spoil && printf '{"model": 1}' >"$model/tokenizer.json"
refuses_train 'tokenizer.json' 'a tokenizer that is none'
spoil && LC_ALL=C sed -i '0,/"a"/s//"\xff"/' "$model/tokenizer.json"
refuses_train 'tokenizer.json' 'a tokenizer that is no UTF-8'
spoil && truncate -s 3000 "$model/tokenizer.json"
refuses_train 'tokenizer.json' 'a tokenizer that is cut off'
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
refuses 1 'data.json' 'eval: SQuAD file that is cut off' eval --model "$tmp/model" --data "$file"
squad() { printf '{"data": [{"paragraphs": [{%s"qas": [{"id": "q-1"%s}]}]}]}' "$1" "$2" >"$file"; }
squad '' ', "question": "q", "answers": []'
refuses_train 'question q-1' 'a paragraph without its context'
squad '"context": "c", ' ', "question": "q"'
refuses_train 'question q-1: no "answers"' 'a question without answers'
squad $'"context": "c\377", ' ', "question": "q", "answers": []'
refuses_train 'data.json:1: invalid UTF-8' 'SQuAD file that is no UTF-8'
# ---- Texts without an end ----
long() { head -c 17000000 /dev/zero | tr '\0' 'x'; }
squad "\"context\": \"$(head -c 17000000 /dev/zero | tr '\0' x)\", " ', "question": "q", "answers": []'
refuses_train 'data.json:1: a string of 17000000 bytes' 'SQuAD file with an endless context'
long >"$tmp/long.txt"
file=$tmp/long.txt refuses_train 'long.txt:1: the line has 17000000 bytes' 'an endless line'
refuses 1 'long.txt' 'an endless prompt' generate --model "$tmp/model" --prompt-file "$tmp/long.txt"
refuses_train 'long.txt' 'an endless template' --template "$tmp/long.txt"
{ printf '{"text": "' && long && printf '"}\n'; } >"$tmp/long.jsonl"
file=$tmp/long.jsonl refuses_train 'long.jsonl:1: the line has' 'an endless record'
rm -f "$tmp/long.txt" "$tmp/long.jsonl"

# ---- Records, line by line ----
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
printf 'one\ntwo \303(\n' >"$tmp/data.txt"
file=$tmp/data.txt refuses_train 'data.txt:2: invalid UTF-8' 'plain text that is no UTF-8'
printf '\n \r\n' >"$tmp/data.txt"
file=$tmp/data.txt refuses_train 'the file is blank' 'nothing but blank lines'
printf 'one\ntw\0o\n' >"$tmp/data.txt"
file=$tmp/data.txt refuses_train 'data.txt:2: a NUL byte at byte 3' 'a NUL byte'
mkdir "$tmp/empty"
file=$tmp/empty refuses_train "$tmp/empty: the directory has no data file" 'an empty directory'
file=$tmp/pipe refuses_train 'a pipe: write it to a file first' 'a pipe'

# ---- Data in other formats: the message tells how to convert it ----
printf '{"text": "caf\351"}\n' >"$file"
refuses_train 'data.jsonl:1: invalid UTF-8 in a string, at byte 14 of the record (0xE9); loam reads UTF-8' 'Latin-1'
printf '\377\376{\0}\0' >"$file"
refuses_train 'iconv -f UTF-16 -t UTF-8' 'UTF-16'
printf '{\0"\0a\0"\0:\0' >"$file"
refuses_train 'iconv -f UTF-16LE -t UTF-8' 'UTF-16 without its mark'
printf '{"text": "a"}\n' | gzip | head -c 20 >"$file"
refuses_train "$file: the compressed file is cut off at its end, byte 20" 'compressed data that is cut off'
printf '\3757zXZ\0\0' >"$tmp/data.xz"
file=$tmp/data.xz refuses_train 'unxz -k' 'another compression'
printf 'title,label\na,1\n' >"$tmp/data.csv"
file=$tmp/data.csv refuses_train 'data.csv: no column "text"; the header has: title, label' 'a table without a text'
printf 'text,label\na,1\nb\n' >"$tmp/data.csv"
file=$tmp/data.csv refuses_train 'data.csv:3: the row has 1 values; the header has 2 columns' 'a ragged table'
printf '{"prompt": "a", "completion": "b"}\n{"prompt": "a", "completion": [1]}\n' >"$file"
refuses_train 'data.jsonl:2: field "completion" must be a string or a number' 'a wrong completion'
printf '{"instruction": "a", "response": "b"}\n' >"$file"
refuses_train '### Response:\n{response}{eos}' 'instructions of another kind'
printf '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n' >"$file"
refuses_train 'the records are conversations: they need a chat template' 'a chat'
printf '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": 7}]}\n' >"$file"
refuses_train 'data.jsonl:1: field "messages[1].content": expected a string' 'a broken chat'
printf '{"data": [{"context": "c", "question": "q", "answers": {"text": ["a"]}}]}' >"$tmp/flat.json"
file=$tmp/flat.json refuses_train '--template squad' 'SQuAD without articles'
unset file
printf 'no field in it' >"$tmp/template.txt"
refuses_train 'template.txt' 'template without a field' --template "$tmp/template.txt"
printf '{context}\377' >"$tmp/template.txt"
refuses_train 'template.txt is not UTF-8' 'template that is no UTF-8' --template "$tmp/template.txt"
printf '{context' >"$tmp/template.txt"
refuses_train 'template.txt' 'template with an open brace' --template "$tmp/template.txt"
refuses 1 'question' 'generate: a field is missing' generate --model "$tmp/model" --template squad --field context=x
refuses 1 '--field question: invalid UTF-8 at byte 3' 'generate: a field that is no UTF-8' generate \
    --model "$tmp/model" --template squad --field context=x --field $'question=ab\377'
refuses 1 '--prompt: invalid UTF-8 at byte 2' 'generate: a prompt that is no UTF-8' generate --model "$tmp/model" \
    --prompt $'a\377'
refuses 1 'the prompt is empty' 'generate: an empty prompt' generate --model "$tmp/model" --prompt ''
refuses 2 '--max-new-tokens 0' 'generate: no tokens' generate --model "$tmp/model" --prompt x --max-new-tokens 0
printf 'a\377' >"$tmp/prompt"
refuses 1 'prompt: invalid UTF-8 at byte 2' 'generate: a prompt file that is no UTF-8' generate --model "$tmp/model" \
    --prompt-file "$tmp/prompt"
printf '1 2 three' >"$tmp/ids"
input=$tmp/ids refuses 1 'three' 'tokenize: no id' tokenize --model "$tmp/model" --decode
printf '1 2 512' >"$tmp/ids"
input=$tmp/ids refuses 1 '512' 'tokenize: id beyond the vocabulary' tokenize --model "$tmp/model" --decode
printf 'ab\377' >"$tmp/text"
input=$tmp/text refuses 1 'UTF-8' 'tokenize: invalid UTF-8' tokenize --model "$tmp/model"

# ---- Impossible option values ----
expected=2 refuses_train '--lora-r 0' 'r = 0' --lora-r 0
expected=2 refuses_train '--lora-r 99999' 'r larger than any layer' --lora-r 99999
refuses_train 'query_key_value' 'targets that match nothing' --target-modules q_proj
expected=2 refuses_train '(' 'targets that are no regular expression' --target-modules 'query('
refuses_train 'retry-limit' 'targets that take forever to match' --target-modules '(((.*)*)*)*x'
expected=2 refuses_train 'not a regular expression' 'targets nested without end' \
    --target-modules "$(head -c 50000 /dev/zero | tr '\0' '(')"
expected=2 refuses_train '--lora-dropout 1' 'dropout of 1' --lora-dropout 1
for name in tpu cuda: cuda:x cuda:-1 cuda:1000 cpu:0 CUDA; do
    expected=2 refuses_train "device \"$name\" does not exist: expected auto, cpu, ref" "device $name" --device "$name"
done

# ---- The adapter ----
"$LOAM" train --model "$tmp/model" --data "$data" --out "$tmp/adapter" --max-steps 1 "${one_thread[@]}" >/dev/null 2>&1
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
for rank in 0 -3 100000000000; do
    spoil_adapter && sed -i "s/\"r\": 8/\"r\": $rank/" "$tmp/broken/adapter_config.json"
    refuses_train "\"r\" is $rank" "adapter of rank $rank" --adapter "$tmp/broken"
done
spoil_adapter && sed -i 's/"target_modules": \[/"target_modules": "(((.*)*)*)*x", "ignored": [/' "$tmp/broken/adapter_config.json"
refuses_train 'retry-limit' 'adapter whose targets take forever' --adapter "$tmp/broken"
for key in use_dora lora_bias; do
    spoil_adapter && sed -i "s/\"$key\": false/\"$key\": true/" "$tmp/broken/adapter_config.json"
    refuses_train "$key" "adapter that asks for $key" --adapter "$tmp/broken"
done


# Sizes that are valid alone, of a model whose bytes do not fit into a number.
mkdir -p "$tmp/endless"
printf '{"model_type": "llama", "hidden_size": 1048576, "num_hidden_layers": 4096, "num_attention_heads": 16384,
"num_key_value_heads": 16384, "head_dim": 16384, "intermediate_size": 4194304, "vocab_size": 16777216,
"rms_norm_eps": 1e-5, "max_position_embeddings": 2048}' >"$tmp/endless/config.json"
for command in inspect 'plan --dtype f32 --lengths 8 --model' 'plan --method full --lengths 8 --model'; do
    # shellcheck disable=SC2086
    refuses 1 'a model of 4.7e+18 parameters' "endless: $command" $command "$tmp/endless"
done

# ---- An adapter for another base ----
# other_base NAME TEXT ADAPTER: every command with this adapter on $model is refused.
other_base() {
    refuses_train "$2" "train: $1" --adapter "$3"
    refuses 1 "$2" "generate: $1" generate --model "$model" --adapter "$3" --prompt x "${one_thread[@]}"
    refuses 1 "$2" "eval: $1" eval --model "$model" --adapter "$3" --data "$data" "${one_thread[@]}"
}
model=$tmp/other
init_other() {
    rm -rf "$model"
    "$LOAM" init --config "$tmp/other.json" --tokenizer "$tiny/tokenizer.json" --out "$model" >/dev/null
}
sed 's/"hidden_size": 64/"hidden_size": 32/' "$tiny/config.json" >"$tmp/other.json" && init_other
other_base 'a narrower base' 'is [8, 64]; this model and rank 8 ask for [8, 32]' "$tmp/adapter"
sed 's/"n_layer": 2/"n_layer": 1/' "$tiny/config.json" >"$tmp/other.json" && init_other
other_base 'a base of fewer layers' 'h.1.self_attention.query_key_value.lora_A.weight" is for a module' "$tmp/adapter"
sed 's/"n_layer": 2/"n_layer": 3/' "$tiny/config.json" >"$tmp/other.json" && init_other
other_base 'a base of more layers' 'h.2.self_attention.query_key_value.lora_A.weight"' "$tmp/adapter"
printf '{"model_type": "llama", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 256}' >"$tmp/other.json" && init_other
other_base 'a base of another family' '"query_key_value" matches no linear module' "$tmp/adapter"
"$LOAM" train --model "$model" --data "$data" --out "$tmp/llama" --max-steps 1 "${one_thread[@]}" >/dev/null 2>&1
model=$tmp/model
other_base 'an adapter of another family' 'matches no linear module of this model' "$tmp/llama"
unset model

# ---- Unusual but valid input ----
# Byte order marks and line ends of other systems.
mark=$'\357\273\277'
marked() { { printf %s "$mark" && cat "$1"; } >"$2"; }
spoil
for name in config.json tokenizer.json tokenizer_config.json; do marked "$tmp/model/$name" "$model/$name"; done
marked "$data" "$tmp/data.json"
ok 'byte order marks' train --model "$model" --data "$tmp/data.json" --out "$tmp/out" --max-steps 1 "${one_thread[@]}"
cmp -s "$tmp/out/adapter_model.safetensors" "$tmp/adapter/adapter_model.safetensors" || fail 'another adapter'
rm -rf "$tmp/out"
printf '%s{"text": "one two"}\r\n\r\n{"text": "three"}\r\n' "$mark" >"$tmp/data.jsonl"
printf '%s{text}\r\n' "$mark" >"$tmp/template.txt"
ok 'JSONL from another system' train --model "$tmp/model" --data "$tmp/data.jsonl" --template "$tmp/template.txt" \
    --out "$tmp/out" --max-steps 1 "${one_thread[@]}"
printf '%sThe bakery\r\n' "$mark" >"$tmp/prompt"
ok 'prompt from another system' generate --model "$tmp/model" --prompt-file "$tmp/prompt" --max-new-tokens 4 --json "${one_thread[@]}"
cp "$tmp/stdout" "$tmp/marked"
ok 'the same prompt' generate --model "$tmp/model" --prompt 'The bakery' --max-new-tokens 4 --json "${one_thread[@]}"
[ "$(grep '"prompt_tokens"' "$tmp/marked")" = "$(grep '"prompt_tokens"' "$tmp/stdout")" ] || fail 'the mark is in the prompt'
finish
