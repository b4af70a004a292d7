// seccomp(2): strict mode and filters.
// calls: seccomp, prctl
#include "case.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

// only makes one call number end with an action, and allows the others.
static void only(int nr, uint32_t action)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, action),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof code / sizeof *code, code};
	CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK_OK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog));
}

CASE(seccomp_errno)
{
	only(SYS_getppid, SECCOMP_RET_ERRNO | 77);
	CHECK_ERRNO(syscall(SYS_getppid), 77);
	CHECK_OK(syscall(SYS_getpid));
	CHECK_EQ(prctl(PR_GET_SECCOMP), 2);
}

CASE(seccomp_filters_add_up)
{
	only(SYS_getppid, SECCOMP_RET_ERRNO | 77);
	only(SYS_getuid, SECCOMP_RET_ERRNO | 78);
	CHECK_ERRNO(syscall(SYS_getppid), 77);
	CHECK_ERRNO(syscall(SYS_getuid), 78);
}

CASE(seccomp_kills)
{
	pid_t pid = CHILD
	{
		setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
		only(SYS_getppid, SECCOMP_RET_KILL_PROCESS);
		syscall(SYS_getppid);
	}
	CHECK_KILLED(pid, SIGSYS);
}

static volatile int sig_nr, sig_errno, sig_call;

static void on_sys(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	sig_nr = sig;
	sig_errno = si->si_errno;
	sig_call = si->si_syscall;
}

static siginfo_t sys_info;
static long sys_rax;

static void on_sys_details(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	sys_info = *si;
	sys_rax = ((ucontext_t *)uc)->uc_mcontext.gregs[REG_RAX];
}

CASE(seccomp_traps)
{
	struct sigaction sa = {.sa_sigaction = on_sys, .sa_flags = SA_SIGINFO};
	CHECK_OK(sigaction(SIGSYS, &sa, NULL));
	only(SYS_getppid, SECCOMP_RET_TRAP | 5);
	syscall(SYS_getppid);
	CHECK_EQ(sig_nr, SIGSYS);
	CHECK_EQ(sig_errno, 5);
	CHECK_EQ(sig_call, SYS_getppid);
}

CASE(seccomp_strict)
{
	pid_t pid = CHILD
	{
		CHECK_OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
		write(1, "", 0);
		syscall(SYS_getppid);
	}
	CHECK_KILLED(pid, SIGKILL);
	pid = CHILD
	{
		CHECK_OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
		syscall(SYS_exit, 6);
	}
	CHECK_EXITS(pid, 6);
}

HELPER(call_getppid)
{
	return syscall(SYS_getppid) == -1 && errno == 77 ? 0 : 1;
}

CASE(seccomp_inherited_over_fork_and_exec)
{
	only(SYS_getppid, SECCOMP_RET_ERRNO | 77);
	pid_t pid = CHILD
	{
		case_exec_helper("call_getppid", NULL);
	}
	CHECK_EXITS(pid, 0);
}

CASE(seccomp_argument_is_seen)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_dup, 0, 3),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 55),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof code / sizeof *code, code};
	CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK_OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
	CHECK_ERRNO(dup(1), 55);
	CHECK_OK(dup(0));
}

CASE(seccomp_errors)
{
	struct sock_filter bad[] = {BPF_STMT(0xffff, 0)}, endless[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)};
	struct sock_fprog prog = {1, bad};
	if (geteuid() == 0)
		CHECK_OK(setresuid(1234, 1234, 1234));
	struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog fine = {1, allow};
	CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fine), EACCES);
	CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog), EINVAL);
	prog.filter = endless;
	CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog), EINVAL);
	prog.len = 0;
	CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog), EINVAL);
	CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0x1000, &fine), EINVAL);
	CHECK_ERRNO(syscall(SYS_seccomp, 99, 0, NULL), EINVAL);
	CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, BAD_POINTER), EFAULT);
	uint32_t action = SECCOMP_RET_ERRNO;
	CHECK_OK(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
}

