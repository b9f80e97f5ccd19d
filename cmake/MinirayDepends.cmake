# miniray_depends: what the core links.  A missing library stops the configuration with the Debian package to install.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(miniray_need prefix module debian)
    pkg_check_modules(${prefix} IMPORTED_TARGET GLOBAL ${module})
    if(NOT ${prefix}_FOUND)
        message(FATAL_ERROR "${module} was not found by pkg-config: install ${debian} (scripts/bootstrap.sh does)")
    endif()
endfunction()

miniray_need(INIH inih libinih-dev)
miniray_need(XXHASH libxxhash libxxhash-dev)
miniray_need(CJSON libcjson libcjson-dev)
set(compressors "")
if(MINIRAY_ENGINES STREQUAL "all") # for spilled bytes; virtual time has none
    miniray_need(LZ4 liblz4 liblz4-dev)
    miniray_need(ZSTD libzstd libzstd-dev)
    set(compressors PkgConfig::LZ4 PkgConfig::ZSTD)
endif()
include(CheckIncludeFile)
check_include_file(uthash.h MINIRAY_HAVE_UTHASH)
if(NOT MINIRAY_HAVE_UTHASH)
    message(FATAL_ERROR "uthash.h was not found: install uthash-dev (scripts/bootstrap.sh does)")
endif()

add_library(miniray_depends INTERFACE)
target_link_libraries(miniray_depends INTERFACE
    PkgConfig::INIH PkgConfig::XXHASH ${compressors} PkgConfig::CJSON Threads::Threads ${CMAKE_DL_LIBS} m $<$<PLATFORM_ID:Linux>:rt>)

# miniray_lua: what sched-lua links.  The shared library, because Debian's static one is not position independent; whoever
# has one that is (for wheels) names it in MINIRAY_LUA_ARCHIVE, and its symbols stay inside the plugin.
set(MINIRAY_LUA_ARCHIVE "" CACHE FILEPATH "a position independent liblua5.4.a; empty: the shared library")
pkg_search_module(LUA IMPORTED_TARGET GLOBAL lua5.4 lua-5.4 lua54 lua)
if(NOT LUA_FOUND)
    message(FATAL_ERROR "Lua 5.4 was not found by pkg-config: install liblua5.4-dev (scripts/bootstrap.sh does)")
elseif(NOT LUA_VERSION MATCHES "^5\\.4\\.")
    message(FATAL_ERROR "pkg-config found Lua ${LUA_VERSION}; policies are counted in instructions of Lua 5.4: install liblua5.4-dev")
endif()
add_library(miniray_lua INTERFACE)
if(MINIRAY_LUA_ARCHIVE)
    target_include_directories(miniray_lua INTERFACE ${LUA_INCLUDE_DIRS})
    target_link_libraries(miniray_lua INTERFACE ${MINIRAY_LUA_ARCHIVE} m ${CMAKE_DL_LIBS})
else()
    target_link_libraries(miniray_lua INTERFACE PkgConfig::LUA)
endif()
