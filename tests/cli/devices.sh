# loam devices: what can compute on this machine, and on one with the driver library of the tests.
. "$(dirname "$0")/common.sh"
export XDG_CACHE_HOME=$tmp/cache
fake=$LOAM_BUILD/tests/tools/fake_cuda

ok 'devices' devices
output_has 'ref           plain operations'
for text in 'cpu ' 'ref ' '  memory: ' '  dtypes:     f32, bf16' 'auto          cpu'; do output_has "$text"; done
ok 'devices as JSON' devices --json
for text in '"auto": "cpu"' '"device": "cpu"' '"usable": true' '"kind": "cuda"'; do output_has "$text"; done

# on_fake SETTINGS NAME ARGUMENT...: a machine with that GPU.
on_fake() {
    export FAKE_CUDA=$1
    LD_LIBRARY_PATH=$fake${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} ok "${@:2}"
}
on_fake 'capability=86' 'a GPU' devices
for text in 'cuda:0        fake GPU 0' '  memory:     1.0 GiB, 1.0 GiB free' '  capability: 8.6' '  driver:     CUDA 12.4' \
    '  code:       NVRTC 12.4' '  dtypes:     f32, bf16' 'auto          cuda:0'; do
    output_has "$text"
done
on_fake 'capability=86' 'the kernels are kept' devices
output_has '  code:       NVRTC 12.4, cached'
on_fake 'capability=61' 'an old GPU' devices --json
for text in '"device": "cuda:0"' '"usable": false' 'compute capability 6.1; at least 7.5 (Turing) is needed' '"auto": "cpu"'; do
    output_has "$text"
done
on_fake 'devices=2 fail_symbol=cuDevicePrimaryCtxRetain fail_at=1 fail_result=46' 'a GPU in use' devices
for text in 'unusable:   cuda:0: ' 'another process uses the GPU alone' 'auto          cuda:1'; do output_has "$text"; done
on_fake 'version=10020' 'an old driver' devices
output_has 'the NVIDIA driver supports CUDA 10.2; install one for CUDA 12.0 or later'
on_fake 'devices=0' 'a driver without a GPU' devices
output_has 'cuda          none: '
mkdir "$tmp/broken"
echo 'not a library' >"$tmp/broken/libcuda.so.1"
LD_LIBRARY_PATH=$tmp/broken ok 'a broken driver' devices
output_has '  unusable:   no CUDA: '
output_has 'auto          cpu'
mkdir "$tmp/nvrtc"
ln -s "$fake/libcuda.so.1" "$tmp/nvrtc/libcuda.so.1"
echo 'not a library' >"$tmp/nvrtc/libnvrtc.so.12"
FAKE_CUDA=capability=86 LD_LIBRARY_PATH=$tmp/nvrtc ok 'a broken compiler' devices
output_has "no compiler for the GPU's kernels: libnvrtc.so.12 cannot be loaded ($tmp/nvrtc/libnvrtc.so.12: "
output_has 'install NVRTC 12 (libnvrtc.so.12)'

# A device that is not there is told before a model is looked for.
LD_LIBRARY_PATH=$tmp/broken refuses 1 'no CUDA: ' 'no driver' generate --model nobody/nothing --prompt x --device cuda
FAKE_CUDA=capability=86 LD_LIBRARY_PATH=$fake refuses 1 'device cuda:1 does not exist' 'no second GPU' \
    train --model nobody/nothing --data "$tmp/none.jsonl" --out "$tmp/out" --device cuda:1
finish