CASE(seccomp_trap_describes_the_call)
{
	struct sigaction sa = {.sa_sigaction = on_sys_details, .sa_flags = SA_SIGINFO};
	CHECK_OK(sigaction(SIGSYS, &sa, NULL));
	only(SYS_getppid, SECCOMP_RET_TRAP);
	long v;
	void *after;
	asm volatile("syscall\n1: lea 1b(%%rip), %1" : "=a"(v), "=&r"(after) : "a"(SYS_getppid) : "rcx", "r11", "memory");
	CHECK_EQ(v, SYS_getppid);
	CHECK_EQ(sys_rax, SYS_getppid);
	CHECK_EQ(sys_info.si_code, 1);
	CHECK_EQ(sys_info.si_arch, AUDIT_ARCH_X86_64);
	CHECK((char *)sys_info.si_call_addr == (char *)after);
}

CASE(seccomp_trap_blocked_kills)
{
	pid_t pid = CHILD
	{
		sigset_t all;
		sigfillset(&all);
		setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
		CHECK_OK(sigprocmask(SIG_BLOCK, &all, NULL));
		only(SYS_getppid, SECCOMP_RET_TRAP);
		syscall(SYS_getppid);
	}
	CHECK_KILLED(pid, SIGSYS);
}

// raw is a system call's result as the kernel gives it.
static long raw(long nr)
{
	long v;
	asm volatile("syscall" : "=a"(v) : "a"(nr) : "rcx", "r11", "memory");
	return v;
}

CASE(seccomp_errno_values)
{
	only(SYS_getppid, SECCOMP_RET_ERRNO);
	only(SYS_getuid, SECCOMP_RET_ERRNO | 5000);
	only(SYS_getgid, SECCOMP_RET_ERRNO | 512);
	CHECK_EQ(raw(SYS_getppid), 0);
	CHECK_EQ(raw(SYS_getuid), -4095);
	CHECK_EQ(raw(SYS_getgid), -512);
}

CASE(seccomp_nobody_to_ask)
{
	only(SYS_getppid, SECCOMP_RET_TRACE | 3);
	only(SYS_getuid, SECCOMP_RET_USER_NOTIF);
	CHECK_ERRNO(syscall(SYS_getppid), ENOSYS);
	CHECK_ERRNO(syscall(SYS_getuid), ENOSYS);
}

CASE(seccomp_log_allows)
{
	only(SYS_getppid, SECCOMP_RET_LOG);
	CHECK_EQ(syscall(SYS_getppid), getppid());
}

CASE(seccomp_strictest_wins)
{
	only(SYS_getppid, SECCOMP_RET_ERRNO | 7);
	only(SYS_getppid, SECCOMP_RET_TRACE);
	CHECK_ERRNO(syscall(SYS_getppid), 7);
	only(SYS_getppid, SECCOMP_RET_ERRNO | 9);
	CHECK_ERRNO(syscall(SYS_getppid), 9);
	pid_t pid = CHILD
	{
		setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
		only(SYS_getppid, 0x12340000);
		only(SYS_getppid, SECCOMP_RET_KILL_THREAD);
		only(SYS_getppid, SECCOMP_RET_TRAP);
		syscall(SYS_getppid);
	}
	CHECK_KILLED(pid, SIGSYS);
}

CASE(seccomp_unknown_action_kills)
{
	pid_t pid = CHILD
	{
		setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
		only(SYS_getppid, 0x12340000);
		syscall(SYS_getppid);
	}
	CHECK_KILLED(pid, SIGSYS);
}

static void *die(void *unused)
{
	(void)unused;
	only(SYS_getppid, SECCOMP_RET_KILL_THREAD);
	syscall(SYS_getppid);
	_exit(9);
}

CASE(seccomp_kills_one_thread)
{
	pid_t pid = CHILD
	{
		pthread_t t;
		CHECK_THREAD(pthread_create(&t, NULL, die, NULL));
		CHECK_THREAD(pthread_join(t, NULL));
		CHECK(syscall(SYS_getppid) > 0);
		_exit(4);
	}
	CHECK_EXITS(pid, 4);
}

static pthread_barrier_t barrier;

static long add(unsigned flags, int nr, uint32_t action)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, action),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof code / sizeof *code, code};
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}

static void *is_synchronized(void *unused)
{
	(void)unused;
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	CHECK_ERRNO(syscall(SYS_getppid), 77);
	CHECK_EQ(prctl(PR_GET_SECCOMP), 2);
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	return NULL;
}

