/* Copies standard input to standard output; exits with its argument. */
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static char buffer[4096];
	ssize_t length;

	while ((length = read(0, buffer, sizeof buffer)) > 0)
		for (ssize_t done = 0; done < length;) {
			ssize_t written = write(1, buffer + done, length - done);
			if (written < 0)
				return 9;
			done += written;
		}
	return argc > 1 ? atoi(argv[1]) : 0;
}
