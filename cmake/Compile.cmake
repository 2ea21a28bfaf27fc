# Language level, warnings, hardening and sanitizers, as one interface target that every
# target of the project links: shunt::compile.
include(CheckCCompilerFlag)

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()
# Assertions stay on in every build: see STYLE.md.
foreach(config RELEASE RELWITHDEBINFO MINSIZEREL)
    string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${config} "${CMAKE_C_FLAGS_${config}}")
endforeach()

# The core is many small files that call one another: optimised across their borders a simulation
# takes a sixth less time. Not for development: every program that is linked pays for it.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND CMAKE_C_COMPILER_ID STREQUAL "GNU"
   AND NOT SHUNT_SANITIZE AND NOT DEFINED CMAKE_INTERPROCEDURAL_OPTIMIZATION)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
endif()
# Inputs and decisions are hundreds of bytes long; a processor takes its time to start the "rep" that
# gcc would clear and copy them with.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND CMAKE_C_COMPILER_ID STREQUAL "GNU"
   AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
    set(block "unrolled_loop:128:noalign,libcall:-1:noalign")
    add_compile_options(-mmemset-strategy=${block} -mmemcpy-strategy=${block})
    add_link_options(-mmemset-strategy=${block} -mmemcpy-strategy=${block})
endif()

add_library(shunt_compile INTERFACE)
add_library(shunt::compile ALIAS shunt_compile)
# One rounding of floating point on every machine, so that runs repeat to the byte.
target_compile_options(shunt_compile INTERFACE -ffp-contract=off -fno-common)

set(warnings
    -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes
    -Wold-style-definition -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla -Wformat=2
    -Wconversion -Wdouble-promotion -Wswitch-enum -Wnull-dereference -Wimplicit-fallthrough
    -Wenum-conversion)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    list(APPEND warnings
         -Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wjump-misses-init
         -Wformat-signedness -Warith-conversion -Wcast-align=strict)
    if(NOT SHUNT_SANITIZE)
        list(APPEND warnings -Wstack-usage=16384)
    endif()
endif()
if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
    # assert(!"what went wrong") is the house's way to say that a place is not reached.
    list(APPEND warnings -Wno-string-conversion)
endif()
if(SHUNT_DEV)
    list(APPEND warnings -Werror)
endif()
target_compile_options(shunt_compile INTERFACE ${warnings})

if(SHUNT_SANITIZE)
    target_compile_options(shunt_compile INTERFACE
        -fsanitize=${SHUNT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(shunt_compile INTERFACE -fsanitize=${SHUNT_SANITIZE})
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        # Instrumented code trips this one on pointers that are never null.
        target_compile_options(shunt_compile INTERFACE -Wno-null-dereference -Wno-double-promotion)
    endif()
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    target_compile_options(shunt_compile INTERFACE
        -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection)
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        target_compile_options(shunt_compile INTERFACE -ftrivial-auto-var-init=zero)
    endif()
endif()
target_link_options(shunt_compile INTERFACE -Wl,-z,relro,-z,now)

# For tests, linked after shunt::compile: a test dereferences what it has just made, cmocka's
# assertions do not tell the compiler that they do not return, and isnan() promotes in clang.
add_library(shunt_test INTERFACE)
add_library(shunt::test ALIAS shunt_test)
target_compile_options(shunt_test INTERFACE -Wno-null-dereference -Wno-double-promotion)
