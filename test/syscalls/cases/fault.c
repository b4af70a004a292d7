// Signals the processor causes: SIGSEGV, SIGBUS, SIGFPE, SIGTRAP, SIGILL.
// calls: rt_sigaction, rt_sigreturn, mprotect, sigaltstack
#include "case.h"
#include <setjmp.h>
#include <ucontext.h>

static sigjmp_buf back;
static volatile siginfo_t info;
static volatile greg_t trap_no, err, cr2;

static void jump(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	memcpy((void *)&info, si, sizeof *si);
	trap_no = uc->uc_mcontext.gregs[REG_TRAPNO];
	err = uc->uc_mcontext.gregs[REG_ERR];
	cr2 = uc->uc_mcontext.gregs[REG_CR2];
	siglongjmp(back, sig);
}

static void catch(int sig)
{
	struct sigaction sa = {.sa_sigaction = jump, .sa_flags = SA_SIGINFO};
	CHECK_OK(sigaction(sig, &sa, NULL));
}

CASE(fault_unmapped_read)
{
	catch(SIGSEGV);
	if (!sigsetjmp(back, 1)) {
		(void)*(volatile char *)0x123000;
		FAIL("no fault");
	}
	CHECK_EQ(info.si_signo, SIGSEGV);
	CHECK_EQ(info.si_code, SEGV_MAPERR);
	CHECK_EQ((long)info.si_addr, 0x123000);
	CHECK_EQ(trap_no, 14);
	CHECK_EQ(cr2, 0x123000);
	CHECK_EQ(err & 7, 4);
}

CASE(fault_write_to_read_only)
{
	char *m = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	catch(SIGSEGV);
	if (!sigsetjmp(back, 1)) {
		*(volatile char *)(m + 5) = 1;
		FAIL("no fault");
	}
	CHECK_EQ(info.si_code, SEGV_ACCERR);
	CHECK_EQ((long)info.si_addr, (long)m + 5);
	CHECK_EQ(err & 6, 6);
}

CASE(fault_read_of_prot_none)
{
	char *m = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	catch(SIGSEGV);
	if (!sigsetjmp(back, 1)) {
		(void)*(volatile char *)m;
		FAIL("no fault");
	}
	CHECK_EQ(info.si_code, SEGV_ACCERR);
}

CASE(fault_execute_of_data)
{
	char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	m[0] = 0xc3;
	catch(SIGSEGV);
	if (!sigsetjmp(back, 1)) {
		((void (*)(void))m)();
		FAIL("no fault");
	}
	CHECK_EQ(info.si_code, SEGV_ACCERR);
	CHECK_EQ((long)info.si_addr, (long)m);
}

CASE(fault_non_canonical)
{
	catch(SIGSEGV);
	if (!sigsetjmp(back, 1)) {
		(void)*(volatile char *)0x8000000000000000;
		FAIL("no fault");
	}
	CHECK_EQ(info.si_code, SI_KERNEL);
	CHECK_EQ((long)info.si_addr, 0);
	CHECK_EQ(trap_no, 13);
}

