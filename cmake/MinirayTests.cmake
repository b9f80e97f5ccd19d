# CTest: every executable here is a process of its own with a time limit, and is told by its environment where the build
# has put things:
#   MINIRAY_PLUGIN_PATH  the plugins just built          MRTEST_BIN_DIR     the executables just built
#   MRTEST_SOURCE_DIR   the root of the sources         MRTEST_BUILD_DIR   the root of this build
#   MRTEST_BADPLUGINS    tests/badplugins, built
# MINIRAY_* names are settings (see core/base/config.h), so a test that opens a session sees MRTEST_* only; tests of the
# loader and the conformance suites open none and get MINIRAY_BIN_DIR and MINIRAY_BADPLUGINS too.
miniray_need(CHECK check check)

set(test_root "${CMAKE_CURRENT_SOURCE_DIR}/tests")
set(MINIRAY_TEST_ENV
    "MINIRAY_PLUGIN_PATH=${MINIRAY_PLUGIN_OUTPUT}"
    "MRTEST_BADPLUGINS=${CMAKE_BINARY_DIR}/badplugins"
    "MRTEST_BIN_DIR=${CMAKE_BINARY_DIR}/bin"
    "MRTEST_SOURCE_DIR=${CMAKE_CURRENT_SOURCE_DIR}"
    "MRTEST_BUILD_DIR=${CMAKE_BINARY_DIR}")
# A test that takes so long (s) hangs: the limits are far from what any needs, also instrumented or on a busy machine.
list(APPEND MINIRAY_TEST_ENV "CK_DEFAULT_TIMEOUT=300")
set(MINIRAY_TEST_TIMEOUT 1200)
if(NOT MINIRAY_SANITIZE STREQUAL "none")
    list(APPEND MINIRAY_TEST_ENV
        "ASAN_OPTIONS=detect_leaks=1:abort_on_error=1:detect_stack_use_after_return=0"
        "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
        "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")
endif()

# miniray_test_program(NAME SOURCES...): an executable linked with the whole core and Check; not yet a test.
function(miniray_test_program name)
    add_executable(${name} ${ARGN})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
    target_link_libraries(${name} PRIVATE miniray_flags miniray_core PkgConfig::CHECK)
    target_include_directories(${name} PRIVATE "${test_root}" "${test_root}/conformance")
    target_compile_definitions(${name} PRIVATE MINIRAY_VERSION="${PROJECT_VERSION}")
endfunction()

# miniray_test(NAME LABEL command...)
function(miniray_test name label)
    set(environment ${MINIRAY_TEST_ENV})
    if(name MATCHES "plugin" OR label STREQUAL "conformance")
        list(APPEND environment
            "MINIRAY_BIN_DIR=${CMAKE_BINARY_DIR}/bin" "MINIRAY_BADPLUGINS=${CMAKE_BINARY_DIR}/badplugins")
    endif()
    add_test(NAME ${name} COMMAND ${ARGN})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${MINIRAY_TEST_TIMEOUT} LABELS "${label}"
        ENVIRONMENT "${environment}")
endfunction()

# out: the file tests what a build of the simulator alone leaves out (MINIRAY_ENGINES=sim).
function(miniray_needs_processes out source)
    set(found "")
    if(MINIRAY_ENGINES STREQUAL "sim")
        file(STRINGS "${source}" found REGEX
            "^#include [\"<]((client|api|worker|engine/process)/|(unit/)?helper_(node|process)|miniray/miniray\\.h)|store-(shm|file)")
    endif()
    set(${out} "${found}" PARENT_SCOPE)
endfunction()

