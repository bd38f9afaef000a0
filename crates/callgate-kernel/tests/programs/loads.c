/* Loads filters in the ways that its arguments name, one after the other, and exits with 7. Each
 * filter allows everything, and begins with an instruction that carries its number. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned number;

static void check(int good, const char *what)
{
	if (!good) {
		perror(what);
		_exit(99);
	}
}

static void fill(struct sock_filter *filter)
{
	filter[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, ++number);
	filter[1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
}

static long load(unsigned flags)
{
	struct sock_filter filter[2];
	struct sock_fprog program = { .len = 2, .filter = filter };
	fill(filter);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static long load_by_prctl(void)
{
	struct sock_filter filter[2];
	struct sock_fprog program = { .len = 2, .filter = filter };
	fill(filter);
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

#ifdef __x86_64__
/* i386's numbers and structure, from 64-bit code, with dirt in the upper halves. */
static long load_by_int80(int by_prctl)
{
	struct narrow {
		uint16_t len;
		uint32_t filter;
	} *program;
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	check(page != MAP_FAILED, "mmap");
	program = (struct narrow *)page;
	program->len = 2;
	program->filter = (uint32_t)(uintptr_t)(page + 64);
	fill((struct sock_filter *)(page + 64));
	long result;
	uint64_t dirt = 0xdead00000000;
	uint64_t first = by_prctl ? PR_SET_SECCOMP : SECCOMP_SET_MODE_FILTER;
	uint64_t second = by_prctl ? SECCOMP_MODE_FILTER : 0;
	asm volatile("int $0x80"
		     : "=a"(result)
		     : "a"(by_prctl ? 172 : 354), "b"(first | dirt), "c"(second | dirt),
		       "d"((uint64_t)(uintptr_t)program | dirt), "S"(0), "D"(0)
		     : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}
#endif

static void *in_thread(void *unused)
{
	check(load(0) == 0, "seccomp in a thread");
	return unused;
}

static void *wait_for_ever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void *load_and_wait(void *pipe)
{
	check(load(0) == 0, "seccomp in a thread");
	check(write(((int *)pipe)[1], "x", 1) == 1, "write");
	return wait_for_ever(NULL);
}

static char **arguments;

static void *execute(void *unused)
{
	execv("/proc/self/exe", arguments);
	check(0, "execv");
	return unused;
}

/* Its own answer to seccomp(2): ERRNO 0, so that the call returns 0 and loads nothing. */
static void pretend(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 4, .filter = filter };
	check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0, "seccomp");
	check(load(0) == 0, "seccomp that is answered with 0");
}

int main(int argc, char **argv)
{
	pthread_t thread;
	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
	for (int i = 1; i < argc; i++) {
		const char *way = argv[i];
		if (!strcmp(way, "seccomp")) {
			check(load(0) == 0, way);
		} else if (!strcmp(way, "log")) {
			check(load(SECCOMP_FILTER_FLAG_LOG) == 0, way);
		} else if (!strcmp(way, "prctl")) {
			check(load_by_prctl() == 0, way);
		} else if (!strcmp(way, "listener")) {
			check(load(SECCOMP_FILTER_FLAG_NEW_LISTENER) > 2, way);
		} else if (!strcmp(way, "tsync")) {
			check(!pthread_create(&thread, NULL, wait_for_ever, NULL), way);
			check(load(SECCOMP_FILTER_FLAG_TSYNC) == 0, way);
		} else if (!strcmp(way, "tsync-refused")) {
			int pipes[2];
			char byte;
			check(!pipe(pipes), "pipe");
			check(!pthread_create(&thread, NULL, load_and_wait, pipes), way);
			check(read(pipes[0], &byte, 1) == 1, "read");
			check(load(SECCOMP_FILTER_FLAG_TSYNC) > 0, way);
#ifdef __x86_64__
		} else if (!strcmp(way, "int80")) {
			check(load_by_int80(0) == 0, way);
		} else if (!strcmp(way, "int80-prctl")) {
			check(load_by_int80(1) == 0, way);
#endif
		} else if (!strcmp(way, "thread")) {
			check(!pthread_create(&thread, NULL, in_thread, NULL), way);
			check(!pthread_join(thread, NULL), way);
		} else if (!strcmp(way, "fork")) {
			pid_t child = fork();
			check(child >= 0, way);
			if (child == 0) {
				check(load(0) == 0, "seccomp in a child");
				_exit(0);
			}
			number++;
			check(waitpid(child, NULL, 0) == child, "waitpid");
		} else if (!strcmp(way, "vfork")) {
			pid_t child = vfork();
			if (child == 0) {
				load(0);
				_exit(0);
			}
			check(child > 0 && waitpid(child, NULL, 0) == child, way);
		} else if (!strcmp(way, "daemon")) {
			if (fork() == 0) {
				setsid();
				usleep(200000);
				check(load(0) == 0, "seccomp in a daemon");
				usleep(100000);
				_exit(0);
			}
			number++;
		} else if (!strcmp(way, "linger")) {
			if (fork() == 0) {
				setsid();
				for (int fd = 0; fd < 3; fd++)
					close(fd);
				sleep(30);
				_exit(0);
			}
		} else if (!strcmp(way, "exec")) {
			/* From another thread, with the arguments that are left. */
			arguments = argv + i;
			check(!pthread_create(&thread, NULL, execute, NULL), way);
			pthread_join(thread, NULL);
		} else if (!strcmp(way, "pretend")) {
			pretend();
		} else if (!strcmp(way, "refused")) {
			check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL) < 0, way);
			check(load(1u << 30) < 0, way);
		} else if (!strcmp(way, "segv")) {
			raise(SIGSEGV);
		} else if (!strcmp(way, "stop")) {
			raise(SIGSTOP);
		} else {
			fprintf(stderr, "unknown: %s\n", way);
			return 98;
		}
	}
	return 7;
}