CASE(fault_beyond_end_of_file)
{
	case_write_file("f", "abc");
	int fd = CHECK_OK(open("f", O_RDONLY));
	char *m = mmap(0, 8192, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(m != MAP_FAILED);
	CHECK_EQ(m[2], 'c');
	CHECK_EQ(m[3], 0);
	CHECK_EQ(m[4095], 0);
	catch(SIGBUS);
	if (!sigsetjmp(back, 1)) {
		(void)*(volatile char *)(m + 4096);
		FAIL("no fault");
	}
	CHECK_EQ(info.si_code, BUS_ADRERR);
	CHECK_EQ((long)info.si_addr, (long)m + 4096);
}

CASE(fault_divide_by_zero)
{
	catch(SIGFPE);
	if (!sigsetjmp(back, 1)) {
		asm volatile("xor %%ecx, %%ecx; mov $1, %%eax; cdq; idiv %%ecx" ::: "eax", "ecx", "edx");
		FAIL("no fault");
	}
	CHECK_EQ(info.si_code, FPE_INTDIV);
	CHECK_EQ(trap_no, 0);
}

CASE(fault_breakpoint)
{
	catch(SIGTRAP);
	if (!sigsetjmp(back, 1)) {
		asm volatile("int3");
		FAIL("no fault");
	}
	CHECK_EQ(info.si_code, SI_KERNEL);
	CHECK_EQ(trap_no, 3);
}

CASE(fault_illegal_instruction)
{
	catch(SIGILL);
	if (!sigsetjmp(back, 1)) {
		asm volatile("ud2");
		FAIL("no fault");
	}
	CHECK_EQ(info.si_code, ILL_ILLOPN);
	CHECK_EQ(trap_no, 6);
}

CASE(fault_privileged_instruction)
{
	catch(SIGSEGV);
	if (!sigsetjmp(back, 1)) {
		asm volatile("hlt");
		FAIL("no fault");
	}
	CHECK_EQ(info.si_code, SI_KERNEL);
}

CASE(fault_kills_by_default)
{
	struct rlimit rl = {0, 0};
	setrlimit(RLIMIT_CORE, &rl);
	pid_t pid = CHILD
	{
		*(volatile char *)0 = 1;
	}
	CHECK_KILLED(pid, SIGSEGV);
}

CASE(fault_blocked_kills)
{
	struct rlimit rl = {0, 0};
	setrlimit(RLIMIT_CORE, &rl);
	pid_t pid = CHILD
	{
		catch(SIGSEGV);
		sigset_t s;
		sigfillset(&s);
		sigprocmask(SIG_SETMASK, &s, NULL);
		if (!sigsetjmp(back, 1))
			*(volatile char *)0 = 1;
	}
	CHECK_KILLED(pid, SIGSEGV);
}

CASE(fault_ignored_kills)
{
	struct rlimit rl = {0, 0};
	setrlimit(RLIMIT_CORE, &rl);
	pid_t pid = CHILD
	{
		signal(SIGSEGV, SIG_IGN);
		*(volatile char *)0 = 1;
	}
	CHECK_KILLED(pid, SIGSEGV);
}

static char *page;

static void unprotect(int sig, siginfo_t *si, void *ctx)
{
	(void)sig;
	(void)si;
	(void)ctx;
	mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

CASE(fault_repaired_by_handler)
{
	page = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sigaction sa = {.sa_sigaction = unprotect, .sa_flags = SA_SIGINFO};
	CHECK_OK(sigaction(SIGSEGV, &sa, NULL));
	*(volatile char *)page = 5;
	CHECK_EQ(page[0], 5);
}

// The alternate stack.

static volatile char *handler_sp;
static volatile stack_t seen;

static void where(int sig)
{
	(void)sig;
	char here;
	handler_sp = &here;
	sigaltstack(NULL, (stack_t *)&seen);
}

CASE(altstack_is_used)
{
	size_t size = 65536;
	char *s = malloc(size);
	stack_t ss = {.ss_sp = s, .ss_size = size}, old;
	CHECK_OK(sigaltstack(&ss, &old));
	CHECK_EQ(old.ss_flags, SS_DISABLE);
	struct sigaction sa = {.sa_handler = where, .sa_flags = SA_ONSTACK};
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	CHECK(handler_sp >= s && handler_sp < s + size);
	CHECK_EQ(seen.ss_flags, SS_ONSTACK);
	CHECK_OK(sigaltstack(NULL, &old));
	CHECK_EQ(old.ss_flags, 0);
	CHECK(old.ss_sp == s);
	CHECK_EQ(old.ss_size, size);
}

CASE(altstack_not_used_without_flag)
{
	size_t size = 65536;
	char *s = malloc(size);
	stack_t ss = {.ss_sp = s, .ss_size = size};
	CHECK_OK(sigaltstack(&ss, NULL));
	struct sigaction sa = {.sa_handler = where};
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	CHECK(!(handler_sp >= s && handler_sp < s + size));
}

CASE(altstack_errors)
{
	stack_t ss = {.ss_sp = malloc(65536), .ss_size = 1024};
	CHECK_ERRNO(syscall(SYS_sigaltstack, &ss, NULL), ENOMEM);
	ss.ss_size = 65536;
	ss.ss_flags = 0x40;
	CHECK_ERRNO(syscall(SYS_sigaltstack, &ss, NULL), EINVAL);
	CHECK_ERRNO(syscall(SYS_sigaltstack, BAD_POINTER, NULL), EFAULT);
	CHECK_ERRNO(syscall(SYS_sigaltstack, NULL, BAD_POINTER), EFAULT);
}

static volatile int change_errno;

static void changes_stack(int sig)
{
	(void)sig;
	stack_t ss = {.ss_flags = SS_DISABLE};
	change_errno = sigaltstack(&ss, NULL) == 0 ? 0 : errno;
}

CASE(altstack_cannot_change_while_on_it)
{
	stack_t ss = {.ss_sp = malloc(65536), .ss_size = 65536};
	CHECK_OK(sigaltstack(&ss, NULL));
	struct sigaction sa = {.sa_handler = changes_stack, .sa_flags = SA_ONSTACK};
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	CHECK_EQ(change_errno, EPERM);
}

CASE(altstack_disable)
{
	stack_t ss = {.ss_sp = malloc(65536), .ss_size = 65536}, off = {.ss_flags = SS_DISABLE}, old;
	CHECK_OK(sigaltstack(&ss, NULL));
	CHECK_OK(sigaltstack(&off, NULL));
	CHECK_OK(sigaltstack(NULL, &old));
	CHECK_EQ(old.ss_flags, SS_DISABLE);
}

CASE(altstack_saves_from_stack_overflow)
{
	struct rlimit rl = {0, 0};
	setrlimit(RLIMIT_CORE, &rl);
	stack_t ss = {.ss_sp = malloc(65536), .ss_size = 65536};
	CHECK_OK(sigaltstack(&ss, NULL));
	struct sigaction sa = {.sa_sigaction = jump, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	CHECK_OK(sigaction(SIGSEGV, &sa, NULL));
	if (!sigsetjmp(back, 1)) {
		// As a runaway recursion would, without the compiler seeing it.
		asm volatile("1: push %rax; jmp 1b");
	}
	CHECK_EQ(info.si_signo, SIGSEGV);
	char here;
	CHECK((char *)info.si_addr < &here);
}

CASE(altstack_overflow_without_it_kills)
{
	struct rlimit rl = {0, 0};
	setrlimit(RLIMIT_CORE, &rl);
	pid_t pid = CHILD
	{
		struct sigaction sa = {.sa_sigaction = jump, .sa_flags = SA_SIGINFO};
		sigaction(SIGSEGV, &sa, NULL);
		asm volatile("1: push %rax; jmp 1b");
	}
	CHECK_KILLED(pid, SIGSEGV);
}

static void *has_none(void *arg)
{
	stack_t ss;
	sigaltstack(NULL, &ss);
	*(int *)arg = ss.ss_flags;
	return NULL;
}

CASE(altstack_is_per_thread)
{
	stack_t ss = {.ss_sp = malloc(65536), .ss_size = 65536};
	CHECK_OK(sigaltstack(&ss, NULL));
	int flags = -1;
	pthread_t t;
	CHECK_THREAD(pthread_create(&t, NULL, has_none, &flags));
	CHECK_THREAD(pthread_join(t, NULL));
	CHECK_EQ(flags, SS_DISABLE);
}

CASE(altstack_autodisarm)
{
	stack_t ss = {.ss_sp = malloc(65536), .ss_size = 65536, .ss_flags = (int)(1U << 31)}, old;
	CHECK_OK(sigaltstack(&ss, NULL));
	struct sigaction sa = {.sa_handler = where, .sa_flags = SA_ONSTACK};
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	CHECK_EQ(seen.ss_flags, SS_DISABLE);
	CHECK_OK(sigaltstack(NULL, &old));
	CHECK_EQ(old.ss_flags, (int)(1U << 31));
	CHECK(old.ss_sp == ss.ss_sp);
}
