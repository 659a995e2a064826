# The live line appears on a terminal and nowhere else.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
data=$tiny/questions.json
train=(train --model "$tmp/model" --data "$data" --batch-size 4 "${one_thread[@]}" --max-steps 30 --logging-steps 10
    --overwrite --out "$tmp/adapter")
export TERM=xterm LC_ALL=C.UTF-8
unset NO_COLOR

# on_tty COLUMNS TEXT NAME ARGUMENT...: runs the command on a terminal and types Ctrl-C after TEXT was written. Sets $code;
# $tmp/tty has the output, $tmp/lines the output with each redrawing on its own line.
on_tty() {
    local columns=$1 text=$2
    case_name=$3
    shift 3
    code=0
    "$LOAM_BUILD/tests/tools/loam_tty" "$columns" "$text" $'\003' "$@" >"$tmp/tty" || code=$?
    tr '\r' '\n' <"$tmp/tty" >"$tmp/lines"
}
works() { [ "$code" -eq 0 ] || fail "exit code $code: $(cat -v "$tmp/tty")"; }
has() { grep -q -- "$1" "$tmp/lines" || fail "no \"$1\" in: $(cat -v "$tmp/lines")"; }
lacks() { ! grep -q -- "$1" "$tmp/lines" || fail "\"$1\" is in: $(cat -v "$tmp/lines")"; }
escape=$(printf '\033')
live="^step *[0-9]*/30 .*$escape\[K\$"

# ---- On a terminal ----
seconds=$SECONDS
on_tty 120 '' 'train' "$LOAM" "${train[@]}" --eval-data "$data"
works
redrawn=$(grep -c "$escape\[K\$" "$tmp/lines")
[ "$redrawn" -le $((10 * (SECONDS - seconds + 1) + 30)) ] || fail "redrawn $redrawn times"
has "^loading the weights [0-9]* %"
has "$live"
has "^step *[0-9]*/30  loss [0-9.]*  .*[0-9]* tokens/s  [0-9:]* left  [0-9]* MiB$escape\[K\$"
has "$escape\[36m"
has '▁'
# Ordinary lines begin where the live line was erased, and end with a line break.
for line in '^step 10/30  loss [0-9.]*  grad norm' '^step 30/30  loss [0-9.]*  grad norm' '^step 30/30  eval loss' \
    '^mean loss ' '^the adapter is in ' '^training [0-9,]* of '; do
    sed "s/^$escape\[K//" "$tmp/lines" | grep -q -- "$line" || fail "no \"$line\" in: $(cat -v "$tmp/lines")"
done
# The last live line stays, with the total time, and ends with a line break.
tr -d '\n' <"$tmp/tty" | tr '\r' '\n' | grep -q "^step 30/30 .* in [0-9:]* .*$escape\[K\$" || fail "$(cat -v "$tmp/tty")"
[ "$(tail -c 1 "$tmp/tty" | od -An -c | tr -d ' ')" = '\n' ] || fail 'does not end in a line break'

for width in 60 30 11; do
    on_tty "$width" '' "train in $width columns" env NO_COLOR=1 LC_ALL=C "$LOAM" "${train[@]}"
    works
    grep "$escape\[K\$" "$tmp/lines" | sed "s/$escape\[K//g" | LC_ALL=C awk -v w="$width" 'length >= w { bad = 1 }
        END { exit bad || NR < 3 }' || fail "a live line is too wide: $(cat -v "$tmp/lines")"
done
on_tty 0 '' 'a terminal that does not know its width' "$LOAM" "${train[@]}"
works
has "$live"

on_tty 100 '' 'evaluation' "$LOAM" eval --model "$tmp/model" --data "$data" "${one_thread[@]}" --token-budget 1024 \
    --generate --max-new-tokens 4
works
has "^loading the weights [0-9]* %"
has "^evaluating [0-9]*/29"
has "^answering [0-9]*/29"
has 'perplexity'

