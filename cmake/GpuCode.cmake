# Compiles the kernels by nvcc for one GPU, "sm_80" for code or "compute_120" for PTX, and keeps what ptxas reports in
# OUTPUT.log, which scripts/gpu-compile checks:
#   cmake -D NVCC=… -D ROOT=… -D GPU=… -D OUTPUT=… -P GpuCode.cmake
if(GPU MATCHES "^sm_")
  set(options -cubin -Xptxas -v,-warn-spills)
else()
  set(options -ptx)
endif()
file(REMOVE ${OUTPUT})
execute_process(
  COMMAND ${NVCC} ${options} -arch=${GPU} -I${ROOT}/src ${ROOT}/src/device/gpu/kernels/kernels.cu -o ${OUTPUT}
  OUTPUT_FILE ${OUTPUT}.log ERROR_FILE ${OUTPUT}.log RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  file(REMOVE ${OUTPUT})
  file(READ ${OUTPUT}.log log)
  message(FATAL_ERROR "${log}${NVCC} does not compile the kernels for ${GPU}; -D LOAM_CUDA=OFF builds without their code")
endif()
if(NOT EXISTS ${OUTPUT})
  message(FATAL_ERROR "${NVCC} reports success and writes no code for ${GPU}; -D LOAM_CUDA=OFF builds without it")
endif()
