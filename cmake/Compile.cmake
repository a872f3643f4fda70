# How every target of ours is compiled: C++20, warnings are errors, sanitizers when asked for.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

find_program(REGROUP_CCACHE ccache)
if(REGROUP_CCACHE)
  # Precompiled headers need these two relaxations, or ccache refuses every file that uses one. Paths below the tree
  # count as relative, so that a second clone finds what the first one compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}
      ${REGROUP_CCACHE})
endif()

add_library(regroup_compile INTERFACE)
target_include_directories(regroup_compile INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_definitions(regroup_compile INTERFACE FMT_HEADER_ONLY)
# A designated initializer leaves out what keeps its default; that is no oversight to warn of.
target_compile_options(regroup_compile INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wno-missing-field-initializers -Werror)
# g++ 12 sees overlapping copies in "literal" + std::string where there are none (GCC bug 105651).
target_compile_options(regroup_compile INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
if(REGROUP_SANITIZE)
  target_compile_options(regroup_compile INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all
                                                   -fno-omit-frame-pointer)
  target_link_options(regroup_compile INTERFACE -fsanitize=address,undefined)
endif()
if(REGROUP_FUZZ)
  target_compile_options(regroup_compile INTERFACE -fsanitize=fuzzer-no-link)
endif()

# regroup_library(NAME SOURCES… [LIBRARIES…]): a static library compiled the house's way.
function(regroup_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC regroup_compile ${ARG_LIBRARIES})
endfunction()
