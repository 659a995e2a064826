# The kernels as code of nvcc in the library (LOAM_CUDA).
. "$(dirname "$0")/common.sh"
command -v nvcc >/dev/null || { echo 'nvcc is missing'; exit 77; }

# configure OPTION...: sets $code, and writes what cmake reports to $tmp/log.
configure() {
    rm -rf "$tmp/build"
    code=0
    cmake -S "$LOAM_SOURCE" -B "$tmp/build" -DBUILD_TESTING=OFF "$@" >"$tmp/log" 2>&1 || code=$?
    tr -s ' \n' ' ' <"$tmp/log" >"$tmp/line"
}

case_name='a build where nvcc is has code'
if [ -f "$LOAM_BUILD/gpu/kernels.fatbin" ]; then
    size=$(stat -c %s "$LOAM_BUILD/gpu/kernels.fatbin")
    [ "$size" -gt 200000 ] || fail "$size bytes"
    [ "$(stat -Lc %s "$LOAM_BUILD/libloam.so")" -gt "$size" ] || fail 'the library does not have the code'
fi
case_name='an architecture that nvcc does not know'
configure -DLOAM_CUDA=ON -DLOAM_CUDA_ARCHITECTURES='75;13'
[ "$code" -ne 0 ] && grep -q 'needs nvcc of CUDA 12 or later for 75;13: .*nvcc has no sm_13 ' "$tmp/line" || fail "$(cat "$tmp/log")"
configure -DLOAM_CUDA_ARCHITECTURES='75;13'
[ "$code" -eq 0 ] && grep -q 'Kernels for GPUs are compiled by .*nvcc for 75$' "$tmp/log" || fail "$(cat "$tmp/log")"
case_name='nvcc that cannot be used'
printf '#!/bin/sh\necho "nvcc fatal: no host compiler" >&2\nexit 1\n' >"$tmp/nvcc"
chmod +x "$tmp/nvcc"
configure -DLOAM_NVCC="$tmp/nvcc"
[ "$code" -eq 0 ] && grep -q 'Kernels for GPUs are compiled at run time: .* cannot be used: nvcc fatal: no host compiler' "$tmp/log" ||
    fail "$(cat "$tmp/log")"
case_name='nvcc that lists architectures and writes no code'
printf '#!/bin/sh\necho sm_75\n' >"$tmp/nvcc"
configure -DLOAM_NVCC="$tmp/nvcc" -DLOAM_CUDA=ON -DLOAM_CUDA_ARCHITECTURES=75
[ "$code" -ne 0 ] && grep -q 'nvcc cannot be used: it reports success and writes no code' "$tmp/line" || fail "$(cat "$tmp/log")"
case_name='nvcc that stops writing code after the configuration'
: >"$tmp/code"
code=0
cmake -D NVCC="$tmp/nvcc" -D ROOT="$LOAM_SOURCE" -D GPU=sm_75 -D OUTPUT="$tmp/code" -P "$LOAM_SOURCE/cmake/GpuCode.cmake" \
    >"$tmp/log" 2>&1 || code=$?
tr -s ' \n' ' ' <"$tmp/log" >"$tmp/line"
[ "$code" -ne 0 ] && grep -q 'nvcc reports success and writes no code for sm_75; ' "$tmp/line" || fail "$(cat "$tmp/log")"

# It takes a quarter of a minute, so it runs by hand.
if [ -n "${LOAM_GPU_CODE:-}" ]; then
    case_name='code for one architecture'
    configure -DLOAM_CUDA_ARCHITECTURES=75
    cmake --build "$tmp/build" --target loam_gpu_code >>"$tmp/log" 2>&1 || fail "$(tail -n 5 "$tmp/log")"
    size=$(find "$tmp/build" -path '*loam_gpu_code*' -name 'code.c.o' -exec cat {} + | wc -c)
    [ "$size" -gt 50000 ] || fail "$size bytes"
fi
finish
