# cmake -D LOAM=command -D VERSION=... -D TEMPLATE=loam.1.in -D PAGE=loam.1 -P Manual.cmake
# Writes the manual page: the template with the help of each sub-command in place of @OPTIONS@.
function(loam_help output)
  execute_process(COMMAND ${LOAM} ${ARGN} --help OUTPUT_VARIABLE text RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${LOAM} ${ARGN} --help failed")
  endif()
  set(${output} "${text}" PARENT_SCOPE)
endfunction()

loam_help(overview)
string(REGEX MATCHALL "\n  [a-z]+ " names "${overview}")
set(OPTIONS "")
foreach(name ${names})
  string(STRIP "${name}" name)
  loam_help(text ${name})
  # Escapes for roff: backslashes, hyphens, and lines that start with a dot or an apostrophe.
  string(REPLACE "\\" "\\e" text "${text}")
  string(REPLACE "-" "\\-" text "${text}")
  string(REGEX REPLACE "(^|\n)([.'])" "\\1\\\\&\\2" text "${text}")
  string(APPEND OPTIONS ".SS loam ${name}\n.nf\n${text}.fi\n")
endforeach()
configure_file(${TEMPLATE} ${PAGE} @ONLY)
