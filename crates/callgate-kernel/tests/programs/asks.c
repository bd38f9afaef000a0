/* Makes directories that cannot be made, in every way: the filter under test answers EDOM instead
   of ENOENT. Exits with 7 when all were answered so, with 1 otherwise. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static int failures;

static void ask(const char *path)
{
    if (mkdirat(AT_FDCWD, path, 0700) == 0 || errno != EDOM)
        __atomic_fetch_add(&failures, 1, __ATOMIC_SEQ_CST);
}

static void *in_thread(void *path)
{
    ask(path);
    return NULL;
}

static void child(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
        failures++;
}

static void handle(int number)
{
    (void)number;
}

static void told(int number, siginfo_t *info, void *context)
{
    char line[200];
    long result = 0;
#ifdef __x86_64__
    result = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX];
#elif defined(__aarch64__)
    result = ((ucontext_t *)context)->uc_mcontext.regs[0];
#endif
    int length = snprintf(line, sizeof line, "%d %d %d %d %x %d %ld\n", number, info->si_code,
                          info->si_errno, info->si_syscall, info->si_arch,
                          info->si_call_addr != NULL, result);
    if (write(2, line, length) != length)
        failures++;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *way = argv[i];
        if (strcmp(way, "plain") == 0) {
            ask("/no/plain");
        } else if (strcmp(way, "thread") == 0) {
            pthread_t threads[8];
            for (int t = 0; t < 8; t++)
                pthread_create(&threads[t], NULL, in_thread, "/no/thread");
            for (int t = 0; t < 8; t++)
                pthread_join(threads[t], NULL);
        } else if (strcmp(way, "fork") == 0) {
            pid_t pid = fork();
            if (pid == 0) {
                ask("/no/fork");
                _exit(failures ? 1 : 7);
            }
            child(pid);
        } else if (strcmp(way, "exec") == 0) {
            pid_t pid = vfork();
            if (pid == 0) {
                execl("/proc/self/exe", "asks", "plain", NULL);
                _exit(1);
            }
            child(pid);
        } else if (strcmp(way, "signal") == 0) {
            /* A call that waits is interrupted by a handler, or is not. */
            struct sigaction action = {.sa_handler = handle};
            sigaction(SIGUSR1, &action, NULL);
            ask("/no/signal");
        } else if (strcmp(way, "block-sigsys") == 0) {
            sigset_t set;
            sigemptyset(&set);
            sigaddset(&set, SIGSYS);
            sigprocmask(SIG_BLOCK, &set, NULL);
        } else if (strcmp(way, "handle-sigsys") == 0) {
            signal(SIGSYS, handle);
        } else if (strcmp(way, "trap") == 0) {
            /* What the handler of a trap is told, on standard output. */
            struct sigaction action = {.sa_sigaction = told, .sa_flags = SA_SIGINFO};
            sigaction(SIGSYS, &action, NULL);
        } else if (strcmp(way, "joined") == 0) {
            pthread_t thread;
            pthread_create(&thread, NULL, in_thread, "/no/joined");
            pthread_join(thread, NULL);
        } else if (strcmp(way, "ignore-sigsys") == 0) {
            signal(SIGSYS, SIG_IGN);
        } else if (strcmp(way, "many") == 0) {
            for (int n = 0; n < 1000; n++)
                ask("/no/many");
        } else if (strcmp(way, "int80") == 0) {
#ifdef __x86_64__
            /* The kernel takes the low half of an address: the string must lie there. */
            static char path[] = "/no/int80";
            long result;
            __asm__ volatile("int $0x80" : "=a"(result)
                             : "a"(39L), "b"(path), "c"(0700L) : "memory");
            if (result != -EDOM)
                failures++;
#endif
        } else if (strcmp(way, "daemon") == 0) {
            if (fork() == 0) {
                setsid();
                usleep(300000);
                ask("/no/daemon");
                _exit(failures ? 1 : 7);
            }
        } else if (strcmp(way, "tell") == 0) {
            /* The errno of a call into a file, when it has come. */
            int result = mkdirat(AT_FDCWD, "/no/tell", 0700);
            FILE *file = fopen(argv[++i], "w");
            fprintf(file, "%d\n", result == 0 ? 0 : errno);
            fclose(file);
        }
    }
    return failures ? 1 : 7;
}
