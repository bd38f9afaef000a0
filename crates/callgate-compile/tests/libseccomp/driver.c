/* Builds filters with libseccomp from rules on standard input, and answers with their programs.
 *
 * A request is lines, the last of them `end`:
 *
 *     default 0x00050001          the action word of everything else
 *     arch x86                    one more architecture than this machine's
 *     rule 0x7fff0000 openat 1 4 64 0
 *                                 action, name, then four numbers for each comparison: argument,
 *                                 operator as seccomp.h numbers it, two values
 *     level 2                     the optimisation level
 *     end
 *
 * The answer is a line `ok N` and N instructions of 8 bytes, or a line `refused LINE ERRNO`.
 * A line `number ARCH NAME` is a request of its own, answered by the number.
 */
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what, const char *line)
{
	fprintf(stderr, "%s: %s\n", what, line);
	exit(1);
}

static void answer_number(const char *line)
{
	char arch[64], name[64];

	if (sscanf(line, "number %63s %63s", arch, name) != 2)
		fail("not understood", line);
	printf("%d\n", seccomp_syscall_resolve_name_arch(seccomp_arch_resolve_name(arch), name));
}

/* 0, or what libseccomp says to the rule. */
static int add_rule(scmp_filter_ctx context, const char *line)
{
	struct scmp_arg_cmp comparisons[6];
	char name[64];
	unsigned int action, argument, operator, count = 0;
	unsigned long long first, second;
	int number, used;

	if (sscanf(line, "rule %x %63s%n", &action, name, &used) != 2)
		fail("not understood", line);
	for (line += used; sscanf(line, " %u %u %llu %llu%n", &argument, &operator, &first,
				  &second, &used) == 4; line += used) {
		if (count == 6)
			fail("too many comparisons", line);
		comparisons[count++] = (struct scmp_arg_cmp){ argument, operator, first, second };
	}
	number = seccomp_syscall_resolve_name(name);
	if (number == __NR_SCMP_ERROR)
		fail("no such call", name);
	return seccomp_rule_add_array(context, action, number, count, comparisons);
}

static void export(scmp_filter_ctx context)
{
	FILE *file = tmpfile();
	char buffer[4096];
	size_t length;

	if (!file || seccomp_export_bpf(context, fileno(file)) != 0)
		fail("export", "failed");
	fseek(file, 0, SEEK_END);
	printf("ok %ld\n", ftell(file) / 8);
	rewind(file);
	while ((length = fread(buffer, 1, sizeof(buffer), file)) > 0)
		fwrite(buffer, 1, length, stdout);
	fclose(file);
}

int main(void)
{
	scmp_filter_ctx context = NULL;
	char line[1024], word[64];
	unsigned int number, at = 0;
	int error = 0;

	while (fgets(line, sizeof(line), stdin)) {
		at++;
		if (strncmp(line, "number ", 7) == 0) {
			answer_number(line);
			fflush(stdout);
			at = 0;
		} else if (sscanf(line, "default %x", &number) == 1) {
			context = seccomp_init(number);
			if (!context)
				fail("refused", line);
		} else if (strcmp(line, "end\n") == 0) {
			if (!error)
				export(context);
			fflush(stdout);
			seccomp_release(context);
			context = NULL;
			error = 0;
			at = 0;
		} else if (error) {
			/* What comes after a refusal is of no interest. */
		} else if (sscanf(line, "arch %63s", word) == 1) {
			error = seccomp_arch_add(context, seccomp_arch_resolve_name(word));
		} else if (sscanf(line, "level %u", &number) == 1) {
			error = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, number);
		} else {
			error = add_rule(context, line);
		}
		if (error < 0) {
			printf("refused %u %d\n", at, -error);
			error = 1;
		}
	}
	return 0;
}
