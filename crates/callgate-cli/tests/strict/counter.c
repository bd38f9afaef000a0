/* Reads the time stamp counter. */
#include <x86intrin.h>

int main(void)
{
	volatile unsigned long long ticks = __rdtsc();

	return ticks == 0;
}
