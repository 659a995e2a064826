# --config, --print-config and OUT/run.yaml: repeating a run by a file.
. "$(dirname "$0")/common.sh"

make_model "$tmp/model"
data=$tiny/questions.json
cat >"$tmp/my.yaml" <<YAML
# a run
model: $tmp/model
data: $data
batch_size: 4
learning-rate: 1e-2
max-steps: 5
threads: 1
target-modules: [query_key_value, dense]
lora-dropout: 0.1
YAML

# ---- A run by file, repeated by its own run.yaml ----
export HF_TOKEN=hf_secret
ok 'train by file' train --config "$tmp/my.yaml" --out "$tmp/a"
ok 'the same by options' train --model "$tmp/model" --data "$data" --batch-size 4 --lr 1e-2 --max-steps 5 --threads 1 \
    --target-modules query_key_value,dense --lora-dropout 0.1 --out "$tmp/b"
cmp "$tmp/a/adapter_model.safetensors" "$tmp/b/adapter_model.safetensors" || fail 'another adapter'
unset HF_TOKEN
grep -qi 'secret\|token: ' "$tmp/a/run.yaml" && fail 'a secret in run.yaml'
grep -qx "out: $tmp/a" "$tmp/a/run.yaml" || fail "$(cat "$tmp/a/run.yaml")"

refuses 1 '--overwrite' 'again, over it' train --config "$tmp/a/run.yaml"
cp "$tmp/a/adapter_model.safetensors" "$tmp/before"
ok 'again, overwritten' train --config "$tmp/a/run.yaml" --overwrite
cmp "$tmp/a/adapter_model.safetensors" "$tmp/before" || fail 'another adapter'
grep -q '^overwrite' "$tmp/a/run.yaml" && fail 'the leave to overwrite is kept'

# With relative paths, and from another directory.
mkdir "$tmp/project" "$tmp/elsewhere"
cp "$data" "$tmp/project/questions.json"
case_name='relative paths'
(cd "$tmp/project" && "$LOAM" train --model ../model --data questions.json --max-steps 2 --threads 1 --out out) \
    >"$tmp/stdout" 2>"$tmp/stderr" || fail "$(cat "$tmp/stderr")"
(cd "$tmp/elsewhere" && "$LOAM" train --config "$tmp/project/out/run.yaml" --out again) >"$tmp/stdout" \
    2>"$tmp/stderr" || fail "$(cat "$tmp/stderr")"
cmp "$tmp/project/out/adapter_model.safetensors" "$tmp/elsewhere/again/adapter_model.safetensors" || fail 'another adapter'

# It contains the values that loam chose, because another machine or a later loam may choose others. Giving them changes
# nothing.
case_name='resolved'
for line in 'max-length: [0-9]*' 'token-budget: [0-9]*' 'target-modules: query_key_value' 'threads: 1' 'dtype: b*f[0-9]*'; do
    grep -qx "$line" "$tmp/project/out/run.yaml" || fail "no \"$line\": $(cat "$tmp/project/out/run.yaml")"
done
cmp -s <(grep -v '^out:' "$tmp/project/out/run.yaml") <(grep -v '^out:' "$tmp/elsewhere/again/run.yaml") ||
    fail "$(diff "$tmp/project/out/run.yaml" "$tmp/elsewhere/again/run.yaml")"
ok 'each core' train --model "$tmp/model" --data "$data" --max-steps 1 --out "$tmp/cores"
grep -qx 'threads: [1-9][0-9]*' "$tmp/cores/run.yaml" || fail "$(cat "$tmp/cores/run.yaml")"
ok 'kept in 16 bits' init --config "$tiny/config.json" --tokenizer "$tiny/tokenizer.json" --dtype f16 --out "$tmp/halves"
ok 'train it' train --model "$tmp/halves" --data "$data" --max-steps 2 --threads 1 --out "$tmp/kept"
ok 'train it again' train --config "$tmp/kept/run.yaml" --out "$tmp/kept-again"
cmp "$tmp/kept/adapter_model.safetensors" "$tmp/kept-again/adapter_model.safetensors" || fail 'another adapter'

