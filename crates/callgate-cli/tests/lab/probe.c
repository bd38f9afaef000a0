/*
 * Tries system calls and says what became of each.
 *
 * Standard input holds one call a line:
 *
 *     ABI NUMBER MODE A0 A1 A2 A3 A4 A5
 *
 * ABI is x86_64, x86 (int 0x80) or x32 (the number carries bit 30 already);
 * NUMBER is decimal, the arguments are hexadecimal without a prefix. Each line
 * comes back on standard output with " -> " and an answer behind it:
 *
 *     ok                the call returned no error (the value is not told: process ids differ)
 *     errno N           it returned -N
 *     trap N            it raised a catchable SIGSYS; N is the datum of the filter's TRAP
 *     traced N          it stopped for a tracer; N is the datum of the filter's TRACE
 *     killed N          the process died of signal N before the call returned
 *     thread-killed     the calling thread died, its process did not (mode t)
 *     exited N          the process exited with status N inside the call
 *     blocked           the call had not returned after 300 ms (mode b)
 *
 * MODE is one letter: - for an ordinary call; f for one that makes a process
 * or a thread, which then leaves at once; b for one that may never return;
 * s for one that reads its frame from the stack (the stack pointer is 0 during
 * it, so it fails the same way each time); t to call from a second thread;
 * p to call under a tracer.
 *
 * Every call is made by a child of its own. There is no C library in it: the
 * calls that this program itself needs are those in `enum own`, and a profile
 * under test has to allow them.
 */

typedef long word;
typedef unsigned long uword;

enum own {
	READ = 0,
	WRITE = 1,
	MMAP = 9,
	RT_SIGACTION = 13,
	NANOSLEEP = 35,
	GETPID = 39,
	CLONE = 56,
	FORK = 57,
	EXIT = 60,
	WAIT4 = 61,
	KILL = 62,
	PTRACE = 101,
	SETRLIMIT = 160,
	EXIT_GROUP = 231,
};

enum state { NOTHING, CALLING, RETURNED, TRAPPED, THREAD_GONE };

/* Lives in memory that parent and child share, so that a child needs no further call to report. */
struct report {
	volatile int state;
	volatile int thread;
	volatile word value;
};

struct call {
	char abi; /* 6 = x86_64, 8 = x86, 3 = x32 */
	char mode;
	word number;
	word args[6];
};

static struct report *report;

/* ---- entering the kernel ------------------------------------------------ */

#define NATIVE_REGISTERS                                                                     \
	register word r10 __asm__("r10") = a[3];                                             \
	register word r8 __asm__("r8") = a[4];                                               \
	register word r9 __asm__("r9") = a[5];                                               \
	word result

#define NATIVE(before, after)                                                                \
	__asm__ volatile(before "syscall\n" after                                            \
			 : "=a"(result)                                                      \
			 : "0"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8),  \
			   "r"(r9)                                                           \
			 : "rcx", "r11", "r14", "memory", "cc")

/* r12 to r15 survive int 0x80 on every kernel; rbp is the sixth argument. */
#define COMPAT(before, after)                                                                \
	__asm__ volatile("mov %%rbp,%%r12\nmov %%r13,%%rbp\n" before "int $0x80\n" after     \
			 "mov %%r12,%%rbp\n"                                                 \
			 : "=a"(result)                                                      \
			 : "0"(number), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]),          \
			   "D"(a[4]), "r"(r13)                                               \
			 : "r8", "r9", "r10", "r11", "r12", "r14", "memory", "cc")

#define WITHOUT_STACK "mov %%rsp,%%r14\nxor %%esp,%%esp\n"
#define STACK_BACK "mov %%r14,%%rsp\n"
/* The new process or thread shares or copies our stack: it must not touch it. */
#define NATIVE_CHILD_LEAVES                                                                  \
	"test %%rax,%%rax\njnz 1f\nmov $60,%%eax\nxor %%edi,%%edi\nsyscall\nud2\n1:\n"
#define COMPAT_CHILD_LEAVES                                                                  \
	"test %%eax,%%eax\njnz 1f\nmov $1,%%eax\nxor %%ebx,%%ebx\nint $0x80\nud2\n1:\n"

static word native(word number, const word *a, char mode)
{
	NATIVE_REGISTERS;
	if (mode == 'f')
		NATIVE("", NATIVE_CHILD_LEAVES);
	else if (mode == 's')
		NATIVE(WITHOUT_STACK, STACK_BACK);
	else
		NATIVE("", "");
	return result;
}

