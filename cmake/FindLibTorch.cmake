# LibTorch as an imported target, LibTorch::LibTorch.
#
# The package's own TorchConfig.cmake is not used: the CUDA build's one stops on a machine without a CUDA toolkit,
# although nothing of ours is compiled for CUDA. We need its headers and two libraries, torch_cpu and c10 (libtorch.so is
# but a shell around them, which in a CUDA build drags in the GPU part); that part is loaded at run time when a
# person asks for a GPU (core/model/device.cc).
#
# Found through CMAKE_PREFIX_PATH (the root of a LibTorch zip, or torch.utils.cmake_prefix_path of a wheel), else in
# the wheel that scripts/setup.sh puts into .venv.

set(_prefixes ${CMAKE_PREFIX_PATH})
if(DEFINED ENV{CMAKE_PREFIX_PATH})
  string(REPLACE ":" ";" _env_prefixes "$ENV{CMAKE_PREFIX_PATH}")
  list(APPEND _prefixes ${_env_prefixes})
endif()
file(GLOB _venv_torch "${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch")
set(_roots ${_venv_torch})
foreach(_prefix IN LISTS _prefixes)
  list(APPEND _roots "${_prefix}" "${_prefix}/../.." "${_prefix}/../../..")
endforeach()
# A prefix that a person names comes before the one in .venv.
list(REVERSE _roots)

find_path(LibTorch_INCLUDE_DIR torch/csrc/api/include/torch/torch.h PATHS ${_roots} PATH_SUFFIXES include
          NO_DEFAULT_PATH)
find_library(LibTorch_CPU_LIBRARY torch_cpu PATHS ${_roots} PATH_SUFFIXES lib NO_DEFAULT_PATH)
find_library(LibTorch_C10_LIBRARY c10 PATHS ${_roots} PATH_SUFFIXES lib NO_DEFAULT_PATH)

if(LibTorch_INCLUDE_DIR)
  set(LibTorch_VERSION "")
  foreach(_header torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
    foreach(_part MAJOR MINOR PATCH)
      if(EXISTS "${LibTorch_INCLUDE_DIR}/${_header}" AND NOT LibTorch_VERSION MATCHES "^[0-9]+\\.[0-9]+\\.[0-9]+$")
        file(STRINGS "${LibTorch_INCLUDE_DIR}/${_header}" _line REGEX "define TORCH_VERSION_${_part} [0-9]+")
        string(REGEX MATCH "[0-9]+$" _number "${_line}")
        string(APPEND LibTorch_VERSION "${_number}.")
      endif()
    endforeach()
    string(REGEX REPLACE "\\.+$" "" LibTorch_VERSION "${LibTorch_VERSION}")
  endforeach()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  LibTorch
  REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR
  VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE
    "Run scripts/setup.sh, which puts the PyTorch wheel into .venv, or name a LibTorch with -DCMAKE_PREFIX_PATH=...")

if(LibTorch_FOUND AND NOT TARGET LibTorch::LibTorch)
  add_library(LibTorch::LibTorch INTERFACE IMPORTED)
  # SYSTEM: warnings are errors for our code, not for LibTorch's headers.
  target_include_directories(LibTorch::LibTorch SYSTEM INTERFACE
                             "${LibTorch_INCLUDE_DIR}" "${LibTorch_INCLUDE_DIR}/torch/csrc/api/include")
  target_link_libraries(LibTorch::LibTorch INTERFACE "${LibTorch_CPU_LIBRARY}" "${LibTorch_C10_LIBRARY}")
  get_filename_component(LibTorch_LIBRARY_DIR "${LibTorch_CPU_LIBRARY}" DIRECTORY)
  # at::parallel_for is a header: compiled without OpenMP it is a loop on one thread. The threads must be those of the
  # OpenMP that LibTorch was linked to, which wheels and zips carry under a name of theirs: two would fight for the cores.
  target_compile_options(LibTorch::LibTorch INTERFACE -fopenmp)
  file(GLOB _openmp "${LibTorch_LIBRARY_DIR}/libgomp*.so*")
  if(NOT _openmp)
    set(_openmp gomp)
  endif()
  target_link_libraries(LibTorch::LibTorch INTERFACE ${_openmp})
endif()
