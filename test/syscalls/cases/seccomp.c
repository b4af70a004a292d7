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
