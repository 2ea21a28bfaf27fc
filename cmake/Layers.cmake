# One static library per layer; the include path of a layer is its layering rule: a layer sees
# its own folder and the folders of the layers named in USES, nothing else. Headers are included
# as "LAYER/name.h", for instance "core/core.h".
#
#   shunt_layer(NAME USES other... LIBS targets... [GNU])
#
# GNU gives the layer _GNU_SOURCE; core and the plugins never have it.
function(shunt_layer NAME)
    cmake_parse_arguments(arg "GNU" "" "USES;LIBS" ${ARGN})
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
    list(FILTER sources EXCLUDE REGEX "/main\\.c$|_main\\.c$")
    add_library(shunt_${NAME} STATIC ${sources})
    target_link_libraries(shunt_${NAME} PRIVATE shunt::compile)
    target_link_libraries(shunt_${NAME} PUBLIC shunt::sdk ${arg_LIBS})
    # include/NAME -> the layer's folder, so that "NAME/file.h" resolves for those that link it
    # and for nobody else.
    set(view ${CMAKE_BINARY_DIR}/include/${NAME})
    file(MAKE_DIRECTORY ${view})
    file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${view}/${NAME} SYMBOLIC)
    target_include_directories(shunt_${NAME} PUBLIC ${view})
    foreach(used ${arg_USES})
        target_link_libraries(shunt_${NAME} PUBLIC shunt_${used})
    endforeach()
    if(arg_GNU)
        target_compile_definitions(shunt_${NAME} PRIVATE _GNU_SOURCE)
    endif()
endfunction()

# shunt_tests(DIRECTORY LIBS...): every test_*.c in DIRECTORY becomes one cmocka program and one
# CTest case called after the file. A test that cannot run here exits 77 and says why.
function(shunt_tests DIRECTORY)
    file(GLOB sources CONFIGURE_DEPENDS ${DIRECTORY}/test_*.c)
    file(RELATIVE_PATH prefix ${CMAKE_SOURCE_DIR}/tests ${DIRECTORY})
    string(REPLACE "/" "." prefix ${prefix})
    foreach(source ${sources})
        get_filename_component(stem ${source} NAME_WE)
        string(REGEX REPLACE "^test_" "" stem ${stem})
        set(target test.${prefix}.${stem})
        add_executable(${target} ${source})
        set_target_properties(${target} PROPERTIES
            RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
        target_compile_definitions(${target} PRIVATE _GNU_SOURCE
            SHUNT_SOURCE_DIR="${CMAKE_SOURCE_DIR}" SHUNT_BUILD_DIR="${CMAKE_BINARY_DIR}")
        target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
        target_link_libraries(${target} PRIVATE shunt::compile shunt::test ${ARGN}
                              PkgConfig::CMOCKA m)
        add_test(NAME ${prefix}.${stem} COMMAND ${target})
        set_tests_properties(${prefix}.${stem} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)
    endforeach()
endfunction()

# shunt_scripts(DIRECTORY): every test_*.py, test_*.sh in DIRECTORY becomes a CTest case; it finds
# the build in $SHUNT_BUILD and the tree in $SHUNT_SOURCE.
function(shunt_scripts DIRECTORY)
    file(GLOB sources CONFIGURE_DEPENDS ${DIRECTORY}/test_*.py ${DIRECTORY}/test_*.sh)
    file(RELATIVE_PATH prefix ${CMAKE_SOURCE_DIR}/tests ${DIRECTORY})
    string(REPLACE "/" "." prefix ${prefix})
    foreach(source ${sources})
        get_filename_component(stem ${source} NAME_WE)
        string(REGEX REPLACE "^test_" "" stem ${stem})
        add_test(NAME ${prefix}.${stem} COMMAND ${source})
        set_tests_properties(${prefix}.${stem} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600
            ENVIRONMENT "SHUNT_BUILD=${CMAKE_BINARY_DIR};SHUNT_SOURCE=${CMAKE_SOURCE_DIR}")
    endforeach()
endfunction()

# shunt_fuzz(NAME LIBS...): tests/fuzz/fuzz_NAME.c with its corpus in tests/fuzz/corpus/NAME. Under
# SHUNT_FUZZ it is a libFuzzer program; otherwise it is linked with a small driver that runs the
# corpus once, so that every former crash stays a test.
function(shunt_fuzz NAME)
    set(target fuzz_${NAME})
    if(SHUNT_FUZZ)
        add_executable(${target} fuzz_${NAME}.c)
        target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    else()
        add_executable(${target} fuzz_${NAME}.c corpus_main.c)
    endif()
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
    target_link_libraries(${target} PRIVATE shunt::compile ${ARGN})
    if(SHUNT_FUZZ)
        add_test(NAME fuzz.${NAME} COMMAND ${target} -runs=0 ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${NAME})
    else()
        add_test(NAME fuzz.${NAME} COMMAND ${target} ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${NAME})
    endif()
endfunction()
