/* Reads the time-stamp counter, which strict mode turns off. */
#include <x86intrin.h>

int main(void)
{
    return __rdtsc() == 0;
}
