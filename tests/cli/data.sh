# loam data: examples as they will be learnt, their summary, JSON, and the page. A model without weights suffices.
. "$(dirname "$0")/common.sh"
cp -r "$tiny" "$tmp/model"
cat >"$tmp/data.jsonl" <<'END'
{"q": "Who?", "a": "Anna"}
{"q": "When?", "a": "at five"}

{"q": "WHO? ", "a": "anna"}
{"q": "Who?", "a": "Anna"}
{"q": "Кто?", "a": "Анна"}
{"q": "Where?", "a": "in the bakery that opens at five in the morning"}
END
printf 'Q: {q}\nA: {a}{eos}' >"$tmp/template.txt"
data=(data --model "$tmp/model" --data "$tmp/data.jsonl" --template "$tmp/template.txt")

# ---- Text ----
ok 'all of a text is learnt' "${data[@]}"
output_has "$tmp/data.jsonl:1  "
output_has "$(printf 'Q[[: Who?\nA: Anna</s>]]')"
ok 'the completion alone' "${data[@]}" --loss-on completion
output_has "$(printf 'Q: Who?\nA:[[ Anna</s>]]')"
[ "$(grep -c '^Q: ' "$tmp/stdout")" -eq 5 ] || fail "not five examples: $(cat "$tmp/stdout")"
output_has "$tmp/data.jsonl:4  "
[ ! -e "$tmp/model/model.safetensors" ] || fail 'the model has weights'
ok 'one example' "${data[@]}" --loss-on completion --limit 1
[ "$(grep -c '^Q: ' "$tmp/stdout")" -eq 1 ] || fail "$(cat "$tmp/stdout")"
ok 'token boundaries' "${data[@]}" --loss-on completion --limit 1 --tokens
output_has 'Q|:|'
output_has '|</s>]]'
[ "$(tail -n +2 "$tmp/stdout" | head -n 2 | tr -d '|')" = "$(printf 'Q: Who?\nA:[[ Anna</s>]]')" ] || fail "$(cat "$tmp/stdout")"

# ---- The summary ----
ok 'the summary' "${data[@]}" --summary --loss-on completion
! grep -q '^Q: ' "$tmp/stdout" || fail 'it has examples'
output_has 'records     6'
output_has "repeated    1 records; 2 if case and white space do not count ($tmp/data.jsonl:4 repeats $tmp/data.jsonl:1)"
output_has 'no label    0 records give nothing to learn'
output_has 'scripts     latin '
output_has ', cyrillic '
output_has 'lengths     median '
output_has 'preflight   12 checks, 6 records looked at, 0 findings'
ok 'a record is cut' "${data[@]}" --summary --max-length 25 --too-long drop
output_has 'too long    0 cut, 1 left out (more than 25 tokens; 26 tokens are lost)'
output_has 'doubt cut: '
ok 'the record that is left out' "${data[@]}" --limit 6 --max-length 25 --too-long drop
output_has "$tmp/data.jsonl:7  left out: its "
ok 'the field that is cut' "${data[@]}" --limit 7 --max-length 25 --cut q
output_has 'too long    1 cut, 0 left out'
refuses 2 '--cut' 'no field is cut' "${data[@]}" --max-length 25 --too-long drop --cut q
printf '{"q": 1}\n' >>"$tmp/data.jsonl"
refuses 1 "$tmp/data.jsonl:8: " 'a broken record' "${data[@]}"
ok 'a broken record that is skipped' "${data[@]}" --summary --skip-bad
output_has 'records     6, and 1 broken ones skipped'
sed -i '$d' "$tmp/data.jsonl"