# Training of all parameters writes run.yaml too, and plan accepts it.
ok 'full' train --config "$tmp/my.yaml" --method full --out "$tmp/full"
grep -qx 'method: full' "$tmp/full/run.yaml" || fail "$(cat "$tmp/full/run.yaml")"
ok 'plan of it' plan --config "$tmp/full/run.yaml"

# ---- The command line overrides the file, at any position ----
for order in "--config $tmp/my.yaml --max-steps 1" "--max-steps 1 --config $tmp/my.yaml"; do
    # shellcheck disable=SC2086
    ok "train $order" train $order --out "$tmp/out" --json
    [ "$(number steps "$tmp/stdout")" = 1 ] || fail "$(cat "$tmp/stdout")"
    rm -rf "$tmp/out"
done
printf 'quiet: true\njson: true\n' >>"$tmp/my.yaml"
ok 'quiet by file' train --config "$tmp/my.yaml" --out "$tmp/out"
[ ! -s "$tmp/stderr" ] || fail "not quiet: $(cat "$tmp/stderr")"
[ "$(number steps "$tmp/stdout")" = 5 ] || fail "$(cat "$tmp/stdout")"
rm -rf "$tmp/out"

# ---- The whole run, printed ----
ok 'print' train --config "$tmp/my.yaml" --print-config --out "$tmp/out" --seed 7
[ ! -s "$tmp/stderr" ] || fail "$(cat "$tmp/stderr")"
[ ! -e "$tmp/out" ] || fail 'it trained'
for line in "model: $tmp/model" 'per-device-train-batch-size: 4' 'learning-rate: 1e-2' 'seed: 7' 'weight-decay: 0' \
    'shuffle: true' 'skip-bad: false' '# eval-data: (none)'; do
    grep -qxF "$line" "$tmp/stdout" || fail "no \"$line\": $(cat "$tmp/stdout")"
done
# Every option is present, except those that only concern the call.
"$LOAM" train --help | sed -n 's/^  --\(no-\)\{0,1\}\([a-z0-9-]*\).*/\2/p' | sort >"$tmp/options"
sed -n 's/^\(# \)\{0,1\}\([a-z0-9-]*\):.*/\2/p' "$tmp/stdout" | sort >"$tmp/keys"
for name in config print-config overwrite json quiet resume allow-change save-wait; do
    grep -qx -- "$name" "$tmp/keys" && fail "$name is in it"
    printf '%s\n' "$name" >>"$tmp/keys"
done
missing=$(sort "$tmp/keys" | comm -23 "$tmp/options" -)
[ -z "$missing" ] || fail "not in it: $missing"
cp "$tmp/stdout" "$tmp/printed.yaml"
ok 'print what was printed' train --config "$tmp/printed.yaml" --print-config
cmp -s "$tmp/printed.yaml" "$tmp/stdout" || fail "$(diff "$tmp/printed.yaml" "$tmp/stdout")"
ok 'train what was printed' train --config "$tmp/printed.yaml"
rm -rf "$tmp/out"
ok 'nothing is needed to print' generate --print-config
output_has 'max-new-tokens: 256'

# ---- Options without effect ----
# A file contains every option, so its defaults give no warning; a value that the command line makes useless does.
grep -q 'warning' "$tmp/stderr" && fail "$(cat "$tmp/stderr")"
ok 'from an adapter' train --config "$tmp/a/run.yaml" --adapter "$tmp/a" --max-steps 1 --out "$tmp/further" --quiet
grep -q "warning: $tmp/a/run.yaml: lora-dropout has no effect with --adapter" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
grep -q 'lora-r' "$tmp/stderr" && fail "a warning about a default: $(cat "$tmp/stderr")"
refuses 1 '--lora-r has no effect with --adapter' 'an adapter of the file' train --config "$tmp/further/run.yaml" \
    --lora-r 16 --out "$tmp/out"
