# libloam has the ops over the kernels of src/device/gpu, the kernels' sources, and the hosts for CUDA and OpenCL. The kernels
# compiled for the CPU, and the host that runs them on fibers, are a library for tests.
get_target_property(room_sources loam_device SOURCES)
set(fiber_sources ${room_sources})
list(FILTER fiber_sources INCLUDE REGEX "/src/device/gpu/(fiber|kernels)/")
list(REMOVE_ITEM room_sources ${fiber_sources})
set_target_properties(loam_device PROPERTIES SOURCES "${room_sources}")

# What GPUs compile: all files of the kernels but those for the host.
file(GLOB kernel_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/device/gpu/kernels/*)
list(FILTER kernel_files EXCLUDE REGEX "dialect_fiber\\.h$|\\.def$")

# Embeds the kernels' sources, which NVRTC and OpenCL compile at run time, in a C file with the table loam_gpu_sources.
function(loam_gpu_embed output)
  set(blobs "")
  set(rows "")
  set(count 0)
  foreach(file ${kernel_files})
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
  set_source_files_properties(${output} PROPERTIES OBJECT_DEPENDS "${kernel_files}")
endfunction()

# Sets LOAM_NVCC, and `architectures` to those of LOAM_CUDA_ARCHITECTURES that it makes code for: none where it is missing,
# older than CUDA 12, or without the host's compiler. `reason` tells why one is left out.
function(loam_gpu_find_compiler architectures reason)
  set(${architectures} "" PARENT_SCOPE)
  set(${reason} "nvcc is missing" PARENT_SCOPE)
  find_program(LOAM_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(NOT LOAM_NVCC)
    return()
  endif()
  get_filename_component(directory ${LOAM_NVCC} REALPATH)
  get_filename_component(directory ${directory} DIRECTORY)
  find_program(LOAM_FATBINARY fatbinary HINTS ${directory} /usr/local/cuda/bin)
  set(trial ${PROJECT_BINARY_DIR}/gpu/trial)
  file(CONFIGURE OUTPUT ${trial}.cu CONTENT
"#if __CUDACC_VER_MAJOR__ < 12
#error CUDA 12 or later is needed
#endif
")
  file(REMOVE ${trial}.ptx)
  execute_process(COMMAND ${LOAM_NVCC} -ptx ${trial}.cu -o ${trial}.ptx RESULT_VARIABLE result
    OUTPUT_VARIABLE text ERROR_VARIABLE text)
  execute_process(COMMAND ${LOAM_NVCC} --list-gpu-code OUTPUT_VARIABLE known ERROR_QUIET)
  if(NOT result EQUAL 0 OR NOT LOAM_FATBINARY)
    string(REGEX MATCH "[^\n]*(error|fatal|No such)[^\n]*" line "${text}")
    set(${reason} "${LOAM_NVCC} cannot be used: ${line}" PARENT_SCOPE)
    return()
  endif()
  if(NOT EXISTS ${trial}.ptx)
    set(${reason} "${LOAM_NVCC} cannot be used: it reports success and writes no code" PARENT_SCOPE)
    return()
  endif()
  set(${reason} "" PARENT_SCOPE)
  set(found "")
  foreach(arch ${LOAM_CUDA_ARCHITECTURES})
    if(known MATCHES "sm_${arch}[^0-9]")
      list(APPEND found ${arch})
    else()
      set(${reason} "${LOAM_NVCC} has no sm_${arch}" PARENT_SCOPE)
    endif()
  endforeach()
  set(${architectures} "${found}" PARENT_SCOPE)
endfunction()

# Compiles the kernels by nvcc as one fatbinary: code for each architecture, and PTX of the last one for later GPUs. Each is
# a command, so that the build runs them side by side.
function(loam_gpu_compile output architectures)
  list(GET architectures -1 newest)
  set(images "")
  set(parts "")
  foreach(target ${architectures} ptx)
    if(target STREQUAL "ptx")
      set(target compute_${newest})
      set(part ${PROJECT_BINARY_DIR}/gpu/${target}.ptx)
      list(APPEND images --image3=kind=ptx,sm=${newest},file=${part})
    else()
      set(part ${PROJECT_BINARY_DIR}/gpu/sm_${target}.cubin)
      list(APPEND images --image3=kind=elf,sm=${target},file=${part})
      set(target sm_${target})
    endif()
    list(APPEND parts ${part})
    add_custom_command(OUTPUT ${part}
      COMMAND ${CMAKE_COMMAND} -D NVCC=${LOAM_NVCC} -D ROOT=${PROJECT_SOURCE_DIR} -D GPU=${target} -D OUTPUT=${part}
        -P ${PROJECT_SOURCE_DIR}/cmake/GpuCode.cmake
      DEPENDS ${kernel_files} ${PROJECT_SOURCE_DIR}/cmake/GpuCode.cmake ${LOAM_NVCC}
      COMMENT "Compiling kernels for GPUs: ${target}" VERBATIM)
  endforeach()
  add_custom_command(OUTPUT ${output} COMMAND ${LOAM_FATBINARY} --create=${output} -64 -compress-all ${images}
    DEPENDS ${parts} COMMENT "Joining code for GPUs" VERBATIM)
endfunction()

# Writes a C file with the fatbinary as loam_cuda_embedded. Without one the kernels are compiled at run time.
function(loam_gpu_embed_code output fatbinary)
  set(image "NULL, NULL")
  set(blob "")
  if(fatbinary)
    set(image "loam_gpu_code, loam_gpu_code_end")
    set(blob "extern const char loam_gpu_code[], loam_gpu_code_end[];
__asm__(\".pushsection .rodata\\n.balign 64\\n\"
        \"loam_gpu_code: .incbin \\\"${fatbinary}\\\"\\nloam_gpu_code_end: .byte 0\\n.popsection\");\n")
    set_source_files_properties(${output} PROPERTIES OBJECT_DEPENDS "${fatbinary}")
  endif()
  set_source_files_properties(${output} PROPERTIES GENERATED ON)
  file(CONFIGURE OUTPUT ${output} @ONLY CONTENT
"#include <stddef.h>

#include \"device/gpu/cuda/code.h\"

@blob@
const struct loam_cuda_image loam_cuda_embedded = {@image@};
")
endfunction()

set(LOAM_CUDA auto CACHE STRING "Embed the kernels as code for NVIDIA GPUs: auto (where nvcc is), ON, OFF")
set(LOAM_CUDA_ARCHITECTURES 75 80 86 89 90 100 120 CACHE STRING "Compute capabilities of that code; the last one also as PTX")
set(fatbinary "")
if(LOAM_CUDA STREQUAL "auto" OR LOAM_CUDA)
  loam_gpu_find_compiler(architectures reason)
  if(reason AND NOT LOAM_CUDA STREQUAL "auto")
    message(FATAL_ERROR "LOAM_CUDA=${LOAM_CUDA} needs nvcc of CUDA 12 or later for ${LOAM_CUDA_ARCHITECTURES}: ${reason}")
  endif()
  if(architectures)
    set(fatbinary ${PROJECT_BINARY_DIR}/gpu/kernels.fatbin)
    loam_gpu_compile(${fatbinary} "${architectures}")
    message(STATUS "Kernels for GPUs are compiled by ${LOAM_NVCC} for ${architectures}")
  else()
    message(STATUS "Kernels for GPUs are compiled at run time: ${reason}")
  endif()
endif()

# The code is a target of its own: the library and programs that run on a GPU link it, and programs of tests, which it would
# make larger by megabytes each, link the empty one behind loam_device.
set(code ${PROJECT_BINARY_DIR}/gpu/code.c)
loam_gpu_embed_code(${code} "${fatbinary}")
add_library(loam_gpu_code OBJECT ${code})
target_link_libraries(loam_gpu_code PRIVATE loam_flags)
set_property(GLOBAL APPEND PROPERTY LOAM_ROOMS loam_gpu_code)
set(no_code ${PROJECT_BINARY_DIR}/gpu/no_code.c)
loam_gpu_embed_code(${no_code} "")
add_library(loam_gpu_no_code STATIC ${no_code})
target_link_libraries(loam_gpu_no_code PRIVATE loam_flags)
target_link_libraries(loam_device PUBLIC loam_gpu_no_code)

set(embedded ${PROJECT_BINARY_DIR}/gpu/sources.c)
loam_gpu_embed(${embedded})
set_source_files_properties(${embedded} PROPERTIES GENERATED ON)
target_sources(loam_device PRIVATE ${embedded})

if(BUILD_TESTING)
  add_library(loam_fiber STATIC ${fiber_sources})
  target_link_libraries(loam_fiber PUBLIC loam_device)
endif()