static word compat(word number, const word *a, char mode)
{
	register word r13 __asm__("r13") = a[5];
	word result;
	if (mode == 'f')
		COMPAT("", COMPAT_CHILD_LEAVES);
	else if (mode == 's')
		COMPAT(WITHOUT_STACK, STACK_BACK);
	else
		COMPAT("", "");
	/* A 32-bit result: the upper half is not the kernel's to promise. */
	return (int)result;
}

static word own(word number, word a0, word a1, word a2, word a3)
{
	word a[6] = { a0, a1, a2, a3, -1, 0 };
	return native(number, a, '-');
}

static void leave(int status)
{
	own(EXIT_GROUP, status, 0, 0, 0);
	own(EXIT, status, 0, 0, 0);
	__asm__ volatile("ud2");
	__builtin_unreachable();
}

static void doze(word nanoseconds)
{
	word time[2] = { 0, nanoseconds };
	own(NANOSLEEP, (word)time, 0, 0, 0);
}

/* ---- the child ---------------------------------------------------------- */

struct siginfo {
	int number;
	int datum; /* si_errno: for a SIGSYS of seccomp, the datum of the filter */
	int code;
};

static void on_sigsys(int number, struct siginfo *info, void *context)
{
	(void)number;
	(void)context;
	if (report->state == CALLING && info->code == 1) {
		report->value = info->datum;
		report->state = TRAPPED;
	}
	leave(0);
}

static void restore(void)
{
	/* The kernel wants an address to return to; the handler never returns. */
	__asm__ volatile("ud2");
}

static void catch_sigsys(void)
{
	struct {
		void (*handler)(int, struct siginfo *, void *);
		uword flags;
		void (*restorer)(void);
		uword mask;
	} action = { on_sigsys, 0x4 | 0x04000000 /* SA_SIGINFO | SA_RESTORER */, restore, 0 };
	own(RT_SIGACTION, 31, (word)&action, 0, 8);
}

static void make(const struct call *call)
{
	word result;
	report->state = CALLING;
	if (call->abi == '8')
		result = compat(call->number, call->args, call->mode);
	else
		result = native(call->number, call->args, call->mode);
	report->value = result;
	report->state = RETURNED;
}

static const struct call *threads_call;
static char threads_stack[16384] __attribute__((aligned(16)));

static void thread_main(void)
{
	make(threads_call);
	own(EXIT, 0, 0, 0, 0);
	__asm__ volatile("ud2");
}

