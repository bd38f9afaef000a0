/* Opens its file first, and does the work in a function of its own. */
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((noinline)) void work(int file)
{
	char buffer[64];
	ssize_t length = read(file, buffer, sizeof buffer);

	syscall(SYS_exit, write(1, buffer, length) == length ? 3 : 9);
}

int main(int argc, char **argv)
{
	work(open(argv[argc - 1], O_RDONLY));
	return 1;
}