on_tty 100 '' 'generate as text' "$LOAM" generate --model "$tmp/model" --prompt x --max-new-tokens 4 "${one_thread[@]}"
works
lacks '^generating'
on_tty 100 '' 'generate as JSON' "$LOAM" generate --model "$tmp/model" --prompt x --max-new-tokens 4 "${one_thread[@]}" \
    --json
works
has '^generating 1/4'

# ---- Without colours, without a sparkline, without the live line ----
on_tty 120 '' 'NO_COLOR' env NO_COLOR=1 "$LOAM" "${train[@]}"
works
has "$live"
has '▁'
lacks "$escape\[[0-9]*m"
on_tty 120 '' 'no UTF-8' env LC_ALL=C "$LOAM" "${train[@]}"
works
has "$live"
LC_ALL=C grep -q "$(printf '\342\226')" "$tmp/tty" && fail 'bars that the terminal cannot show'
for plain in 'env TERM=dumb' 'env -u TERM'; do
    # shellcheck disable=SC2086
    on_tty 120 '' "$plain" $plain "$LOAM" "${train[@]}"
    works
    has '^step 10/30  loss '
    lacks "$escape"
done
on_tty 120 '' '--quiet' "$LOAM" "${train[@]}" --quiet --eval-data "$data" --preflight off
works
lacks "$escape"
lacks '^step .* grad norm'
lacks '^training '
lacks '^LoRA'
has '^step 30/30  eval loss '
has '^mean loss '
on_tty 120 '' 'a complaint in colour' "$LOAM" inspect "$tmp/nowhere"
[ "$code" -eq 1 ] || fail "exit code $code"
has "^$escape\[31mloam: $escape\[0m"

# ---- Piped ----
ok 'piped' "${train[@]}" --eval-data "$data"
cat "$tmp/stdout" "$tmp/stderr" >"$tmp/both"
LC_ALL=C grep -q "[$escape$(printf '\r')]" "$tmp/both" && fail "$(cat -v "$tmp/both")"
[ "$(grep -c '^step .* grad norm' "$tmp/stdout")" -eq 3 ] || fail "$(cat "$tmp/stdout")"
on_tty 120 '' 'standard output to a file' sh -c '"$@" >"$0"' "$tmp/log" "$LOAM" "${train[@]}"
works
has "$live"
lacks 'grad norm'
[ "$(grep -c '^step .* grad norm' "$tmp/log")" -eq 3 ] || fail "$(cat "$tmp/log")"
grep -q "$escape" "$tmp/log" && fail 'escapes in the file'
on_tty 120 '' 'standard error to a file' sh -c '"$@" 2>"$0"' "$tmp/log" "$LOAM" "${train[@]}"
works
lacks "$escape"
grep -q "$escape" "$tmp/log" && fail 'escapes in the file'
ok 'quiet and piped' "${train[@]}" --quiet
[ ! -s "$tmp/stderr" ] || fail "standard error: $(cat "$tmp/stderr")"
grep -q '^step ' "$tmp/stdout" && fail "$(cat "$tmp/stdout")"
output_has 'the adapter is in'

# ---- Ctrl-C ----
rm -rf "$tmp/adapter"
on_tty 120 '10/2000  loss' 'Ctrl-C while it trains' "$LOAM" "${train[@]}" --max-steps 2000
[ "$code" -eq 130 ] || fail "exit code $code: $(cat -v "$tmp/tty")"
tail -n 1 "$tmp/lines" | grep -q . && fail 'the terminal is left in the middle of a line'
has 'loam: .*stopped at step [0-9]* of 2000'
[ "$(find "$tmp/adapter" -mindepth 1 -maxdepth 1 ! -name metrics.jsonl -printf '%f\n' | sed 's/[0-9]*$//')" = checkpoint- ] ||
    fail "left behind: $(ls -A "$tmp/adapter")"
on_tty 120 'answering 1/' 'Ctrl-C while it answers' "$LOAM" eval --model "$tmp/model" --data "$data" "${one_thread[@]}" \
    --generate --max-new-tokens 2000
[ "$code" -eq 130 ] || fail "exit code $code: $(cat -v "$tmp/tty")"
has 'loam: .*stopped'
finish
