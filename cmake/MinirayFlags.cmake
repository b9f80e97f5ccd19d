# miniray_flags: how every C file of the project is compiled.
add_library(miniray_flags INTERFACE)
target_compile_options(miniray_flags INTERFACE -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes)
if(MINIRAY_WERROR)
    target_compile_options(miniray_flags INTERFACE -Werror)
endif()

# Sanitizers change the ABI of everything they touch, so they are set for the whole build and not per target.
if(MINIRAY_SANITIZE STREQUAL "address")
    add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
    add_link_options(-fsanitize=address,undefined)
elseif(MINIRAY_SANITIZE STREQUAL "thread")
    add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
    add_link_options(-fsanitize=thread)
elseif(NOT MINIRAY_SANITIZE STREQUAL "none")
    message(FATAL_ERROR "MINIRAY_SANITIZE=${MINIRAY_SANITIZE}: must be none, address or thread")
endif()
