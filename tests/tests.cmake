# One binary a layer, one ctest a file: the file's Catch tag ([#name], given by -#) selects its cases.
find_package(Catch2 REQUIRED)
add_library(catch_main OBJECT tests/support/catch_main.cpp)  # compiled once, without sanitizers: the slowest file of all
target_link_libraries(catch_main PUBLIC Catch2::Catch2)
target_compile_definitions(catch_main PUBLIC MAE_CATCH2=${Catch2_VERSION_MAJOR})
target_compile_options(catch_main PRIVATE -std=c++20 -O0)  # Catch's std::byte printer exists from C++17 on

set(catch_flags "-#")
if(Catch2_VERSION VERSION_LESS 3)
  list(APPEND catch_flags -w NoTests)
else()
  list(APPEND catch_flags -w UnmatchedTestSpec)
endif()

# mae_tests(layer LINKS targets): tests/<layer>/test_*.cpp -> binary test_<layer>, tests <layer>.<file>; tests of the
# house itself have no layer in their name: `arrows`
function(mae_tests layer)
  cmake_parse_arguments(ARG "" "" "LINKS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS tests/${layer}/test_*.cpp)
  if(NOT MAE_SIMT)
    list(FILTER sources EXCLUDE REGEX "/test_simt[^/]*$")
  endif()
  if(NOT MAE_WITH_TIFF)
    list(FILTER sources EXCLUDE REGEX "/test_tiff[.]cpp$")
  endif()
  if(NOT MAE_WITH_LIBARCHIVE)
    list(FILTER sources EXCLUDE REGEX "/test_shards[.]cpp$")
  endif()
  if(NOT sources)
    return()
  endif()
  add_executable(test_${layer} ${sources})
  file(GLOB helpers CONFIGURE_DEPENDS tests/support/*.cpp)
  list(FILTER helpers EXCLUDE REGEX "catch_main|mae_faults")
  target_sources(test_${layer} PRIVATE ${helpers})
  target_link_libraries(test_${layer} PRIVATE mae_flags ${ARG_LINKS} catch_main)
  # The time of tests is the compiler's; those of kernels compute references themselves.
  if(MAE_SANITIZE)
    target_compile_options(test_${layer} PRIVATE -O0 ${checked_less})
  elseif(layer STREQUAL kernels)
    target_compile_options(test_${layer} PRIVATE $<$<CONFIG:Release>:-O1>)
  else()
    target_compile_options(test_${layer} PRIVATE $<$<CONFIG:Release>:-O0>)
  endif()
  mae_unity(test_${layer} 6)
  target_compile_definitions(test_${layer} PRIVATE MAE_SOURCE_DIR="${CMAKE_SOURCE_DIR}" MAE_BINARY_DIR="${CMAKE_BINARY_DIR}")
  foreach(source IN LISTS sources)
    get_filename_component(file ${source} NAME_WE)
    string(REGEX REPLACE "^test_" "" short ${file})
    string(REGEX REPLACE "^house\\." "" name ${layer}.${short})
    add_test(NAME ${name} COMMAND test_${layer} ${catch_flags} "[#${file}]")
    # a file says its labels in a line `// labels: slow golden`; without one it is `cpu`
    file(STRINGS ${source} labels REGEX "^// labels: " LIMIT_COUNT 1)
    string(REGEX REPLACE "^// labels: " "" labels "${labels}")
    string(REPLACE " " ";" labels "cpu ${labels}")
    set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT 1200)
  endforeach()
endfunction()

set(alone tests/kernels/test_momentum.cpp tests/kernels/test_moving_average.cpp tests/kernels/test_tokens.cpp
  tests/mae/test_knn.cpp tests/mae/test_metrics.cpp tests/mae/test_simt.cpp tests/mae/test_simt_finetuning.cpp
  tests/mae/test_table_labels.cpp tests/apps/test_cli.cpp tests/apps/test_data.cpp)  # see mae_unity
set_source_files_properties(${alone} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
mae_tests(kernels LINKS mae_c)
enable_language(C)
target_sources(test_kernels PRIVATE tests/kernels/mae_header_in_c.c)
set_source_files_properties(tests/kernels/mae_header_in_c.c PROPERTIES COMPILE_OPTIONS "-std=c11;-Wall;-Wextra;-Wpedantic;-Werror")
find_program(PYTHON3 NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH)
if(TARGET mae_kernels_c AND PYTHON3)  # PyTorch and numpy where they are installed; it says what was not run
  add_test(NAME kernels.mae_cu COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/tests/kernels/mae_cu_test.py)
  set_tests_properties(kernels.mae_cu PROPERTIES LABELS cpu TIMEOUT 1200
    ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1;OMP_WAIT_POLICY=passive;MAE_KERNELS_LIBRARY=$<TARGET_FILE:mae_kernels_c>")
endif()
file(GLOB planted tests/kernels/test_simt*.cpp)
set_source_files_properties(${planted} PROPERTIES COMPILE_OPTIONS -Wno-unknown-pragmas)  # as kernels/simt does
set(cpu_with_sixteen "")
if(EXISTS /proc/cpuinfo)
  file(STRINGS /proc/cpuinfo cpu_with_sixteen REGEX "^flags.* avx512f " LIMIT_COUNT 1)
endif()
if(TARGET test_kernels AND cpu_with_sixteen)  # it takes those: here the ones of eight, in the rows that have both
  add_test(NAME kernels.vectors_of_eight COMMAND test_kernels "*matmul passes the battery,attention_*ward passes the battery")
  set_tests_properties(kernels.vectors_of_eight PROPERTIES LABELS cpu TIMEOUT 1200 ENVIRONMENT "MAE_VECTORS=8;MAE_BATTERY=cpu")
endif()
mae_tests(engine LINKS mae_engine)
set(image_libraries mae_model)
if(MAE_WITH_TIFF)
  list(APPEND image_libraries TIFF::TIFF)  # tests write with it
endif()
mae_tests(mae LINKS ${image_libraries})
if(TARGET test_mae)
  add_executable(crop_images tests/golden/crop_images.cpp)  # for tests/golden/compare_resize.py
  target_link_libraries(crop_images PRIVATE mae_model)
endif()
if(TARGET mae_apps)
  add_executable(mae_faults tests/support/mae_faults.cpp)  # `mae` that kills itself
  target_link_libraries(mae_faults PRIVATE mae_apps)
  mae_tests(apps LINKS mae_apps)
  if(TARGET test_apps)
    add_dependencies(test_apps mae mae_faults)
  endif()
  find_program(PYTHON3 NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH)
  if(MAE_SANITIZE MATCHES address AND PYTHON3)  # by hand with 10000
    add_test(NAME apps.mutate COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/tests/fuzz/mutate.py $<TARGET_FILE:mae> 150)
    set_tests_properties(apps.mutate PROPERTIES LABELS cpu TIMEOUT 1200 ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
  endif()
endif()
mae_tests(house)
find_program(PYTHON3 NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH)
if(PYTHON3)
  add_test(NAME gpu_day COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/tests/gpu_day.py ${CMAKE_SOURCE_DIR})
  set_tests_properties(gpu_day PROPERTIES LABELS cpu)
endif()
if(MAE_WITH_CUDA)  # the one test that starts a compiler: a kernel that spills must not build
  add_test(NAME spill_gate COMMAND ${CMAKE_CUDA_COMPILER} -gencode arch=compute_80,code=sm_80
    -Xptxas=-warn-spills,-warn-lmem-usage -Xptxas=-Werror -c ${CMAKE_SOURCE_DIR}/tests/cuda/spill.cu -o ${CMAKE_BINARY_DIR}/spill.o)
  set_tests_properties(spill_gate PROPERTIES LABELS cpu PASS_REGULAR_EXPRESSION "ptxas error *: Registers are spilled")
endif()
include(tests/docs.cmake)
