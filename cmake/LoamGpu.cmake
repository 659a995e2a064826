# The kernels of src/device/gpu, their ops and the host that runs them on fibers of the CPU are a library for tests. They
# are not part of the room until a host for users takes them.
get_target_property(room_sources loam_device SOURCES)
set(gpu_sources ${room_sources})
list(FILTER gpu_sources INCLUDE REGEX "/src/device/gpu/")
list(FILTER room_sources EXCLUDE REGEX "/src/device/gpu/")
set_target_properties(loam_device PROPERTIES SOURCES "${room_sources}")
if(BUILD_TESTING)
  add_library(loam_gpu_fiber STATIC ${gpu_sources})
  target_link_libraries(loam_gpu_fiber PUBLIC loam_device)
endif()
