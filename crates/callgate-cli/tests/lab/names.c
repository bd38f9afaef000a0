/* Prints the system calls that the runtimes' own table, libseccomp's, knows: ABI NUMBER NAME. */
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>

static void print(const char *abi, unsigned token, int from, int to)
{
	for (int number = from; number < to; number++) {
		char *name = seccomp_syscall_resolve_num_arch(token, number);
		if (name)
			printf("%s %d %s\n", abi, number, name);
		free(name);
	}
}

int main(void)
{
	const struct scmp_version *version = seccomp_version();
	printf("version %u.%u.%u\n", version->major, version->minor, version->micro);
	print("x86_64", SCMP_ARCH_X86_64, 0, 1024);
	print("x86", SCMP_ARCH_X86, 0, 1024);
	print("x32", SCMP_ARCH_X32, 0x40000000, 0x40000000 + 1024);
	return 0;
}
