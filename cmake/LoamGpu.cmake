# libloam has the ops over the kernels of src/device/gpu, the kernels' sources, and the hosts for CUDA and OpenCL. The kernels
# compiled for the CPU, and the host that runs them on fibers, are a library for tests.
get_target_property(room_sources loam_device SOURCES)
set(fiber_sources ${room_sources})
list(FILTER fiber_sources INCLUDE REGEX "/src/device/gpu/(fiber|kernels)/")
list(REMOVE_ITEM room_sources ${fiber_sources})
set_target_properties(loam_device PROPERTIES SOURCES "${room_sources}")

# Embeds the kernels' sources, which NVRTC and OpenCL compile at run time, in a C file with the table loam_gpu_sources.
function(loam_gpu_embed output)
  file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/device/gpu/kernels/*)
  list(FILTER files EXCLUDE REGEX "dialect_fiber\\.h$|\\.def$")
  set(blobs "")
  set(rows "")
  set(count 0)
  foreach(file ${files})
    file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR}/src ${file})
    string(APPEND blobs "extern const char loam_gpu_source_${count}[];\n__asm__(\".pushsection .rodata\\n\"\n"
      "        \"loam_gpu_source_${count}: .incbin \\\"${file}\\\"\\n.byte 0\\n.popsection\");\n")
    string(APPEND rows "    {\"${name}\", loam_gpu_source_${count}},\n")
    math(EXPR count "${count} + 1")
  endforeach()
  file(CONFIGURE OUTPUT ${output} @ONLY CONTENT
"#include \"device/gpu/sources.h\"

@blobs@
const struct loam_gpu_source loam_gpu_sources[] = {
@rows@};
const int loam_gpu_source_count = @count@;
")
  set_source_files_properties(${output} PROPERTIES OBJECT_DEPENDS "${files}")
endfunction()

# Compiles the kernels by nvcc as one fatbinary: code for each architecture of LOAM_CUDA_ARCHITECTURES, and PTX of the last
# one for later GPUs.
function(loam_gpu_compile output)
  set(code "")
  foreach(arch ${LOAM_CUDA_ARCHITECTURES})
    list(APPEND code -gencode arch=compute_${arch},code=sm_${arch})
  endforeach()
  list(GET LOAM_CUDA_ARCHITECTURES -1 newest)
  file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/device/gpu/kernels/*)
  add_custom_command(OUTPUT ${output}
    COMMAND ${LOAM_NVCC} -fatbin -I${PROJECT_SOURCE_DIR}/src ${code}
      -gencode arch=compute_${newest},code=compute_${newest} -Xfatbin -compress-all
      ${PROJECT_SOURCE_DIR}/src/device/gpu/kernels/kernels.cu -o ${output}
    DEPENDS ${files} COMMENT "Compiling kernels for GPUs: ${LOAM_CUDA_ARCHITECTURES}" VERBATIM)
endfunction()

# Embeds the fatbinary in a C file; without one the kernels are compiled at run time.
function(loam_gpu_embed_code output fatbinary)
  set(image "NULL, NULL")
  set(blob "")
  if(fatbinary)
    set(image "loam_gpu_code, loam_gpu_code_end")
    set(blob "extern const char loam_gpu_code[], loam_gpu_code_end[];
__asm__(\".pushsection .rodata\\n.balign 64\\n\"
        \"loam_gpu_code: .incbin \\\"${fatbinary}\\\"\\nloam_gpu_code_end: .byte 0\\n.popsection\");\n")
  endif()
  file(CONFIGURE OUTPUT ${output} @ONLY CONTENT
"#include <stddef.h>

#include \"device/gpu/cuda/code.h\"

@blob@
const struct loam_cuda_image loam_cuda_embedded = {@image@};
")
  if(fatbinary)
    set_source_files_properties(${output} PROPERTIES OBJECT_DEPENDS "${fatbinary}")
  endif()
endfunction()

set(LOAM_CUDA auto CACHE STRING "Embed the kernels as code for NVIDIA GPUs: auto (where nvcc is, in builds without tests), ON, OFF")
set(LOAM_CUDA_ARCHITECTURES 75 80 86 89 90 100 120 CACHE STRING "Compute capabilities of that code; the last one also as PTX")
set(fatbinary "")
if(LOAM_CUDA STREQUAL "auto")
  find_program(LOAM_NVCC nvcc)
elseif(LOAM_CUDA)
  find_program(LOAM_NVCC nvcc REQUIRED)
endif()
if((LOAM_CUDA STREQUAL "auto" AND LOAM_NVCC AND NOT BUILD_TESTING) OR (LOAM_CUDA AND NOT LOAM_CUDA STREQUAL "auto"))
  set(fatbinary ${PROJECT_BINARY_DIR}/gpu_kernels.fatbin)
  loam_gpu_compile(${fatbinary})
  message(STATUS "Kernels for GPUs are compiled by ${LOAM_NVCC} for ${LOAM_CUDA_ARCHITECTURES}")
endif()
set(code ${PROJECT_BINARY_DIR}/gpu_code.c)
loam_gpu_embed_code(${code} "${fatbinary}")
set(embedded ${PROJECT_BINARY_DIR}/gpu_sources.c)
loam_gpu_embed(${embedded})
set_source_files_properties(${embedded} ${code} PROPERTIES GENERATED ON)
target_sources(loam_device PRIVATE ${embedded} ${code})
add_library(loam_gpu_code OBJECT EXCLUDE_FROM_ALL ${code}) # the code alone, for tests of the build
target_link_libraries(loam_gpu_code PRIVATE loam_flags)

if(BUILD_TESTING)
  add_library(loam_fiber STATIC ${fiber_sources})
  target_link_libraries(loam_fiber PUBLIC loam_device)
endif()
