/* Exits with 1 if it runs as another effective user than its real one, else 0. */
#include <unistd.h>

int main(void)
{
    return geteuid() != getuid();
}
