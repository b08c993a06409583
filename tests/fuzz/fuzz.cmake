# Fuzz targets: libFuzzer with address and undefined-behaviour sanitizers, clang only (preset `fuzz`). They are linked
# with the readers alone, which are compiled here a second time with the fuzzer's counters; nothing else is built.
#
# ctest runs each for MAE_FUZZ_SECONDS from the committed corpus, with one seed, so that a failure comes again. By hand,
# for longer and with a seed of its own:
#     build/fuzz/fuzz_png -max_total_time=600 -malloc_limit_mb=512 -max_len=16384 build/fuzz/corpus/png tests/fuzz/corpus/png
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  message(FATAL_ERROR "libFuzzer is a part of clang: configure with the preset `fuzz`, not with ${CMAKE_CXX_COMPILER}")
endif()
set(MAE_FUZZ_SECONDS 10 CACHE STRING "seconds that ctest runs each fuzz target")

set(readers engine/checksum engine/files engine/json engine/mapped_file engine/pickle engine/pickle_calls engine/pth
  engine/safetensors engine/tensor_file engine/utf8 engine/zip_reader mae/cifar mae/config mae/config_text mae/csv
  mae/dataset mae/execution mae/exif mae/file_table mae/idx mae/image mae/image_folder mae/image_list mae/jpeg mae/npy
  mae/packed mae/png mae/shards mae/stb_image_write mae/table_labels mae/tar mae/tiff apps/command_line apps/model_options apps/nearest apps/options apps/options_text apps/toml)
list(TRANSFORM readers APPEND .cpp)
add_library(mae_readers STATIC ${readers})
target_link_libraries(mae_readers PUBLIC mae_flags nlohmann_json::nlohmann_json CLI11::CLI11 ZLIB::ZLIB)
target_include_directories(mae_readers SYSTEM PRIVATE ${STB_INCLUDE_DIR} ${TOML_INCLUDE_DIR})
target_compile_options(mae_readers PUBLIC -fsanitize=fuzzer-no-link)
mae_image_libraries(mae_readers)
if(MAE_WITH_LIBZIP)
  target_include_directories(mae_readers SYSTEM PRIVATE ${ZIP_INCLUDE_DIR})
  target_link_libraries(mae_readers PRIVATE ${ZIP_LIBRARY})
  target_compile_definitions(mae_readers PRIVATE MAE_WITH_LIBZIP)
endif()

add_custom_target(fuzz)  # what the preset builds
file(GLOB sources CONFIGURE_DEPENDS tests/fuzz/fuzz_*.cpp)
foreach(source IN LISTS sources)
  get_filename_component(target ${source} NAME_WE)
  string(REGEX REPLACE "^fuzz_" "" name ${target})
  add_executable(${target} ${source})
  target_link_libraries(${target} PRIVATE mae_readers)
  target_link_options(${target} PRIVATE -fsanitize=fuzzer)
  add_dependencies(fuzz ${target})
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/corpus/${name})  # what a run finds goes there
  add_test(NAME fuzz.${name}
    COMMAND ${target} -max_total_time=${MAE_FUZZ_SECONDS} -seed=1 -timeout=60 -rss_limit_mb=2048 -malloc_limit_mb=512
      -max_len=16384 -print_final_stats=1 -artifact_prefix=${CMAKE_BINARY_DIR}/${name}-
      ${CMAKE_BINARY_DIR}/corpus/${name} ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
  set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 600)
endforeach()
