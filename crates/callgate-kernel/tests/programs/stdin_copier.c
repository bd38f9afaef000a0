/* Copies standard input to standard output with the calls that strict mode allows. Returns the
   number in its argument, which ends in exit_group; with "raw" it leaves by exit instead. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char buffer[4096];
    ssize_t n;
    while ((n = read(0, buffer, sizeof buffer)) > 0)
        if (write(1, buffer, n) != n)
            return 1;
    if (argc > 1 && strcmp(argv[1], "raw") == 0)
        syscall(SYS_exit, 7);
    return argc > 1 ? atoi(argv[1]) : 0;
}
