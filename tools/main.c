#include <stdio.h>

int main(void)
{
    puts("shunt");
    return 0;
}
