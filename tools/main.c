/* The program `shunt`. All of it stands in the library of this layer, where tests reach it. */
#include "tools/verbs.h"

int main(int argc, char **argv)
{
    return verbs_run(argc, argv);
}
