# Several sources of data, their shares, other names of fields, tables and compressed files.
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
weights=adapter_model.safetensors
train=(train --model "$tmp/model" --learning-rate 1e-2 --lr-scheduler-type constant --batch-size 2 --logging-steps 1 "${one_thread[@]}")
mkdir "$tmp/set"
for i in 1 2 3 4 5 6; do
    printf '{"text": "the bakery number %d opens at %d"}\n' "$i" "$i" >>"$tmp/all.jsonl"
done
head -n 2 "$tmp/all.jsonl" >"$tmp/set/a.jsonl"
sed -n 3p "$tmp/all.jsonl" >"$tmp/set/b.json"
tail -n 3 "$tmp/all.jsonl" | gzip >"$tmp/set/c.jsonl.gz"
printf 'about the set\n' >"$tmp/set/README.md"
printf 'hidden\n' >"$tmp/set/.hidden.txt"

# same NAME DIR: checks that DIR has the result of training on all.jsonl.
same() {
    cmp -s "$tmp/whole/$weights" "$tmp/$1/$weights" || fail "$1: another adapter"
}
ok 'one file' "${train[@]}" --data "$tmp/all.jsonl" --epochs 2 --out "$tmp/whole"
grep -qx "data: $tmp/all.jsonl" "$tmp/whole/run.yaml" || fail "$(cat "$tmp/whole/run.yaml")"
ok 'a directory' "${train[@]}" --data "$tmp/set" --epochs 2 --out "$tmp/directory"
same directory
grep -q "$tmp/set/README.md is not read" "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
grep -q 'c.jsonl.gz: unpacked to' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
ok 'several files' "${train[@]}" --data "$tmp/set/a.jsonl" --data "$tmp/set/b.json" --data "$tmp/set/*.gz" --epochs 2 \
    --out "$tmp/several"
same several
ok 'by its run file' train --config "$tmp/several/run.yaml" --out "$tmp/again"
same again
ok 'whole shares' "${train[@]}" --data "$tmp/all.jsonl:1.0" --epochs 2 --out "$tmp/shared"
same shared

# ---- Tables ----
{
    printf 'id,body\r\n'
    sed 's/{"text": "\(.*\)"}/7,"\1"/' "$tmp/all.jsonl"
} >"$tmp/all.csv"
ok 'a table' "${train[@]}" --data "$tmp/all.csv" --map text=body --epochs 2 --out "$tmp/table"
same table
tr ',' '\t' <"$tmp/all.csv" >"$tmp/all.tsv"
ok 'with tabs' "${train[@]}" --data "$tmp/all.tsv" --map text=body --epochs 2 --out "$tmp/tabs"
same tabs
ok 'the map is in the run file' train --config "$tmp/tabs/run.yaml" --out "$tmp/tabs-again"
same tabs-again
refuses 1 'no column "text"; the header has: id, body' 'without the map' "${train[@]}" --data "$tmp/all.csv" --out "$tmp/out"
refuses 1 "--map text=nobody: no record of $tmp/all.jsonl has the field \"nobody\"" 'a name that is nowhere' "${train[@]}" \
    --data "$tmp/all.jsonl" --map text=nobody --out "$tmp/out"
refuses 2 '--map body: expected FIELD=NAME' 'no field' "${train[@]}" --data "$tmp/all.csv" --map body --out "$tmp/out"

# ---- Mixtures: resumed to the bit, and refused with other shares ----
mixed=("${train[@]}" --data "$tmp/all.jsonl:0.5" --data "$tmp/set/a.jsonl:3")
ok 'mixed' "${mixed[@]}" --epochs 4 --out "$tmp/mixed"
grep -qxF "  - \"$tmp/all.jsonl:0.5\"" "$tmp/mixed/run.yaml" || fail "$(cat "$tmp/mixed/run.yaml")"
[ "$(grep -c '"loss"' "$tmp/mixed/metrics.jsonl")" = 12 ] || fail "not 4 epochs of 6 records: $(cat "$tmp/mixed/metrics.jsonl")"
ok 'the first part' "${mixed[@]}" --max-steps 5 --save-steps 5 --out "$tmp/parts"
ok 'resumed' "${mixed[@]}" --max-steps 12 --save-steps 5 --out "$tmp/parts" --resume
ok 'at once' "${mixed[@]}" --max-steps 12 --save-steps 5 --out "$tmp/at-once"
cmp -s "$tmp/parts/$weights" "$tmp/at-once/$weights" || fail 'resumed: another adapter'
ok 'by its run file' train --config "$tmp/mixed/run.yaml" --out "$tmp/mixed-again"
cmp -s "$tmp/mixed/$weights" "$tmp/mixed-again/$weights" || fail 'the run file: another adapter'
refuses 1 "--data was $tmp/all.jsonl:0.5 $tmp/set/a.jsonl:3 and is $tmp/all.jsonl:0.25 $tmp/set/a.jsonl:3" 'another share' \
    "${train[@]}" --data "$tmp/all.jsonl:0.25" --data "$tmp/set/a.jsonl:3" --max-steps 20 --out "$tmp/parts" --resume
printf '{"text": "one more"}\n' >>"$tmp/set/a.jsonl"
run 'other contents' "${mixed[@]}" --max-steps 20 --out "$tmp/parts" --resume
grep -q 'has other contents now' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"

# ---- Refusals ----
for share in 0 0.0 -1 1e3; do
    refuses 2 'after the last colon, expected a weight above 0' "share $share" "${train[@]}" --data "$tmp/all.jsonl:$share" \
        --out "$tmp/out"
done
refuses 1 'no file has such a name' 'a pattern without files' "${train[@]}" --data "$tmp/none*.jsonl" --out "$tmp/out"
refuses 2 'an evaluation takes every record: leave out the weight or count' 'a share of an evaluation' "${train[@]}" \
    --data "$tmp/all.jsonl" --eval-data "$tmp/all.jsonl:0.5" --out "$tmp/out"
ok 'a look' data --model "$tmp/model" --data "$tmp/all.jsonl:3" --summary
grep -q 'with the weights and counts of --data an epoch has 3$' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
ok 'eval' eval --model "$tmp/model" --data "$tmp/set" --data "$tmp/all.csv" --map text=body --json "${one_thread[@]}"
[ "$(number examples "$tmp/stdout")" = 13 ] || fail "$(cat "$tmp/stdout")"
finish