# ---- JSON: exact bytes ----
ok 'JSON' "${data[@]}" --loss-on completion --json --limit 2
cat >"$tmp/expected" <<END
{"ids":[52,29,224,340,82,34,202,36,29,277,342,68,2],"tokens":["Q",":","Ġ","Wh","o","?","Ċ","A",":","ĠA","nn","a","</s>"],"learnt":[0,0,0,0,0,0,0,0,0,1,1,1,1],"text":"Q: Who?\nA: Anna</s>","source":{"file":"$tmp/data.jsonl","line":1},"cut":0,"dropped":false}
{"ids":[52,29,224,416,81,34,202,36,29,355,274,366,2],"tokens":["Q",":","Ġ","Whe","n","?","Ċ","A",":","Ġat","Ġf","ive","</s>"],"learnt":[0,0,0,0,0,0,0,0,0,1,1,1,1],"text":"Q: When?\nA: at five</s>","source":{"file":"$tmp/data.jsonl","line":2},"cut":0,"dropped":false}
END
cmp -s "$tmp/expected" "$tmp/stdout" || fail "$(diff "$tmp/expected" "$tmp/stdout")"
ok 'JSON of every record' "${data[@]}" --json --max-length 25
[ "$(grep -c '^{"ids":\[' "$tmp/stdout")" -eq 6 ] && [ "$(grep -c '' "$tmp/stdout")" -eq 6 ] || fail "$(cat "$tmp/stdout")"
grep -q 'warning: .* \[cut\]$' "$tmp/stderr" || fail "no finding on standard error: $(cat "$tmp/stderr")"
ok 'a record that is left out' "${data[@]}" --json --max-length 25 --too-long drop
[ "$(tail -n 1 "$tmp/stdout" | sed 's/,"cut":[0-9]*//')" = \
    "{\"ids\":[],\"tokens\":[],\"learnt\":[],\"text\":\"\",\"source\":{\"file\":\"$tmp/data.jsonl\",\"line\":7},\"dropped\":true}" ] ||
    fail "$(tail -n 1 "$tmp/stdout")"
ok 'the summary as JSON' "${data[@]}" --json --summary --loss-on completion
cat >"$tmp/expected" <<END
{
  "records": 6,
  "skipped": 0,
  "cut": 0,
  "dropped": 0,
  "without_label": 0,
  "tokens": 103,
  "learnt_tokens": 43,
  "removed_tokens": 0,
  "max_length": 512,
  "repeated": 1,
  "repeated_normalized": 2,
  "lengths": {
    "median": 13,
    "p90": 26,
    "p95": 26,
    "p99": 26,
    "longest": 26
  },
  "histogram": [
    {
      "from": 13,
      "to": 14,
      "records": 3
    },
    {
      "from": 15,
      "to": 16,
      "records": 1
    },
    {
      "from": 17,
      "to": 18,
      "records": 0
    },
    {
      "from": 19,
      "to": 20,
      "records": 0
    },
    {
      "from": 21,
      "to": 22,
      "records": 0
    },
    {
      "from": 23,
      "to": 24,
      "records": 1
    },
    {
      "from": 25,
      "to": 26,
      "records": 1
    }
  ],
  "scripts": [
    {
      "script": "latin",
      "characters": 92,
      "share": 0.9292929293
    },
    {
      "script": "cyrillic",
      "characters": 7,
      "share": 0.07070707071
    }
  ],
  "checks": 12,
  "looked_at": 6,
  "findings": []
}
END
cmp -s "$tmp/expected" "$tmp/stdout" || fail "$(diff "$tmp/expected" "$tmp/stdout")"

# ---- Findings ----
printf 'Q: {q}\nA: {a}' >"$tmp/endless.txt"
ok 'findings' data --model "$tmp/model" --data "$tmp/data.jsonl" --template "$tmp/endless.txt" --eval-data "$tmp/data.jsonl" --summary
output_has "mistake no-stop: $tmp/data.jsonl: examples do not end in </s>"
output_has "(6 of 6 records looked at, such as $tmp/data.jsonl:1)"
output_has 'mistake overlap: '
output_has '2 findings'
! grep -q warning "$tmp/stderr" || fail "told twice: $(cat "$tmp/stderr")"

# ---- SQuAD, plain text ----
ok 'SQuAD' data --model "$tmp/model" --data "$tiny/questions.json" --limit 1
grep -qE '^### ANSWER$' "$tmp/stdout" || fail "$(cat "$tmp/stdout")"
output_has "$tiny/questions.json:1"
ok 'plain text' data --model "$tmp/model" --data "$tiny/text.txt" --limit 1
output_has '</s>]]'

# ---- The page ----
printf '{"q": "<script>alert(\\"1\\")</script> & \\u001b[31m", "a": "'"'"'\\u202e"}\n' >"$tmp/hostile.jsonl"
page=(data --model "$tmp/model" --data "$tmp/hostile.jsonl" --template "$tmp/template.txt" --loss-on completion --html "$tmp/page.html")
ok 'a page' "${page[@]}" --summary
for text in '&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; ?[31m' '<b> &#39;?&lt;/s&gt;</b>' '</html>' "default-src 'none'"; do
    grep -qF -- "$text" "$tmp/page.html" || fail "\"$text\" is not in: $(cat "$tmp/page.html")"
