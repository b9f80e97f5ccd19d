# miniray/_core: the extension module.  It holds the core (symbols hidden) and needs nothing of ours at run time.
if(MINIRAY_ENGINES STREQUAL "sim") # the laboratory alone: what stands in for the extension says so
    install(FILES bindings/python/sim/_core.py DESTINATION miniray)
    return()
endif()
find_package(Python3 3.10 REQUIRED COMPONENTS Interpreter Development.Module)
file(GLOB extension_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/bindings/python/src/*.c")
if(NOT extension_sources)
    message(FATAL_ERROR "bindings/python/src holds no source file")
endif()
Python3_add_library(_core MODULE WITH_SOABI ${extension_sources})
set_target_properties(_core PROPERTIES C_VISIBILITY_PRESET hidden
    LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/python/miniray")
target_include_directories(_core PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/core/include"
    "${CMAKE_CURRENT_SOURCE_DIR}/bindings/python/src")
target_link_libraries(_core PRIVATE miniray_flags
    "-Wl,--whole-archive" $<TARGET_FILE:miniray_core> "-Wl,--no-whole-archive" miniray_depends)
add_dependencies(_core miniray_core)
target_compile_definitions(_core PRIVATE MINIRAY_VERSION="${PROJECT_VERSION}")
target_link_options(_core PRIVATE "LINKER:--exclude-libs,ALL")
if(SKBUILD)
    install(TARGETS _core LIBRARY DESTINATION miniray)
endif()