CASE(seccomp_tsync)
{
	pthread_t t;
	pthread_barrier_init(&barrier, NULL, 2);
	CHECK_THREAD(pthread_create(&t, NULL, is_synchronized, NULL));
	pthread_barrier_wait(&barrier);
	CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK_EQ(add(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW, SYS_getppid,
		     SECCOMP_RET_ERRNO | 77), 0);
	pthread_barrier_wait(&barrier);
	CHECK_THREAD(pthread_join(t, NULL));
}

static volatile pid_t other;

static void *differs(void *unused)
{
	(void)unused;
	other = syscall(SYS_gettid);
	only(SYS_getuid, SECCOMP_RET_ERRNO | 78);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	CHECK(syscall(SYS_getppid) > 0);
	return NULL;
}

CASE(seccomp_tsync_prevented)
{
	pthread_t t;
	pthread_barrier_init(&barrier, NULL, 2);
	CHECK_THREAD(pthread_create(&t, NULL, differs, NULL));
	pthread_barrier_wait(&barrier);
	CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK_EQ(add(SECCOMP_FILTER_FLAG_TSYNC, SYS_getppid, SECCOMP_RET_ERRNO | 77), other);
	CHECK_ERRNO(add(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH, SYS_getppid, SECCOMP_RET_ERRNO | 77), ESRCH);
	CHECK(syscall(SYS_getppid) > 0);
	CHECK_EQ(prctl(PR_GET_SECCOMP), 0);
	pthread_barrier_wait(&barrier);
	CHECK_THREAD(pthread_join(t, NULL));
}

CASE(seccomp_modes_exclude)
{
	only(SYS_getppid, SECCOMP_RET_ERRNO | 77);
	CHECK_ERRNO(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT), EINVAL);
	CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL), EINVAL);
	CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL), EINVAL);
	CHECK_ERRNO(prctl(PR_SET_SECCOMP, 3), EINVAL);
}

CASE(seccomp_questions)
{
	uint32_t known[] = {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO,
			    SECCOMP_RET_USER_NOTIF, SECCOMP_RET_TRACE, SECCOMP_RET_LOG, SECCOMP_RET_ALLOW};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		CHECK_OK(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &known[i]));
	uint32_t unknown = SECCOMP_RET_ERRNO | 1;
	CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &unknown), EOPNOTSUPP);
	CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 1, known), EINVAL);
	CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, BAD_POINTER), EFAULT);
	struct seccomp_notif_sizes sizes;
	CHECK_OK(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes));
	CHECK_EQ(sizes.seccomp_notif, sizeof(struct seccomp_notif));
	CHECK_EQ(sizes.seccomp_notif_resp, sizeof(struct seccomp_notif_resp));
	CHECK_EQ(sizes.seccomp_data, sizeof(struct seccomp_data));
	CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, BAD_POINTER), EFAULT);
}

CASE(seccomp_too_much)
{
	static struct sock_filter code[4097];
	for (size_t i = 0; i < 4097; i++)
		code[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = {4097, code};
	CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog), EINVAL);
	prog.len = 4096;
	int i;
	for (i = 0; i < 9; i++)
		if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) != 0)
			break;
	CHECK_EQ(errno, ENOMEM);
	CHECK(i > 0 && i < 8);
}

// status returns a field of /proc/self/status.
static int status(const char *name)
{
	char line[256];
	int v = -1;
	FILE *f = fopen("/proc/self/status", "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f))
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			v = atoi(line + strlen(name) + 1);
	fclose(f);
	return v;
}

CASE(seccomp_status)
{
	int before = status("Seccomp_filters");
	only(SYS_getppid, SECCOMP_RET_ERRNO | 77);
	only(SYS_getppid, SECCOMP_RET_ERRNO | 78);
	CHECK_EQ(status("Seccomp"), 2);
	CHECK_EQ(status("Seccomp_filters"), before + 2);
}

CASE(seccomp_sees_the_instruction_pointer)
{
	void *after;
	asm volatile("lea after_getppid(%%rip), %0" : "=r"(after));
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(uintptr_t)after, 0, 3),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)((uintptr_t)after >> 32), 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 55),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof code / sizeof *code, code};
	CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK_OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
	CHECK(syscall(SYS_getppid) > 0);
	long v;
	asm volatile("syscall\nafter_getppid:" : "=a"(v) : "a"(SYS_getppid) : "rcx", "r11", "memory");
	CHECK_EQ(v, -55);
}
