# loam_cpu_level compiles the files of src/device/cpu/kernels once more for a level of x86 instructions. The room itself
# compiles them as the level "portable". The files of kernels/bf16 belong to the level avx512_bf16 alone.
set(kernels ${PROJECT_SOURCE_DIR}/src/device/cpu/kernels)
file(GLOB kernel_sources CONFIGURE_DEPENDS ${kernels}/*.c)
file(GLOB bf16_sources CONFIGURE_DEPENDS ${kernels}/bf16/*.c)
get_target_property(room_sources loam_device SOURCES)
list(REMOVE_ITEM room_sources ${bf16_sources})
set_target_properties(loam_device PROPERTIES SOURCES "${room_sources}")

function(loam_cpu_level level sources)
  add_library(loam_cpu_${level} OBJECT ${sources})
  target_link_libraries(loam_cpu_${level} PUBLIC loam_flags OpenMP::OpenMP_C)
  target_compile_definitions(loam_cpu_${level} PRIVATE CPU_LEVEL=${level})
  target_compile_options(loam_cpu_${level} PRIVATE ${ARGN})
  target_sources(loam_device PRIVATE $<TARGET_OBJECTS:loam_cpu_${level}>)
  set_property(GLOBAL APPEND PROPERTY LOAM_ROOMS loam_cpu_${level})
endfunction()

# These files may fuse multiply-adds, and need not preserve traps and errno, so that a square root is one instruction. The
# options are set on the sources, where they override those of the room.
set(kernel_options -ffp-contract=fast -fno-math-errno -fno-trapping-math)
if(LOAM_HARDENING)
  # No stack guards in these files: the functions that multiply keep sums in arrays, and a canary in each would cost time.
  # Their arguments are checked before the call.
  foreach(option -fno-stack-protector -fno-stack-clash-protection)
    string(REPLACE "-fno-" "-f" guard ${option})
    if(LOAM_HARDENING MATCHES "${guard}")
      list(APPEND kernel_options ${option})
    endif()
  endforeach()
  list(APPEND kernel_options -U_FORTIFY_SOURCE)
endif()
if(LOAM_FUZZ)
  # No parser runs them.
  list(APPEND kernel_options -O0 -fno-sanitize=all)
elseif(LOAM_SANITIZE)
  # With the checks of sanitizers these files take a quarter of the time to compile that they take at -O2.
  list(APPEND kernel_options -O1)
endif()
set_source_files_properties(${kernel_sources} ${bf16_sources} PROPERTIES COMPILE_OPTIONS "${kernel_options}")
target_include_directories(loam_device SYSTEM PRIVATE ${DNNL_INCLUDE_DIR})

# The values of LOAM_ISA, best first.
set(LOAM_LEVELS portable)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$" AND NOT LOAM_FUZZ)
  target_compile_definitions(loam_device PRIVATE LOAM_CPU_X86)
  loam_cpu_level(avx2 "${kernel_sources}" -mavx2 -mfma -mf16c)
  list(PREPEND LOAM_LEVELS avx512_bf16 avx512 avx2)
  set(avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512)
  loam_cpu_level(avx512 "${kernel_sources}" ${avx512})
  loam_cpu_level(avx512_bf16 "${kernel_sources};${bf16_sources}" ${avx512} -mavx512bf16)
endif()
