# Headers, policies and example configurations always; the library, its CMake package and its pkg-config file outside
# of wheels.
install(DIRECTORY core/include/miniray DESTINATION ${include_dest} FILES_MATCHING PATTERN "*.h")
install(DIRECTORY config/policies/ DESTINATION ${policy_dest} FILES_MATCHING PATTERN "*.lua")
# The labs as students get them: without the solutions.
install(DIRECTORY labs/ DESTINATION ${labs_dest} PATTERN solutions EXCLUDE)
# In the tree the policies are below config/, installed they are beside it.
file(GLOB examples_ini CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/config/*.ini")
foreach(ini IN LISTS examples_ini)
    cmake_path(GET ini FILENAME name)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${ini}")
    file(READ "${ini}" text)
    string(REPLACE "policy = policies/" "policy = ../policies/" text "${text}")
    file(WRITE "${CMAKE_BINARY_DIR}/config/${name}" "${text}")
    install(FILES "${CMAKE_BINARY_DIR}/config/${name}" DESTINATION ${config_dest})
endforeach()

if(NOT SKBUILD)
    include(CMakePackageConfigHelpers)
    add_library(plugin_headers INTERFACE)
    target_include_directories(plugin_headers INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    set_target_properties(plugin_headers PROPERTIES EXPORT_NAME plugin)
    set(package_dest ${CMAKE_INSTALL_LIBDIR}/cmake/miniray)
    install(TARGETS plugin_headers EXPORT miniray_targets)
    if(TARGET miniray)
        install(TARGETS miniray EXPORT miniray_targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
        configure_file(cmake/miniray.pc.in miniray.pc @ONLY)
        install(FILES "${CMAKE_BINARY_DIR}/miniray.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
    endif()
    install(EXPORT miniray_targets NAMESPACE miniray:: DESTINATION ${package_dest})
    configure_package_config_file(cmake/miniray-config.cmake.in miniray-config.cmake INSTALL_DESTINATION ${package_dest}
        PATH_VARS CMAKE_INSTALL_LIBDIR)
    write_basic_package_version_file(miniray-config-version.cmake COMPATIBILITY SameMajorVersion)
    install(FILES "${CMAKE_BINARY_DIR}/miniray-config.cmake" "${CMAKE_BINARY_DIR}/miniray-config-version.cmake"
        cmake/MinirayPlugin.cmake DESTINATION ${package_dest})
endif()
