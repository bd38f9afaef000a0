/* Makes the calls that its arguments name, one after the other, and exits with 7. Where a number
 * follows the name, the call is made as often. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int good, const char *what)
{
	if (!good) {
		perror(what);
		_exit(99);
	}
}

#ifdef __x86_64__
static long int80(long number, long first, long second)
{
	long result;
	asm volatile("int $0x80"
		     : "=a"(result)
		     : "a"(number), "b"(first), "c"(second), "d"(0L), "S"(0L), "D"(0L)
		     : "memory", "r8", "r9", "r10", "r11");
	return result;
}
#endif

/* Answers one call with an error. */
static void refuse(unsigned number, unsigned action)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 4, .filter = filter };
	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
	check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0, "filter");
}

static void *in_thread(void *times)
{
	for (long i = 0; i < *(long *)times; i++)
		syscall(SYS_getppid);
	return NULL;
}

static void on_trap(int number)
{
	(void)number;
}

int main(int count, char **arguments)
{
	for (int i = 1; i < count; i++) {
		const char *what = arguments[i];
		long times = i + 1 < count ? atol(arguments[i + 1]) : 0;
		int number = times > 0;
		if (!strcmp(what, "getppid")) {
			for (long n = 0; n < times; n++)
				syscall(SYS_getppid);
		} else if (!strcmp(what, "thread")) {
			pthread_t thread;
			check(pthread_create(&thread, NULL, in_thread, &times) == 0, "thread");
			pthread_join(thread, NULL);
		} else if (!strcmp(what, "fork")) {
			/* Each makes one call, and its end. */
			for (long n = 0; n < times; n++) {
				pid_t child = fork();
				check(child >= 0, "fork");
				if (child == 0) {
					syscall(SYS_getppid);
					syscall(SYS_exit_group, 0);
				}
				check(waitpid(child, NULL, 0) == child, "wait");
			}
		} else if (!strcmp(what, "daemon")) {
			/* Lives on without its parent until somebody closes the pipe. */
			if (fork() == 0) {
				char byte;
				while (read(0, &byte, 1) > 0)
					;
				syscall(SYS_getpgid, 0);
				_exit(0);
			}
		} else if (!strcmp(what, "exec")) {
			arguments[i] = arguments[0];
			execv("/proc/self/exe", arguments + i);
			check(0, "exec");
		} else if (!strcmp(what, "refused")) {
			/* The number of the error. */
			refuse(SYS_getpgid, SECCOMP_RET_ERRNO | times);
			for (int n = 0; n < 3; n++)
				check(syscall(SYS_getpgid, 0) == -1 && errno == times, "refused");
		} else if (!strcmp(what, "sleep")) {
			usleep(times * 1000);
		} else if (!strcmp(what, "refuse")) {
			refuse(SYS_getpgid, SECCOMP_RET_ERRNO | times);
		} else if (!strcmp(what, "getpgid")) {
			for (long n = 0; n < times; n++)
				syscall(SYS_getpgid, 0);
		} else if (!strcmp(what, "trapped")) {
			signal(SIGSYS, on_trap);
			refuse(SYS_getsid, SECCOMP_RET_TRAP);
			syscall(SYS_getsid, 0);
		} else if (!strcmp(what, "killed")) {
			/* A child, alone or with another thread, with a number for an argument. */
			pid_t child = fork();
			if (child == 0) {
				pthread_t thread;
				static long none = 0;
				if (times > 1)
					check(pthread_create(&thread, NULL, in_thread, &none) == 0,
					      "thread");
				refuse(SYS_getsid, SECCOMP_RET_KILL_PROCESS);
				syscall(SYS_getsid, 4711, 2, 3, 4, 5, 6);
			}
			int status;
			waitpid(child, &status, 0);
			check(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "killed");
		} else if (!strcmp(what, "fork-refused")) {
			pid_t child = fork();
			if (child == 0)
				_exit(syscall(SYS_getpgid, 0) == -1 ? 0 : 98);
			int status;
			waitpid(child, &status, 0);
			check(status == 0, "child");
		} else if (!strcmp(what, "open")) {
			int fd = open("/dev/null", times & ~1L);
			check(fd >= 0, "open");
			close(fd);
		} else if (!strcmp(what, "missing")) {
			for (long n = 0; n < times; n++)
				check(rmdir("/nowhere") == -1, "missing");
		} else if (!strcmp(what, "commands")) {
			/* As many values of an argument; without a descriptor none has an effect. */
			for (long n = 0; n < times; n++)
				syscall(SYS_fcntl, -1, n, 0);
		} else if (!strcmp(what, "odd")) {
			for (long n = 0; n < times; n++)
				syscall(100000);
#ifdef __x86_64__
		} else if (!strcmp(what, "int80")) {
			/* i386's getppid; on x86_64 the number is that of sendmsg. */
			for (long n = 0; n < times; n++)
				check(int80(64, 0, 0) > 0, "int80");
		} else if (!strcmp(what, "x32")) {
			for (long n = 0; n < times; n++)
				syscall(0x40000000 | SYS_getppid);
#endif
		} else {
			fprintf(stderr, "%s?\n", what);
			return 98;
		}
		i += number;
	}
	return 7;
}