ok 'inspect it' inspect "$tmp/a" --lora-r 4
grep -q "warning: $tmp/a is an adapter: --lora-r" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"

# ---- Other commands ----
printf 'model: %s\nprompt: "The bakery"\nmax-new-tokens: 3\nthreads: 1\n' "$tmp/model" >"$tmp/generate.yaml"
ok 'generate by file' generate --config "$tmp/generate.yaml" --json
[ "$(number new_tokens "$tmp/stdout")" -le 3 ] || fail "$(cat "$tmp/stdout")"
printf 'model: %s\ndata: %s\nthreads: 1\nlimit: 2\n' "$tmp/model" "$data" >"$tmp/eval.yaml"
ok 'eval by file' eval --config "$tmp/eval.yaml" --json
printf 'model: %s\nadapter: %s\ncheck: false\nthreads: 1\n' "$tmp/model" "$tmp/a" >"$tmp/merge.yaml"
ok 'merge by file' merge --config "$tmp/merge.yaml" --out "$tmp/merged"
[ -s "$tmp/merged/model.safetensors" ] || fail 'nothing merged'
printf 'what: matmul\nmodel: %s\nlengths: [8, 8]\nsteps: 1\nthreads: 1\nceiling: false\n' "$tmp/model" >"$tmp/bench.yaml"
ok 'print a bench' bench --config "$tmp/bench.yaml" --print-config
output_has 'lengths: "8,8"'

# ---- Refusals name the line ----
bad() {
    printf '%b' "$2" >"$tmp/bad.yaml"
    refuses 1 "$tmp/bad.yaml:$3" "$1" train --config "$tmp/bad.yaml" --out "$tmp/out"
}
bad 'unknown key' 'model: a\n\nlearing-rate: 1\n' '3: loam train has no option learing-rate; did you mean learning-rate?'
bad 'wrong type' 'lora-r: eight\n' '1: --lora-r eight: expected a whole number'
bad 'wrong range' 'lora-r: 0\n' '1: --lora-r 0: expected a value in the interval [1,65536]'
bad 'wrong choice' 'lr-scheduler-type: cosin\n' '1: --lr-scheduler-type cosin: expected linear|cosine|constant|constant_with_warmup; did you mean cosine?'
bad 'twice' 'lr: 1\nlearning-rate: 1\n' '2: learning-rate is already set on line 1'
bad 'an alias' 'model: &x a\ndata: *x\n' '1: anchors, aliases and tags'
bad 'two documents' 'model: a\n---\nmodel: b\n' '2: expected one document'
bad 'not YAML' 'model: "a\n' '2: not valid YAML'
bad 'not a mapping' '- a\n' '1: expected lines of the form'
bad 'another file in it' 'config: a\n' '1: config is allowed on the command line only'
bad 'overridden, and still wrong' 'out: [a]\n' '1: out: expected DIR, not a list'
refuses 1 "$tmp/nowhere.yaml" 'no file' train --config "$tmp/nowhere.yaml"
refuses 1 "$tmp" 'a directory' train --config "$tmp"
refuses 2 '--config needs a value: FILE' 'no name' train --config
printf 'seed: 1\n' >"$tmp/seed.yaml"
refuses 2 'loam train needs --data FILE' 'required option, not in the file' train --config "$tmp/seed.yaml" --model x

# ---- The example file ----
case_name='examples/bloom-1b7-squad'
example=$LOAM_SOURCE/examples/bloom-1b7-squad/run
(cd "$tmp" && PATH=$(dirname "$LOAM"):$PATH "$example" model "$data" squad --max-steps 2 --threads 1 >stdout 2>stderr) ||
    fail "$(cat "$tmp/stderr")"
grep -q '^step 2/2 ' "$tmp/stdout" || fail "$(cat "$tmp/stdout")"
! grep -q warning "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
grep -qx 'lora-dropout: 0.05' "$tmp/squad/run.yaml" || fail "$(cat "$tmp/squad/run.yaml")"
finish
