/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * void fiber_switch(void **save, void *load): pushes the registers that the calling convention lets a function keep, leaves the
 * stack pointer in *save, continues on stack `load`. The floating-point control words are the same in all of this program's
 * code and are not switched. void fiber_boot(void): where a new stack begins; calls entry(fiber) as fiber.c laid them out.
 */
#if defined(__x86_64__)

    .text
    .globl fiber_switch
    .hidden fiber_switch
    .type fiber_switch, @function
fiber_switch:
    .cfi_startproc
    endbr64
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .cfi_endproc
    .size fiber_switch, .-fiber_switch

    .globl fiber_boot
    .hidden fiber_boot
    .type fiber_boot, @function
fiber_boot:
    .cfi_startproc
    .cfi_undefined rip
    endbr64
    subq $8, %rsp
    movq %r12, %rdi
    callq *%r13
    ud2
    .cfi_endproc
    .size fiber_boot, .-fiber_boot

#elif defined(__aarch64__)

    .text
    .globl fiber_switch
    .hidden fiber_switch
    .type fiber_switch, %function
fiber_switch:
    .cfi_startproc
    hint #34
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x2, sp
    str x2, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
    .cfi_endproc
    .size fiber_switch, .-fiber_switch

    .globl fiber_boot
    .hidden fiber_boot
    .type fiber_boot, %function
fiber_boot:
    .cfi_startproc
    .cfi_undefined x30
    hint #36
    mov x0, x19
    blr x20
    brk #1
    .cfi_endproc
    .size fiber_boot, .-fiber_boot

#else
#error "fiber_switch is written for x86-64 and aarch64"
#endif

    .section .note.GNU-stack, "", %progbits
