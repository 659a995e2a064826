# loam_room(NAME [DEPENDS room...] [LINK library...]): every .c under src/NAME as the static library loam_NAME, which
# sees the rooms it depends on; its objects also go into libloam.
function(loam_room name)
  cmake_parse_arguments(ROOM "" "" "DEPENDS;LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.c)
  list(TRANSFORM ROOM_DEPENDS PREPEND loam_)
  if(NOT sources)
    add_library(loam_${name} INTERFACE)
    target_link_libraries(loam_${name} INTERFACE loam_options ${ROOM_DEPENDS} ${ROOM_LINK})
    return()
  endif()
  add_library(loam_${name} STATIC ${sources})
  target_link_libraries(loam_${name} PUBLIC loam_options ${ROOM_DEPENDS} ${ROOM_LINK})
  set_property(GLOBAL APPEND PROPERTY LOAM_ROOMS loam_${name})
endfunction()

# libloam: the public library over all rooms.
function(loam_library)
  add_library(loam INTERFACE)
  target_link_libraries(loam INTERFACE loam_api)
endfunction()