static void make_in_thread(const struct call *call)
{
	/* CLONE_VM|FS|FILES|SIGHAND|THREAD|SYSVSEM and CLONE_CHILD_CLEARTID, whose
	 * clearing tells that the thread is gone, however it went. */
	word flags = 0x50f00 | 0x200000;
	word *top = (word *)(threads_stack + sizeof threads_stack);
	register word r10 __asm__("r10") = (word)&report->thread;
	register word r8 __asm__("r8") = 0;
	word result;

	threads_call = call;
	report->thread = 1;
	*--top = 0;
	*--top = (word)thread_main;
	__asm__ volatile("syscall\ntest %%rax,%%rax\njnz 1f\nret\n1:\n"
			 : "=a"(result)
			 : "0"((word)CLONE), "D"(flags), "S"(top), "d"(0L), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory", "cc");
	if (result < 0)
		leave(99);
	while (report->thread)
		doze(1000000);
	if (report->state == CALLING)
		report->state = THREAD_GONE;
}

static void child(const struct call *call)
{
	catch_sigsys();
	if (call->mode == 'p') {
		own(PTRACE, 0 /* PTRACE_TRACEME */, 0, 0, 0);
		own(KILL, own(GETPID, 0, 0, 0, 0), 19 /* SIGSTOP */, 0, 0);
	}
	if (call->mode == 't')
		make_in_thread(call);
	else
		make(call);
	leave(0);
}

/* ---- the parent --------------------------------------------------------- */

/* The wait status of the child, or -1 when it had to be ended. */
static int wait_for(word pid, char mode)
{
	int status = 0;
	if (mode != 'b') {
		while (own(WAIT4, pid, (word)&status, 0, 0) == -4 /* EINTR */)
			;
		return status;
	}
	for (int waited = 0; waited < 300; waited += 2) {
		if (own(WAIT4, pid, (word)&status, 1 /* WNOHANG */, 0) == pid)
			return status;
		doze(2000000);
	}
	own(KILL, pid, 9, 0, 0);
	own(WAIT4, pid, (word)&status, 0, 0);
	return report->state == CALLING ? -1 : status;
}

/* Lets a traced child run; the datum of a seccomp stop, or -1 when there was none. */
static word trace(word pid, int *status)
{
	word datum = -1;
	int first = 1;
	for (;;) {
		word deliver = 0;
		own(WAIT4, pid, (word)status, 0, 0);
		if ((*status & 0xff) != 0x7f)
			return datum;
		if (first) {
			/* PTRACE_SETOPTIONS: PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL */
			own(PTRACE, 0x4200, pid, 0, 0x80 | 0x100000);
			first = 0;
		} else if (*status >> 8 == (5 | 7 << 8) /* SIGTRAP, PTRACE_EVENT_SECCOMP */) {
			own(PTRACE, 0x4201 /* PTRACE_GETEVENTMSG */, pid, 0, (word)&datum);
		} else {
			deliver = *status >> 8 & 0xff;
		}
		own(PTRACE, 7 /* PTRACE_CONT */, pid, 0, deliver);
	}
}

static char output[512];
static int written;

static void say(const char *text, word length)
{
	for (word i = 0; i < length && written < (int)sizeof output; i++)
		output[written++] = text[i];
}

static void say_answer(const char *word_, word number, int with_number)
{
	char digits[24];
	int at = sizeof digits;
	word length = 0;
	while (word_[length])
		length++;
	say(" -> ", 4);
	say(word_, length);
	if (with_number) {
		do
			digits[--at] = (char)('0' + number % 10);
		while (number /= 10);
		digits[--at] = ' ';
		say(digits + at, (word)sizeof digits - at);
	}
	say("\n", 1);
}

static void answer(const struct call *call)
{
	int status = 0;
	word datum = -1;
	word pid;

	report->state = NOTHING;
	report->value = 0;
	pid = own(FORK, 0, 0, 0, 0);
	if (pid == 0)
		child(call);
	if (pid < 0) {
		say_answer("no-child", -pid, 1);
		return;
	}
	if (call->mode == 'p')
		datum = trace(pid, &status);
	else
		status = wait_for(pid, call->mode);

	if (datum >= 0)
		say_answer("traced", datum, 1);
	else if (status == -1)
		say_answer("blocked", 0, 0);
	else if (report->state == RETURNED && report->value < 0 && report->value >= -4095)
		say_answer("errno", -report->value, 1);
	else if (report->state == RETURNED)
		say_answer("ok", 0, 0);
	else if (report->state == TRAPPED)
		say_answer("trap", report->value, 1);
	else if (report->state == THREAD_GONE)
		say_answer("thread-killed", 0, 0);
	else if (report->state == NOTHING)
		say_answer("not-tried", status, 1);
	else if ((status & 0x7f) == 0)
		say_answer("exited", status >> 8 & 0xff, 1);
	else
		say_answer("killed", status & 0x7f, 1);
}

/* ---- reading ------------------------------------------------------------ */

static char input[1 << 21];

static const char *hexadecimal(const char *at, word *value)
{
	uword result = 0;
	while (*at == ' ')
		at++;
	for (; *at > ' '; at++)
		result = result << 4 | (uword)(*at <= '9' ? *at - '0' : (*at | 0x20) - 'a' + 10);
	*value = (word)result;
	return at;
}

static void parse(const char *at, struct call *call)
{
	/* x86_64, x86, x32: the second and fifth character tell them apart. */
	call->abi = at[1] == '3' ? '3' : at[3] == '_' ? '6' : '8';
	while (*at > ' ')
		at++;
	call->number = 0;
	for (at++; *at > ' '; at++)
		call->number = call->number * 10 + (*at - '0');
	call->mode = *++at;
	at++;
	for (int i = 0; i < 6; i++)
		at = hexadecimal(at, &call->args[i]);
}

__attribute__((used)) static void run(void)
{
	static struct call call;
	word no_core[2] = { 0, 0 };
	word length = 0;
	word got;
	word shared[6] = { 0, 4096, 3, 0x21 /* MAP_SHARED | MAP_ANONYMOUS */, -1, 0 };

	own(SETRLIMIT, 4 /* RLIMIT_CORE */, (word)no_core, 0, 0);
	report = (struct report *)native(MMAP, shared, '-');
	if ((uword)report > -4096UL)
		leave(98);
	while ((got = own(READ, 0, (word)(input + length), (word)sizeof input - 1 - length, 0)) > 0)
		length += got;
	for (word start = 0, end; start < length; start = end + 1) {
		for (end = start; end < length && input[end] != '\n'; end++)
			;
		if (end == start)
			continue;
		input[end] = 0;
		parse(input + start, &call);
		written = 0;
		say(input + start, end - start);
		answer(&call);
		for (word done = 0; done < written;) {
			word put = own(WRITE, 1, (word)(output + done), written - done, 0);
			if (put <= 0)
				leave(97);
			done += put;
		}
	}
	leave(0);
}

__asm__(".globl _start\n_start:\n\txor %ebp,%ebp\n\tand $-16,%rsp\n\tcall run\n\tud2\n");
