# --help, --version, and the messages about mistyped command lines.
. "$(dirname "$0")/common.sh"

ok 'overview' --help
for command in train plan generate chat eval merge export inspect init tokenize pull push bench combine convert data; do
    output_has "  $command "
done
[ -z "$(awk 'length > 80' "$tmp/stdout")" ] || fail 'lines of more than 80 characters'
ok 'version' --version
grep -qE '^loam [0-9]+\.[0-9]+\.[0-9]+$' "$tmp/stdout" || fail "$(cat "$tmp/stdout")"
refuses 2 '--version takes --verbose or nothing' 'version of what' --version --json

ok 'the machine' --version --verbose
grep -qE '^loam [0-9]+\.[0-9]+\.[0-9]+$' "$tmp/stdout" || fail "$(cat "$tmp/stdout")"
for key in levels level oneDNN bf16 threads; do
    grep -qE "^$key  +[^ ]" "$tmp/stdout" || fail "no $key: $(cat "$tmp/stdout")"
done

# LOAM_ISA: a level that this machine has, one that it lacks, one that does not exist.
level_is() { sed -n 's/^level  *//p' "$tmp/stdout" | grep -qx "$1" || fail "$(cat "$tmp/stdout")"; }
export LOAM_ISA=portable
ok 'forced level' --version --verbose
level_is portable
make_model "$tmp/model"
ok 'forced level, in a run' generate --model "$tmp/model" --prompt 'The bakery' --max-new-tokens 1 --threads 1
grep -q 'computing in f32 on device cpu (portable) with 1 threads$' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
ok 'bf16 without bf16 products' generate --model "$tmp/model" --prompt 'The bakery' --max-new-tokens 1 --threads 1 --dtype bf16
grep -q 'computing in bf16 on .*; their products are made in 16-bit block floating point$' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
LOAM_ISA=sse9
refuses 1 'LOAM_ISA=sse9: expected one of ' 'level that does not exist' --version --verbose
refuses 1 'LOAM_ISA=sse9: expected one of ' 'level that does not exist, in a run' \
    train --model "$tiny" --data "$tiny/questions.json" --out "$tmp/out" --max-steps 1
LOAM_ISA=avx512_bf16
ok_or_missing() {
    run "$@"
    [ "$code" -eq 0 ] || grep -q '^loam: LOAM_ISA=avx512_bf16: ' "$tmp/stderr" || fail "exit code $code: $(cat "$tmp/stderr")"
}
ok_or_missing 'the highest level' --version --verbose
[ "$code" -ne 0 ] || level_is avx512_bf16
unset LOAM_ISA

sed 's/\\-/-/g' "$LOAM_MANUAL" >"$tmp/manual"
for command in train plan generate chat eval merge export inspect init tokenize pull push bench combine convert data; do
    ok "help of $command" "$command" --help
    output_has "Usage: loam $command"
    output_has '--json'
    output_has '--quiet'
    [ -z "$(awk 'length > 80' "$tmp/stdout")" ] || fail 'lines of more than 80 characters'
    cp "$tmp/stdout" "$tmp/help"
    ok "-h of $command" "$command" -h
    cmp -s "$tmp/help" "$tmp/stdout" || fail 'differs from --help'
    ok "help $command" help "$command"
    cmp -s "$tmp/help" "$tmp/stdout" || fail 'differs from --help'
    headings=$(grep -x '[A-Z][A-Za-z ]*:' "$tmp/help") || fail "no group of options: $(cat "$tmp/help")"
    [ -z "$(sort <<<"$headings" | uniq -d)" ] || fail "a group appears twice: $headings"
    # The manual page has every option of --help.
    for option in $(grep -o -- '^  --[a-z0-9-]*' "$tmp/help"); do
        grep -qF -- "  $option" "$tmp/manual" || fail "$option is not in the manual page"
    done
done

ok 'help after other options' train --model nowhere --help
output_has 'Usage: loam train'