done
! grep -qiE '<script|src=|href=|https?:|@import|url\(' "$tmp/page.html" || fail "it is not alone: $(cat "$tmp/page.html")"
sum=$(cksum <"$tmp/page.html")
refuses 1 'is already there; choose another or pass --overwrite' 'a page that is there' "${page[@]}"
[ "$(cksum <"$tmp/page.html")" = "$sum" ] || fail 'the page was replaced'
ok 'a page that may be replaced' "${page[@]}" --overwrite --tokens
grep -qF '<i title="2">&lt;/s&gt;</i>' "$tmp/page.html" || fail "$(cat "$tmp/page.html")"
refuses 1 'is a directory' 'a directory' "${data[@]}" --html "$tmp"
refuses 1 "cannot write $tmp/none/page.html" 'no directory' "${data[@]}" --html "$tmp/none/page.html"
refuses 2 '--html needs a value' 'no name' "${data[@]}" --html ''
printf '{"q": 1}\n' >>"$tmp/hostile.jsonl"
run 'a failure keeps the page' "${page[@]}" --overwrite
[ "$code" -eq 1 ] && grep -qF '<i title="2">' "$tmp/page.html" || fail 'the page was replaced'
[ -z "$(find "$tmp" -name 'page.html.tmp*')" ] || fail "left behind: $(ls "$tmp")"
ok 'a switch without effect' "${data[@]}" --overwrite --summary
grep -q 'warning: --overwrite has no effect without --html' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"

# ---- Colours ----
dim=$(printf '\033[2m') green=$(printf '\033[32m') off=$(printf '\033[0m')
ok 'colours' "${data[@]}" --loss-on completion --limit 1 --color always
output_has "${dim}Q: Who?"
output_has "A:${off}${green} Anna</s>${off}"
on_terminal() { "$LOAM_BUILD/tests/tools/loam_tty" 200 '' '' "$@" | tr -d '\r' >"$tmp/stdout"; }
case_name='a terminal'
TERM=xterm on_terminal "$LOAM" "${data[@]}" --loss-on completion --limit 1 --quiet
output_has "A:${off}${green} Anna</s>${off}"
case_name='NO_COLOR'
TERM=xterm NO_COLOR=1 on_terminal "$LOAM" "${data[@]}" --loss-on completion --limit 1 --quiet
output_has 'A:[[ Anna</s>]]'
case_name='a terminal without abilities'
TERM=dumb on_terminal "$LOAM" "${data[@]}" --loss-on completion --limit 1 --quiet
output_has 'A:[[ Anna</s>]]'
sed -i '$d' "$tmp/hostile.jsonl"
case_name='data that holds escapes'
TERM=xterm on_terminal "$LOAM" data --model "$tmp/model" --data "$tmp/hostile.jsonl" --template "$tmp/template.txt" --quiet
! grep -qF "$(printf '\033[31m')" "$tmp/stdout" || fail "$(od -c "$tmp/stdout")"
output_has '?[31m'

# ---- Mistakes ----
refuses 2 'needs --model' 'no model' data --data "$tmp/data.jsonl"
refuses 2 'needs --data' 'no data' data --model "$tmp/model"
refuses 1 "$tmp/none.jsonl" 'data that is not there' data --model "$tmp/model" --data "$tmp/none.jsonl"
refuses 1 'config.json' 'no config' data --model "$tmp" --data "$tmp/data.jsonl"
refuses 1 'no field "q"' 'a template for other fields' data --model "$tmp/model" --data "$tiny/text.txt" --template "$tmp/template.txt"
refuses 2 '--limit 0' 'no examples' "${data[@]}" --limit 0
refuses 2 '--color red: expected auto|always|never' 'a colour' "${data[@]}" --color red
refuses 2 'loam data has no option --learning-rate' 'an option of train' "${data[@]}" --learning-rate 1
refuses 2 'did you mean --limit?' 'a mistyped option' "${data[@]}" --limits 1
printf '\377\376' >"$tmp/binary.jsonl"
refuses 1 "$tmp/binary.jsonl" 'no text' data --model "$tmp/model" --data "$tmp/binary.jsonl"

# A reader that stops reading.
case_name='a closed pipe'
for ((i = 0; i < 2000; i++)); do printf '{"q": "Question %d", "a": "answer"}\n' "$i"; done >"$tmp/many.jsonl"
code=0
"$LOAM" data --model "$tmp/model" --data "$tmp/many.jsonl" --template "$tmp/template.txt" --json 2>"$tmp/stderr" | head -n 1 >/dev/null || code=$?
! grep -q '^loam: [^w]' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
finish
