# shunt_add_policy(NAME sources... [OUTPUT_DIRECTORY dir] [NO_INSTALL]): the policy file NAME.so,
# built so that the loader of shunt accepts it:
#
#   -nostartfiles           no code that runs at load time
#   version script          one exported symbol
#   -ffp-contract=off       one rounding of floating point on every machine
#   -z now, relro, defs     no lazy binding, nothing undefined by surprise
#
# NAME.yaml beside the CMakeLists.txt, the printed form of the parameters, goes beside NAME.so.
# Where the program `shunt` is found (target, or SHUNT_PROGRAM), CTest gets `shunt check NAME.so`
# as policy.check.NAME.
#
# Sanitizers: address and thread instrumentation need code at load time and are left out (test a
# policy's source linked into a test program for that); undefined-behaviour checks stay.
set(SHUNT_POLICY_MAP "${CMAKE_CURRENT_LIST_DIR}/shunt_policy.map")
set(SHUNT_POLICY_INSTALL_DIR "lib/shunt/policies" CACHE STRING "Where policies are installed")

function(shunt_add_policy NAME)
    cmake_parse_arguments(arg "NO_INSTALL" "OUTPUT_DIRECTORY" "" ${ARGN})
    if(NOT arg_OUTPUT_DIRECTORY)
        set(arg_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/${SHUNT_POLICY_INSTALL_DIR}")
    endif()
    add_library(${NAME} MODULE ${arg_UNPARSED_ARGUMENTS})
    set_target_properties(${NAME} PROPERTIES
        PREFIX "" SUFFIX ".so" LIBRARY_OUTPUT_DIRECTORY "${arg_OUTPUT_DIRECTORY}"
        C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON
        LINK_DEPENDS "${SHUNT_POLICY_MAP}" SKIP_BUILD_RPATH ON INSTALL_RPATH "")
    if(NOT CMAKE_C_STANDARD)
        set_target_properties(${NAME} PROPERTIES C_STANDARD 11 C_EXTENSIONS OFF)
    endif()
    target_link_libraries(${NAME} PRIVATE shunt::sdk)
    target_compile_options(${NAME} PRIVATE -ffp-contract=off -fno-profile-arcs -fno-test-coverage)
    target_link_options(${NAME} PRIVATE
        -nostartfiles "-Wl,--version-script=${SHUNT_POLICY_MAP}"
        -Wl,-z,now -Wl,-z,relro -Wl,-z,noexecstack -Wl,--as-needed)
    if(SHUNT_SANITIZE MATCHES "undefined")
        # The checks' handlers are in the program that loads the policy.
        target_compile_options(${NAME} PRIVATE -fsanitize=undefined -fno-sanitize-recover=all)
    else()
        target_link_options(${NAME} PRIVATE -Wl,-z,defs)
    endif()

    if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${NAME}.yaml")
        add_custom_command(OUTPUT "${arg_OUTPUT_DIRECTORY}/${NAME}.yaml"
            COMMAND ${CMAKE_COMMAND} -E copy
                    "${CMAKE_CURRENT_SOURCE_DIR}/${NAME}.yaml" "${arg_OUTPUT_DIRECTORY}/${NAME}.yaml"
            DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${NAME}.yaml")
        add_custom_target(${NAME}.yaml ALL DEPENDS "${arg_OUTPUT_DIRECTORY}/${NAME}.yaml")
        add_dependencies(${NAME} ${NAME}.yaml)
    endif()
    if(NOT arg_NO_INSTALL)
        install(TARGETS ${NAME} LIBRARY DESTINATION "${SHUNT_POLICY_INSTALL_DIR}")
        if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${NAME}.yaml")
            install(FILES "${NAME}.yaml" DESTINATION "${SHUNT_POLICY_INSTALL_DIR}")
        endif()
        if(PROJECT_NAME STREQUAL "shunt" AND EXISTS "${PROJECT_SOURCE_DIR}/tools/check.c")
            add_test(NAME policy.check.${NAME} COMMAND shunt check $<TARGET_FILE:${NAME}>)
        elseif(SHUNT_PROGRAM)
            add_test(NAME policy.check.${NAME} COMMAND ${SHUNT_PROGRAM} check $<TARGET_FILE:${NAME}>)
        endif()
    endif()
endfunction()
