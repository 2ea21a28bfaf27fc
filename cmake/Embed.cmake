# Turns a text file into a C file that defines it as an array of bytes with its length, so that a
# program carries it: cmake -DIN=FILE -DOUT=FILE.c -DNAME=symbol -P cmake/Embed.cmake
file(READ "${IN}" hex HEX)
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
get_filename_component(name "${IN}" NAME)
file(WRITE "${OUT}" "/* Made of ${name} by cmake/Embed.cmake. */
#include <stddef.h>
extern const char ${NAME}[];
extern const size_t ${NAME}_size;
const char ${NAME}[] = {
${bytes}0};
const size_t ${NAME}_size = sizeof(${NAME}) - 1;
")
