# The completion script for fish: fish itself prints the completions.
. "$(dirname "$0")/common.sh"

command -v fish >/dev/null || {
    printf 'skipped: there is no fish (Debian: fish)\n'
    exit 77
}
ok 'write it' completion fish
cp "$tmp/stdout" "$tmp/loam.fish"
export HOME=$tmp XDG_CONFIG_HOME=$tmp XDG_DATA_HOME=$tmp
case_name='syntax'
fish --no-config -n "$tmp/loam.fish" || fail 'fish does not take it'
mkdir -p "$tmp/work/data"
: >"$tmp/work/my.json"

offers() { # offers "A B" LINE: the candidates without their descriptions
    case_name="complete: $2"
    (cd "$tmp/work" && fish --no-config -c "source $tmp/loam.fish; complete -C '$2'") | cut -f1 | sort >"$tmp/offered"
    printf '%s\n' $1 | sort >"$tmp/expected"
    cmp -s "$tmp/expected" "$tmp/offered" || fail "offered: $(tr '\n' ' ' <"$tmp/offered")"
}
offers 'train' 'loam tr'
offers 'plan pull push' 'loam p'
offers '--learning-rate' 'loam train --learn'
offers '--no-shuffle' 'loam train --no-s'
offers 'linear cosine constant constant_with_warmup' 'loam train --lr-scheduler-type '
offers 'constant constant_with_warmup' 'loam train --schedule con'
offers '--dtype=bf16' 'loam train --dtype=b'
offers 'data/' 'loam train --out d'
offers '--resume=auto' 'loam train --resume=a'
offers '--resume=data/' 'loam train --resume=d'
offers '--help' 'loam eval --he'
offers 'my.json' 'loam train --data m'
offers 'step matmul generate' 'loam bench '
offers 'data/' 'loam inspect d'
offers 'bash zsh fish' 'loam completion '
offers '--max-new-tokens' 'loam generate --max'
finish