# Folders whose every .c is a test of its own; a folder with a CMakeLists.txt says itself what it holds.
foreach(folder unit fault sim)
    if(EXISTS "${test_root}/${folder}/CMakeLists.txt")
        add_subdirectory("${test_root}/${folder}")
        continue()
    endif()
    file(GLOB sources CONFIGURE_DEPENDS "${test_root}/${folder}/test_*.c")
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM name)
        miniray_needs_processes(without "${source}")
        if(without)
            continue()
        endif()
        # What several tests share is in helper_X.c, and belongs to those that include "helper_X.h".
        file(STRINGS "${source}" helpers REGEX "^#include \"(unit/)?helper_[a-z0-9_]+\\.h\"")
        list(TRANSFORM helpers REPLACE "^.*(helper_[a-z0-9_]+)\\.h.*$" "${test_root}/${folder}/\\1.c")
        list(FILTER helpers INCLUDE REGEX "\\.c$")
        miniray_test_program(${name} ${source} ${helpers})
        miniray_test(${name} ${folder} ${name})
        if(name MATCHES "process|client|api|ring|bell|worker")
            set_tests_properties(${name} PROPERTIES LABELS "${folder};process")
        endif()
    endforeach()
endforeach()

# Every fuzz target, for a second, with the seeds that are kept; scripts/fuzz.sh runs them for long.
file(GLOB sources CONFIGURE_DEPENDS "${test_root}/fuzz/fuzz_*.c")
foreach(source IN LISTS sources)
    cmake_path(GET source STEM name)
    miniray_needs_processes(without "${source}")
    if(without)
        continue()
    endif()
    set(seeds "${test_root}/fuzz/corpus/${name}")
    if(name STREQUAL "fuzz_config")
        set(seeds "${test_root}/badconfig" "${CMAKE_CURRENT_SOURCE_DIR}/config")
    elseif(NOT EXISTS "${seeds}")
        set(seeds "")
    endif()
    miniray_test_program(quick_${name} ${source} "${test_root}/fuzz/replay.c")
    miniray_test(quick_${name} fuzz quick_${name} -max_total_time=1 ${seeds})
endforeach()

# tests/unit/tasks_X.c: a library of C tasks, which the workers of a test load; it lies beside the test programs.
file(GLOB sources CONFIGURE_DEPENDS "${test_root}/unit/tasks_*.c")
foreach(source IN LISTS sources)
    cmake_path(GET source STEM name)
    add_library(${name} MODULE ${source})
    set_target_properties(${name} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
    target_include_directories(${name} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/core/include")
    target_link_libraries(${name} PRIVATE miniray_flags m)
endforeach()

# Broken plugins: one module per file, for the loader's and the checker's tests.
if(EXISTS "${test_root}/badplugins/CMakeLists.txt")
    add_subdirectory("${test_root}/badplugins")
else()
    file(GLOB sources CONFIGURE_DEPENDS "${test_root}/badplugins/*.c")
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM name)
        add_library(bad_${name} MODULE ${source})
        set_target_properties(bad_${name} PROPERTIES PREFIX "" OUTPUT_NAME "${name}" C_VISIBILITY_PRESET hidden
            LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/badplugins")
        target_include_directories(bad_${name} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/core/include")
        target_link_libraries(bad_${name} PRIVATE miniray_flags)
    endforeach()
endif()

# Conformance: the same suites on every plugin built here.
if(EXISTS "${test_root}/conformance/CMakeLists.txt")
    add_subdirectory("${test_root}/conformance")
else()
    file(GLOB sources CONFIGURE_DEPENDS "${test_root}/conformance/test_*.c")
    foreach(source IN LISTS sources)
        cmake_path(GET source STEM name)
        miniray_needs_processes(without "${source}")
        if(without)
            continue()
        endif()
        miniray_test_program(${name} ${source})
        miniray_test(${name} conformance ${name})
    endforeach()
endif()
if(TARGET miniray-plugin-check)
    foreach(plugin IN LISTS plugin_targets)
        miniray_test(conformance.${plugin} conformance miniray-plugin-check $<TARGET_FILE:${plugin}>)
    endforeach()
endif()

find_package(Python3 3.8 COMPONENTS Interpreter)
if(Python3_Interpreter_FOUND)
    miniray_test(style style "${Python3_EXECUTABLE}" "${test_root}/style/check_style.py"
        --source "${CMAKE_CURRENT_SOURCE_DIR}" --build "${CMAKE_BINARY_DIR}" --cc "${CMAKE_C_COMPILER}")
else()
    message(WARNING "no python3: the style test is left out")
endif()
