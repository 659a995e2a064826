# The completion script for zsh, in a zsh on a terminal where Tab is pressed.
. "$(dirname "$0")/common.sh"

command -v zsh >/dev/null || {
    printf 'skipped: there is no zsh (Debian: zsh)\n'
    exit 77
}
ok 'write it' completion zsh
mkdir -p "$tmp/functions" "$tmp/work/data"
cp "$tmp/stdout" "$tmp/functions/_loam"
case_name='syntax'
zsh -n "$tmp/functions/_loam" || fail 'zsh does not take it'

# The line after Tab. The keys bound to Ctrl-X print it between two marks.
cat >"$tmp/drive.zsh" <<'ZSH'
zmodload zsh/zpty || exit 77
zpty -b shell zsh -f -i
zpty -w shell "PS1= TERM=dumb; fpath=($1/functions \$fpath); cd $1/work; autoload -U compinit; compinit -u -d $1/dump"
zpty -w shell 'setopt no_beep no_always_last_prompt; unsetopt list_ambiguous auto_list auto_menu'
zpty -w shell 'show() { print -r -- "<<${BUFFER}>>"; BUFFER=""; }; zle -N show; bindkey "^X" show; print -r -- re""ady'
text=''
wait_for() { # until the pattern is in what was shown
    local piece
    for i in {1..1500}; do
        while zpty -rt shell piece 2>/dev/null; do text+=$piece; done
        [[ $text == ${~1} ]] && return 0
        sleep 0.02
    done
    print -r -- "zsh says: $text" >&2
    exit 1
}
wait_for '*ready*'
shift
for line in "$@"; do
    text=''
    zpty -wn shell "$line"$'\t'$'\030'
    wait_for '*<<*>>*'
    text=${text##*<<}
    print -r -- "${text%%>>*}"
done
zpty -d shell
ZSH
case_name='driven'
lines=('loam tr' 'loam train --learn' 'loam train --lr-scheduler-type cos' 'loam train --dtype=b' 'loam inspect da'
    'loam bench ma' 'loam completion z' 'loam train --no-s' 'loam train --out da' 'loam generate --max-n'
    'loam train --resume=au' 'loam train --resume=da')
expected=('loam train ' 'loam train --learning-rate=' 'loam train --lr-scheduler-type cosine ' 'loam train --dtype=bf16 '
    'loam inspect data/' 'loam bench matmul ' 'loam completion zsh ' 'loam train --no-shuffle ' 'loam train --out data/'
    'loam generate --max-new-tokens=' 'loam train --resume=auto ' 'loam train --resume=data/')
code=0
zsh -f "$tmp/drive.zsh" "$tmp" "${lines[@]}" >"$tmp/became" 2>"$tmp/stderr" </dev/null || code=$?
if [ "$code" -eq 77 ]; then
    printf 'skipped: this zsh has no zsh/zpty\n'
    exit 77
fi
[ "$code" -eq 0 ] || fail "$(cat "$tmp/stderr")"
# Whether a blank follows depends on the shell.
printf '%s\n' "${expected[@]}" | sed 's/ *$//' >"$tmp/expected"
tr -d '\r' <"$tmp/became" | sed 's/ *$//' >"$tmp/plain"
cmp -s "$tmp/expected" "$tmp/plain" || fail "$(diff "$tmp/expected" "$tmp/plain")"
finish
