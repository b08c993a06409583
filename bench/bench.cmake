# mae_bench, which `mae bench` runs, and the tests of what stands in bench/: included where tests are built.
file(GLOB bench_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/*.cpp)
add_executable(mae_bench ${bench_sources})
# All of kernels/cases in one header, so that a new kernel is timed without a line here.
file(GLOB cases CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/kernels/cases/*.h)
list(TRANSFORM cases REPLACE "(.+)" "#include \"\\1\"\n")
list(JOIN cases "" cases)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/bench/cases.h CONTENT "#pragma once\n\n${cases}")
target_link_libraries(mae_bench PRIVATE mae_apps)
if(MAE_WITH_JPEG)  # bare_jpeg.cpp
  target_link_libraries(mae_bench PRIVATE JPEG::JPEG)
  target_compile_definitions(mae_bench PRIVATE MAE_WITH_JPEG)
endif()
# Little here is timed itself, and compiles faster so; operands.cpp has the loops over gigabytes, peak.cpp a ceiling.
target_compile_options(mae_bench PRIVATE -O1)
set_source_files_properties(${CMAKE_SOURCE_DIR}/bench/operands.cpp PROPERTIES COMPILE_OPTIONS -O3)
set_source_files_properties(${CMAKE_SOURCE_DIR}/bench/peak.cpp PROPERTIES COMPILE_OPTIONS -O3)
if(PYTHON3)
  add_test(NAME bench COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/bench/test_bench.py $<TARGET_FILE:mae>)
  add_test(NAME bench.training COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/bench/test_training.py $<TARGET_FILE:mae>)
  add_test(NAME bench.side_by_side COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/bench/test_side_by_side.py)
  add_test(NAME bench.flat COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/bench/test_flat.py)
  add_test(NAME bench.peers COMMAND ${PYTHON3} ${CMAKE_SOURCE_DIR}/bench/peers/test_model.py)  # where PyTorch is
  set_tests_properties(bench bench.training bench.side_by_side bench.flat bench.peers PROPERTIES LABELS cpu ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
  set_tests_properties(bench.peers PROPERTIES SKIP_RETURN_CODE 77)
endif()
