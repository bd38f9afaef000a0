/* Copies a file whose name it is given, and opens it in main, as most copiers do. */
#include <fcntl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char buffer[64];
	int file = open(argv[argc - 1], O_RDONLY);
	ssize_t length = read(file, buffer, sizeof buffer);

	return write(1, buffer, length) != length;
}
