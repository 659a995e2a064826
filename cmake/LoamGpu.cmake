# libloam has the ops over the kernels of src/device/gpu, the kernels' sources and the host for CUDA. The kernels compiled
# for the CPU, and the host that runs them on fibers, are a library for tests.
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

set(embedded ${PROJECT_BINARY_DIR}/gpu_sources.c)
loam_gpu_embed(${embedded})
set_source_files_properties(${embedded} PROPERTIES GENERATED ON)
target_sources(loam_device PRIVATE ${embedded})

if(BUILD_TESTING)
  add_library(loam_fiber STATIC ${fiber_sources})
  target_link_libraries(loam_fiber PUBLIC loam_device)
endif()