refuses 2 'did you mean "train"?' 'mistyped command' trian --model x
refuses 2 'there is no command "frobnicate"' 'unknown command' frobnicate
refuses 2 'did you mean --learning-rate?' 'mistyped option' train --learing-rate 1
refuses 2 'loam train has no option --prompt' 'option of another command' train --prompt x
refuses 2 '--model needs a value: DIR' 'option without its value' train --model
refuses 2 'loam train needs --model DIR' 'required option' train --data x --out "$tmp/out"
refuses 2 'loam inspect needs PATH' 'required argument' inspect
refuses 2 'unexpected argument "b"' 'second argument' inspect a b
refuses 2 'unexpected argument "x"' 'argument of a command that has none' train x
refuses 2 'unexpected argument "b"; write --data before each of its values' 'two values' train --data a b
refuses 2 'there is no option -x' 'single hyphen' train -x
refuses 2 '--lora-r eight: expected a whole number' 'not a number' train --lora-r eight
refuses 2 '--dtype fp16: expected f32|bf16' 'unknown choice' train --dtype=fp16
refuses 2 'needs exactly one of --prompt, --prompt-file, --template and --messages' 'no prompt' generate --model x
refuses 2 'exactly one of --prompt, --prompt-file, --template and --messages' 'two prompts' generate --model x --prompt a --template squad
refuses 2 '--field has no effect without --template' 'field without template' generate --model x --prompt a --field b=c

refuses 2 '--field b is given twice' 'field given twice' generate --model x --template squad --field b=c --field b=d
# An option that would be ignored is refused if the user meant another result, else it gives a warning. The whole table is in
# the unit test of src/options/option_needs.c. A conflict between options alone gives exit code 2.
refuses 2 '--lora-r has no effect with --adapter' 'rank of an adapter that is there' train --model x --data x --out x \
    --adapter x --lora-r 16
refuses 2 '--template is given twice, as a and as b' 'two templates' train --model x --data a --out x --template a --template b
refuses 2 '"a:0": after the last colon, expected a weight' 'no records' train --model x --data a:0 --out x
refuses 2 '--eval-steps has no effect without --eval-data' 'no evaluation' train --model x --data x --out x --eval-steps 5
refuses 2 '--model needs a value: DIR|NAME; it is empty' 'an empty name' generate --model '' --prompt x
run 'no draws' generate --model "$tmp/nowhere" --prompt x --top-k 5 --top-p 0.5 --top-p 0.6
[ "$code" -eq 1 ] || fail "exit code $code"
for text in '--top-k has no effect without --temperature' '--top-p has no effect without --temperature' \
    '--top-p is given twice: the last value, 0.6, is used, not 0.5'; do
    grep -qF -- "warning: $text" "$tmp/stderr" || fail "no \"$text\": $(cat "$tmp/stderr")"
done
# A missing value, an empty one, and a word instead of a number: exit code 2 for every option of every command with a value.
for command in $("$LOAM" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
    for option in $("$LOAM" "$command" --help | sed -n 's/^  \(--[a-z0-9-]*\) [A-Z].*/\1/p'); do
        run "$command $option, empty" "$command" "$option="
        case $code/$(cat "$tmp/stderr") in
        2/*"$option"*) ;;
        *) [ "$option" = --prompt ] || [ "$option" = --message ] || fail "exit code $code: $(cat "$tmp/stderr")" ;;
        esac
    done
    for option in $("$LOAM" "$command" --help | sed -n 's/^  \(--[a-z0-9-]*\) \(N\|R\|P\|W\|B\|E\|T\|K\|X\|RATE\|ALPHA\|SECONDS\)\( .*\)*$/\1/p'); do
        refuses 2 "$option -1e9" "$command $option -1e9" "$command" "$option=-1e9"
        refuses 2 "$option nan" "$command $option nan" "$command" "$option=nan"
    done
done

refuses 2 'did you mean "inspect"?' 'help on a mistyped command' help inspekt

run 'no arguments'
[ "$code" -eq 2 ] || fail "exit code $code"
grep -q '^Usage: loam' "$tmp/stderr" || fail 'no usage on standard error'

# A full disk is reported; a closed pipe is not.
if [ -e /dev/full ]; then
    case_name='standard output is full'
    code=0
    "$LOAM" train --help >/dev/full 2>"$tmp/stderr" || code=$?
    [ "$code" -eq 1 ] || fail "exit code $code"
    grep -q 'loam: standard output: ' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
fi
case_name='standard output is closed'
mkfifo "$tmp/pipe"
for arguments in "inspect $tiny" 'train --help' '--help' '--version --verbose' 'completion bash'; do
    # The descriptor 3 holds the pipe open for reading until 4 writes to it; then the pipe has no reader.
    exec 3<>"$tmp/pipe" 4>"$tmp/pipe" 3<&-
    code=0
    # shellcheck disable=SC2086
    "$LOAM" $arguments >&4 2>"$tmp/stderr" || code=$?
    exec 4>&-
    [ ! -s "$tmp/stderr" ] || fail "$arguments: $(cat "$tmp/stderr")"
    [ "$code" = 1 ] || fail "$arguments: exit code $code"
done
finish
