# miniray_add_plugin(NAME SOURCES file... [LIBS library...])
#   builds NAME.so: a module with hidden visibility that exports mr_plugin_entry and nothing else.
# In the source tree and, through find_package(miniray), in a plugin author's own project.
function(miniray_add_plugin name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBS")
    add_library(${name} MODULE ${arg_SOURCES})
    set_target_properties(${name} PROPERTIES PREFIX "" C_VISIBILITY_PRESET hidden C_STANDARD 11 C_EXTENSIONS ON)
    if(MINIRAY_PLUGIN_OUTPUT)
        set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${MINIRAY_PLUGIN_OUTPUT}")
    endif()
    if(TARGET miniray_flags)
        target_include_directories(${name} PRIVATE "${miniray_SOURCE_DIR}/core/include")
        target_link_libraries(${name} PRIVATE miniray_flags)
    else()
        target_link_libraries(${name} PRIVATE miniray::plugin)
    endif()
    target_link_libraries(${name} PRIVATE ${arg_LIBS} m)
    # Symbols of static libraries (Lua) stay inside: the host may have another copy.
    if(NOT APPLE) # whose linker knows neither, and refuses what is undefined anyway
        target_link_options(${name} PRIVATE "LINKER:--exclude-libs,ALL" "LINKER:--no-undefined")
    endif()
    set_property(GLOBAL APPEND PROPERTY MINIRAY_PLUGIN_TARGETS ${name})
endfunction()
