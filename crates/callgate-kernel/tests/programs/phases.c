/* Prepares, then works: strict mode may begin at work(). Before that it forks, starts a thread,
   and replaces itself once, all of which must be as without a tracer. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noinline)) int work(int code)
{
    if (write(1, "working\n", 8) != 8)
        return 1;
    return code;
}

static void *idle(void *argument)
{
    pause();
    return argument;
}

int main(int argc, char **argv)
{
    int status;
    pthread_t thread;
    if (argc < 2) {
        execl("/proc/self/exe", argv[0], "again", (char *)0);
        return 9;
    }
    pid_t child = fork();
    if (child == 0)
        _exit(work(33));
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 33)
        return 8;
    if (pthread_create(&thread, 0, idle, 0) != 0)
        return 7;
    return work(5);
}
