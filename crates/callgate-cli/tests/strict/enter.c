/* Enters strict mode itself, or loads the filter in a file, and then does one thing. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
#include <x86intrin.h>

static volatile sig_atomic_t arrived;

static void arrive(int number)
{
	(void)number;
	arrived = 1;
}

static int enter(const char *mode)
{
	static struct sock_filter filter[4096];
	struct sock_fprog program = { 0, filter };
	int file;

	if (!strcmp(mode, "strict"))
		return prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	file = open(mode, O_RDONLY);
	program.len = read(file, filter, sizeof filter) / sizeof *filter;
	close(file);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* A call as 32-bit programs make it. */
static void i386(long number, long argument)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "0"(number), "b"(argument) : "memory");
}

int main(int argc, char **argv)
{
	const char *what = argv[argc - 1];
	struct itimerval soon = { .it_value = { 0, 20000 } };
	char buffer[64];
	ssize_t length;

	signal(SIGALRM, arrive);
	if (!strcmp(what, "signal"))
		setitimer(ITIMER_REAL, &soon, 0);
	if (enter(argv[1]))
		return 99;
	if (!strcmp(what, "exit"))
		syscall(SYS_exit, 5);
	if (!strcmp(what, "exit_group"))
		syscall(SYS_exit_group, 5);
	if (!strcmp(what, "copy"))
		while ((length = read(0, buffer, sizeof buffer)) > 0)
			length = write(1, buffer, length);
	if (!strcmp(what, "signal"))
		while (!arrived)
			;
	if (!strcmp(what, "getpid"))
		syscall(SYS_getpid);
	if (!strcmp(what, "counter"))
		_mm_lfence(), (void)__rdtsc(), _mm_lfence();
	if (!strcmp(what, "i386-exit"))
		i386(1, 7);
	if (!strcmp(what, "i386-getpid"))
		i386(20, 0);
	syscall(SYS_exit, 0);
	return 98;
}
