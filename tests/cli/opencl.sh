# Training, resuming, evaluation and generation with --device opencl, where there is a device of OpenCL.
. "$(dirname "$0")/common.sh"
# The kernels that the driver compiles are shared with the other tests, since they take seconds.
export XDG_CACHE_HOME=$LOAM_BUILD/tests/opencl POCL_CACHE_DIR=$LOAM_BUILD/tests/opencl/pocl POCL_MAX_PTHREAD_COUNT=2
weights=adapter_model.safetensors
mkdir "$tmp/none"
make_model "$tmp/model"
for i in 1 2 3 4 5 6; do echo "{\"text\": \"line $i of it\"}"; done >"$tmp/data.jsonl"
train=(train --model "$tmp/model" --data "$tmp/data.jsonl" --max-steps 4 --batch-size 1 --max-length 16 --lora-dropout 0.1
    --learning-rate 1e-2 --logging-steps 1 --dtype f32)

ok 'a list' devices --json
if ! grep -q '"opencl:0"' "$tmp/stdout"; then
    echo "skipped the rest: no device of OpenCL: $(grep -A 1 '"kind": "opencl"' "$tmp/stdout" | tail -n 1)"
    [ "$failures" -eq 0 ] || exit 1
    exit 77
fi

# ---- no driver, no device ----
OCL_ICD_VENDORS=$tmp/none refuses 1 'CL_PLATFORM_NOT_FOUND_KHR (-1001): no OpenCL driver is installed' 'no driver' \
    "${train[@]}" --out "$tmp/out" --device opencl
refuses 1 'device opencl:99 does not exist: the OpenCL drivers have ' 'no such device' \
    "${train[@]}" --out "$tmp/out" --device opencl:99

# ---- training and resuming ----
ok 'train' "${train[@]}" --out "$tmp/whole" --device opencl
grep -q 'computing in f32 on device opencl:0 (' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"
ok 'the losses of the CPU' "${train[@]}" --out "$tmp/cpu" --device cpu
losses() { sed -n 's/.*"loss": *\([0-9.]*\).*/\1/p' "$1/metrics.jsonl"; }
paste <(losses "$tmp/whole") <(losses "$tmp/cpu") | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 0.001) exit 1; n++ } END { exit n != 4 }' ||
    fail "other losses: $(paste <(losses "$tmp/whole") <(losses "$tmp/cpu"))"
ok 'two steps' "${train[@]}" --out "$tmp/out" --device opencl --max-steps 2 --save-steps 1 --lr-scheduler-type constant
ok 'all steps with the same schedule' "${train[@]}" --out "$tmp/constant" --device opencl --lr-scheduler-type constant
ok 'the other two steps' "${train[@]}" --out "$tmp/out" --device opencl --resume --allow-change --save-steps 1 \
    --lr-scheduler-type constant
cmp -s "$tmp/constant/$weights" "$tmp/out/$weights" || fail 'the resumed run makes another adapter'
ok 'a checkpoint of the CPU' "${train[@]}" --out "$tmp/moved" --device cpu --max-steps 2 --save-steps 1
ok 'resumed by OpenCL' "${train[@]}" --out "$tmp/moved" --device opencl --save-steps 1 --resume --allow-change
grep -q 'was made on device cpu: on opencl:0 the last digits may come out otherwise' "$tmp/stderr" || fail "$(cat "$tmp/stderr")"

# ---- evaluation and generation as on the CPU ----
# same_on_both PATTERN COMMAND ARGUMENT...: the parts of the output that the pattern describes.
same_on_both() {
    local pattern=$1 command=$2
    shift 2
    ok "$command" "$command" --model "$tmp/model" --adapter "$tmp/whole" --dtype f32 --device cpu "$@"
    grep -oE "$pattern" "$tmp/stdout" >"$tmp/expected" || fail 'no output'
    ok "$command by OpenCL" "$command" --model "$tmp/model" --adapter "$tmp/whole" --dtype f32 --device opencl "$@"
    diff "$tmp/expected" <(grep -oE "$pattern" "$tmp/stdout") || fail 'other output'
}
same_on_both 'loss [0-9.]+' eval --data "$tmp/data.jsonl"
same_on_both '.*' generate --prompt line --max-new-tokens 8 --seed 1
finish
