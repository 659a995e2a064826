# The same adapter, bit for bit, with any number of threads where loam's own kernels multiply. oneDNN, which is used for f32
# below AVX-512 and for bf16 with AMX, may divide a sum by the number of threads (docs/ARCHITECTURE.md).
. "$(dirname "$0")/common.sh"
make_model "$tmp/model"
train=(train --model "$tmp/model" --data "$tiny/questions.json" --batch-size 6 --accumulation 2 --max-steps 4
    --lora-dropout 0.1 --target-modules all-linear --learning-rate 1e-2)

ok 'what is here' --version --verbose
levels=$(sed -n 's/^levels  *//p' "$tmp/stdout" | tr -d ,)
amx=$(grep -c '^oneDNN .*amx' "$tmp/stdout" || true)
compared=0
for level in $levels; do
    for dtype in f32 bf16; do
        if [ "$dtype" = f32 ] && [ "${level#avx512}" = "$level" ]; then continue; fi
        if [ "$dtype" = bf16 ] && [ "$level" = avx512_bf16 ] && [ "$amx" -gt 0 ]; then continue; fi
        for threads in 1 2 3; do
            LOAM_ISA=$level ok "$level, $dtype, $threads threads" "${train[@]}" --dtype "$dtype" --threads "$threads" \
                --out "$tmp/$level-$dtype-$threads"
            cmp -s "$tmp/$level-$dtype-1/adapter_model.safetensors" "$tmp/$level-$dtype-$threads/adapter_model.safetensors" ||
                fail 'another adapter than with one thread'
            cmp -s <(grep -o '"loss": [^,]*' "$tmp/$level-$dtype-1/metrics.jsonl") \
                <(grep -o '"loss": [^,]*' "$tmp/$level-$dtype-$threads/metrics.jsonl") || fail 'other losses'
        done
        compared=$((compared + 1))
    done
done
[ "$compared" -gt 0 ] || fail "nothing was compared: $levels"

# Resumed with another number of threads: allowed, with a message.
ok 'half of it' "${train[@]}" --dtype bf16 --threads 1 --save-steps 2 --out "$tmp/resumed"
rm -rf "$tmp/resumed/checkpoint-4"
ok 'the rest, with more threads' "${train[@]}" --dtype bf16 --threads 2 --resume --out "$tmp/resumed"
grep -q 'was made with 1 threads: with 2 the last digits may come out otherwise' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
finish
