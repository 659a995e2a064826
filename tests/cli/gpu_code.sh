# A build with LOAM_CUDA=ON embeds the kernels as code of nvcc, here for one architecture.
. "$(dirname "$0")/common.sh"
# It takes a quarter of a minute, so it runs by hand.
[ -n "${LOAM_GPU_CODE:-}" ] || { echo 'LOAM_GPU_CODE=1 runs it'; exit 77; }
command -v nvcc >/dev/null || { echo 'nvcc is missing'; exit 77; }
case_name='embedded code'
cmake -S "$LOAM_SOURCE" -B "$tmp/build" -DLOAM_CUDA=ON -DLOAM_CUDA_ARCHITECTURES=75 >"$tmp/log" 2>&1 &&
    cmake --build "$tmp/build" --target loam_gpu_code >>"$tmp/log" 2>&1 || fail "$(tail -n 5 "$tmp/log")"
grep -q 'Kernels for GPUs are compiled by ' "$tmp/log" || fail "$(cat "$tmp/log")"
size=$(find "$tmp/build" -name 'gpu_code.c.o' -exec cat {} + | wc -c)
[ "$size" -gt 50000 ] || fail "$size bytes"
finish
