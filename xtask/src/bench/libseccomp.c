/*
 * Builds one filter with libseccomp as often as asked, and says how long that took.
 *
 * Standard input, one command a line:
 *   default ACTION            action of calls that no rule takes, as the kernel's word
 *   arch NAME                 an ABI, in libseccomp's lower-case name
 *   rule NAME ACTION [INDEX OP A B]...   NAME may be a number where there is one ABI
 *   check                     answers `version X.Y.Z`, a line `unknown NAME` for each system call
 *                             that this library has no number for, and `checked`
 *   build LEVEL               builds at CTL_OPTIMIZE LEVEL: `built ADD_NS EXPORT_NS`
 *   export LEVEL FILE         the same, program into FILE: `built ADD_NS EXPORT_NS`
 *
 * A failing call of the library ends the program with its name and status on standard error.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { MAX_RULES = 4096, MAX_ARCHES = 16, MAX_COMPARISONS = 6 };

struct rule {
    char name[64];
    uint32_t action;
    unsigned count;
    struct scmp_arg_cmp comparisons[MAX_COMPARISONS];
};

static struct rule rules[MAX_RULES];
static unsigned rule_count;
static char arches[MAX_ARCHES][32];
static unsigned arch_count;
static uint32_t default_action;

static void fail(const char *what, int status)
{
    fprintf(stderr, "libseccomp driver: %s: %d\n", what, status);
    exit(1);
}

static void must(const char *what, int status)
{
    if (status < 0)
        fail(what, status);
}

static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void read_rule(char *text)
{
    struct rule *rule = &rules[rule_count];
    int used;
    if (rule_count == MAX_RULES)
        fail("too many rules", MAX_RULES);
    if (sscanf(text, "%63s %x%n", rule->name, &rule->action, &used) != 2)
        fail(text, 0);
    text += used;
    unsigned index, op;
    unsigned long long a, b;
    while (sscanf(text, " %u %u %llx %llx%n", &index, &op, &a, &b, &used) == 4) {
        if (rule->count == MAX_COMPARISONS)
            fail("too many comparisons", MAX_COMPARISONS);
        rule->comparisons[rule->count++] =
            (struct scmp_arg_cmp){ .arg = index, .op = op, .datum_a = a, .datum_b = b };
        text += used;
    }
    rule_count++;
}

/* The library's number for what a rule names; __NR_SCMP_ERROR for what it does not know. */
static int number_of(const struct rule *rule)
{
    if (rule->name[0] >= '0' && rule->name[0] <= '9')
        return atoi(rule->name);
    return seccomp_syscall_resolve_name(rule->name);
}

/* What a container runtime does for one container, up to the program in memory. */
static void build(unsigned level, int file)
{
    long long begin = now();
    scmp_filter_ctx filter = seccomp_init(default_action);
    if (!filter)
        fail("seccomp_init", 0);
    must("CTL_OPTIMIZE", seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, level));
    for (unsigned i = 0; i < arch_count; i++) {
        uint32_t token = seccomp_arch_resolve_name(arches[i]);
        if (seccomp_arch_exist(filter, token) != 0)
            must(arches[i], seccomp_arch_add(filter, token));
    }
    for (unsigned i = 0; i < rule_count; i++) {
        int number = number_of(&rules[i]);
        if (number == __NR_SCMP_ERROR)
            continue;
        must(rules[i].name, seccomp_rule_add_array(filter, rules[i].action, number,
                                                   rules[i].count, rules[i].comparisons));
    }
    long long added = now();
    must("seccomp_export_bpf", seccomp_export_bpf(filter, file));
    long long exported = now();
    seccomp_release(filter);
    printf("built %lld %lld\n", added - begin, exported - added);
}

static void check(void)
{
    const struct scmp_version *version = seccomp_version();
    printf("version %u.%u.%u\n", version->major, version->minor, version->micro);
    for (unsigned i = 0; i < rule_count; i++)
        if (number_of(&rules[i]) == __NR_SCMP_ERROR)
            printf("unknown %s\n", rules[i].name);
    puts("checked");
}

int main(void)
{
    char line[4096], path[3072];
    unsigned level;
    int memory = memfd_create("program", MFD_CLOEXEC);
    must("memfd_create", memory);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, "rule ", 5)) {
            read_rule(line + 5);
        } else if (!strncmp(line, "arch ", 5) && arch_count < MAX_ARCHES) {
            snprintf(arches[arch_count++], sizeof arches[0], "%.31s", line + 5);
        } else if (sscanf(line, "default %x", &default_action) == 1) {
            continue;
        } else if (!strcmp(line, "check")) {
            check();
        } else if (sscanf(line, "build %u", &level) == 1) {
            must("ftruncate", ftruncate(memory, 0));
            must("lseek", (int)lseek(memory, 0, SEEK_SET));
            build(level, memory);
        } else if (sscanf(line, "export %u %3071[^\n]", &level, path) == 2) {
            int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
            must(path, file);
            build(level, file);
            close(file);
        } else {
            fail(line, 0);
        }
        fflush(stdout);
    }
    return 0;
}
