# loam_room(NAME [DEPENDS room...] [LINK library...]): builds every .c under src/NAME as the static library loam_NAME,
# which links the rooms that it depends on. Its objects also become part of libloam.
function(loam_room name)
  cmake_parse_arguments(ROOM "" "" "DEPENDS;LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.c)
  list(TRANSFORM ROOM_DEPENDS PREPEND loam_)
  set_property(GLOBAL APPEND PROPERTY LOAM_LINKED ${ROOM_LINK})
  if(NOT sources)
    add_library(loam_${name} INTERFACE)
    target_link_libraries(loam_${name} INTERFACE loam_flags ${ROOM_DEPENDS} ${ROOM_LINK})
    return()
  endif()
  add_library(loam_${name} STATIC ${sources})
  target_link_libraries(loam_${name} PUBLIC loam_flags ${ROOM_DEPENDS} ${ROOM_LINK})
  set_property(GLOBAL APPEND PROPERTY LOAM_ROOMS loam_${name})
endfunction()

# Builds libloam: the objects of all rooms as one shared library, which exports only what <loam.h> declares (LOAM_API)
# under the versions of loam.map, and as libloam.a.
function(loam_library)
  get_property(rooms GLOBAL PROPERTY LOAM_ROOMS)
  get_property(linked GLOBAL PROPERTY LOAM_LINKED)
  set(map ${PROJECT_SOURCE_DIR}/cmake/loam.map)
  add_library(loam SHARED)
  add_library(loam_archive STATIC)
  foreach(room ${rooms})
    target_sources(loam PRIVATE $<TARGET_OBJECTS:${room}>)
    target_sources(loam_archive PRIVATE $<TARGET_OBJECTS:${room}>)
  endforeach()
  set_target_properties(loam_archive PROPERTIES LINKER_LANGUAGE C OUTPUT_NAME loam)
  target_link_options(loam PRIVATE LINKER:--version-script=${map})
  set_target_properties(loam PROPERTIES LINKER_LANGUAGE C LINK_DEPENDS ${map} VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR} PUBLIC_HEADER ${PROJECT_SOURCE_DIR}/include/loam.h)
  target_include_directories(loam INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
  target_link_libraries(loam PRIVATE loam_flags ${linked})
  # With sanitizers, the executable provides the runtime, so the library has undefined symbols.
  if(NOT LOAM_SANITIZE)
    target_link_options(loam PRIVATE LINKER:--no-undefined)
  endif()
  install(TARGETS loam loam_archive)
  # What a program links with libloam.a. OpenMP and libm are in loam.pc.in.
  get_filename_component(dnnl ${DNNL_LIBRARY} NAME_WE)
  string(REGEX REPLACE "^lib" "" dnnl ${dnnl})
  set(libraries ${dnnl})
  list(FILTER linked INCLUDE REGEX "^PkgConfig::")
  foreach(package ${linked})
    string(REPLACE "PkgConfig::" "" package ${package})
    list(APPEND libraries ${${package}_LIBRARIES})
  endforeach()
  list(REMOVE_DUPLICATES libraries)
  list(TRANSFORM libraries PREPEND -l)
  list(JOIN libraries " " LOAM_PRIVATE_LIBRARIES)
  # From LIBDIR/pkgconfig to the prefix: "../.." and one more for each further part of LIBDIR.
  file(RELATIVE_PATH LOAM_PREFIX_FROM_PKGCONFIG /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/loam.pc.in ${PROJECT_BINARY_DIR}/loam.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/loam.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

# Builds the command, its completion scripts and its manual page: docs/loam.1.in with the options from --help.
function(loam_command)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/cli/*.c)
  list(FILTER sources EXCLUDE REGEX "/main.c$")
  add_library(loam_console STATIC ${sources}) # without main.c, so that tests can link it
  target_link_libraries(loam_console PUBLIC loam_flags loam m PRIVATE PkgConfig::LIBEDIT)
  add_executable(loam_cli ${PROJECT_SOURCE_DIR}/src/cli/main.c)
  set_target_properties(loam_cli PROPERTIES OUTPUT_NAME loam INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
  target_link_libraries(loam_cli PRIVATE loam_console)
  install(TARGETS loam_cli)

  set(page ${PROJECT_BINARY_DIR}/loam.1)
  add_custom_command(OUTPUT ${page}
    COMMAND ${CMAKE_COMMAND} -D LOAM=$<TARGET_FILE:loam_cli> -D VERSION=${PROJECT_VERSION}
      -D TEMPLATE=${PROJECT_SOURCE_DIR}/docs/loam.1.in -D PAGE=${page} -P ${PROJECT_SOURCE_DIR}/cmake/Manual.cmake
    DEPENDS loam_cli ${PROJECT_SOURCE_DIR}/docs/loam.1.in ${PROJECT_SOURCE_DIR}/cmake/Manual.cmake
    VERBATIM)
  add_custom_target(loam_manual ALL DEPENDS ${page})
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

  loam_completion(bash bash-completion/completions/loam)
  loam_completion(zsh zsh/site-functions/_loam)
  loam_completion(fish fish/vendor_completions.d/loam.fish)
endfunction()

# Generates the completion script of a shell and installs it in the directory under share/ that the shell searches.
function(loam_completion shell place)
  set(script ${PROJECT_BINARY_DIR}/completion.${shell})
  get_filename_component(directory ${place} DIRECTORY)
  get_filename_component(name ${place} NAME)
  add_custom_command(OUTPUT ${script} COMMAND loam_cli completion ${shell} > ${script} DEPENDS loam_cli)
  add_custom_target(loam_completion_${shell} ALL DEPENDS ${script})
  install(FILES ${script} DESTINATION ${CMAKE_INSTALL_DATADIR}/${directory} RENAME ${name})
endfunction()
