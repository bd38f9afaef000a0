/* Is done before main. */
#include <unistd.h>

__attribute__((constructor)) static void early(void)
{
	_exit(4);
}

int main(void)
{
	return 0;
}
