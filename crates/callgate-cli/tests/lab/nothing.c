/* Ends; with an argument, waits for a signal instead. Nothing else calls the kernel. */
__asm__(".globl _start\n"
        "_start:\n"
        "    cmpq $1, (%rsp)\n"
        "    je 2f\n"
        "1:  movl $34, %eax\n" /* pause */
        "    syscall\n"
        "    jmp 1b\n"
        "2:  movl $231, %eax\n" /* exit_group */
        "    xorl %edi, %edi\n"
        "    syscall\n");
