# The kernels of src/device/gpu, their ops and their hosts (fibers of the CPU, CUDA) are a library for tests. They are not
# part of the room until users can choose a host.
get_target_property(room_sources loam_device SOURCES)
set(gpu_sources ${room_sources})
list(FILTER gpu_sources INCLUDE REGEX "/src/device/gpu/")
list(FILTER room_sources EXCLUDE REGEX "/src/device/gpu/")
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

if(BUILD_TESTING)
  set(embedded ${PROJECT_BINARY_DIR}/gpu_sources.c)
  loam_gpu_embed(${embedded})
  set_source_files_properties(${embedded} PROPERTIES GENERATED ON)
  add_library(loam_gpu STATIC ${gpu_sources} ${embedded})
  target_link_libraries(loam_gpu PUBLIC loam_device ${CMAKE_DL_LIBS})
endif()
