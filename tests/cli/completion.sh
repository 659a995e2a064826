# The completion script for bash, called as bash calls it.
. "$(dirname "$0")/common.sh"

ok 'write it' completion bash
cp "$tmp/stdout" "$tmp/loam.bash"
case_name='syntax'
bash -n "$tmp/loam.bash" || fail 'bash does not take it'
mkdir -p "$tmp/work/models one/deep" "$tmp/work/data"
: >"$tmp/work/models.json"
: >"$tmp/work/my data.json"

# complete WORD... : prints the completions of the last word, one per line, sorted. bash splits --name=value into three words.
complete_line() {
    (
        cd "$tmp/work"
        # shellcheck source=/dev/null
        . "$tmp/loam.bash"
        COMP_WORDS=(loam "$@")
        COMP_CWORD=$#
        _loam
        printf '%s\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"}
    ) | sort >"$tmp/offered"
}
offers() { # offers "A B" WORD...
    case_name="complete: ${*:2}"
    complete_line "${@:2}"
    printf '%s\n' $1 | sort >"$tmp/expected"
    cmp -s "$tmp/expected" "$tmp/offered" || fail "offered: $(tr '\n' ' ' <"$tmp/offered")"
}
offers 'train' tr
offers 'plan pull push' p
offers '--help --version' -
offers 'bash zsh fish' completion ''
offers 'inspect init' help in
offers '--learning-rate' train --learn
offers '--lora-alpha --lora-bias --lora-dropout --lora-r --loraplus-lr-embedding --loraplus-lr-ratio' train --lora
offers '--no-shuffle' train --no-s
offers 'linear cosine constant constant_with_warmup' train --lr-scheduler-type ''
offers 'cosine constant constant_with_warmup' train --lr-scheduler-type co
offers 'cosine constant constant_with_warmup' train --lr_scheduler_type co
offers 'constant constant_with_warmup' train --schedule con
offers 'f32 f16 bf16' train --dtype = ''
offers 'f32 f16 bf16' train --dtype =
offers 'f32 f16' train --dtype = f
offers 'f16' init --dtype f1
offers 'none mlp block' train --gradient-checkpointing ''
offers '--lr --lr-scheduler-type' train --gradient-checkpointing --lr
offers '' train --lora-r ''
offers '' train --lora-r --
offers 'data' train --out dat
offers 'auto' train --resume a
offers 'data' train --resume = d
offers 'step matmul generate' bench ''
offers 'data' inspect d
offers 'data' train --quiet --model d
offers '' frobnicate --
case_name='a name with a blank'
complete_line train --model models
grep -qx 'models one' "$tmp/offered" || fail "offered: $(cat "$tmp/offered")"
grep -q 'models.json' "$tmp/offered" && fail 'a file where a directory is meant'

# All options of every command, by both their names.
for command in $("$LOAM" --help | sed -n 's/^  \([a-z]*\)  *.*/\1/p'); do
    complete_line "$command" --
    "$LOAM" "$command" --help | grep -o -- '^  --[a-z0-9-]*\|Also --[a-z0-9-]*' | sed 's/^Also //; s/^ *//' | sort -u >"$tmp/options"
    missing=$(comm -23 "$tmp/options" "$tmp/offered")
    [ -z "$missing" ] || fail "$command: not offered: $missing"
done

refuses 2 'completion fsh: expected bash, zsh or fish' 'another shell' completion fsh
refuses 2 'completion needs a shell: bash, zsh or fish' 'no shell' completion
refuses 2 'completion takes one shell' 'two shells' completion bash zsh
finish
