// clone(2), clone3(2), unshare(2): what is shared, and what is refused.
// calls: clone, clone3, unshare, setns, kcmp, set_tid_address
#include "case.h"
#include <linux/sched.h>

static char stack[65536] __attribute__((aligned(16)));
static volatile int shared;

static int sets_shared(void *arg)
{
	shared = (int)(long)arg;
	return 5;
}

static pid_t start(int flags)
{
	return clone(sets_shared, stack + sizeof stack, flags, (void *)42L);
}

CASE(clone_vm_shares_memory)
{
	pid_t pid = CHECK_OK(start(CLONE_VM | SIGCHLD));
	CHECK_EXITS(pid, 5);
	CHECK_EQ(shared, 42);
}

CASE(clone_plain_copies_memory)
{
	pid_t pid = CHECK_OK(start(SIGCHLD));
	CHECK_EXITS(pid, 5);
	CHECK_EQ(shared, 0);
}

static int closes_three(void *arg)
{
	(void)arg;
	close(3);
	return 0;
}

CASE(clone_files_shares_table)
{
	CHECK_EQ(dup(0), 3);
	pid_t pid = CHECK_OK(clone(closes_three, stack + sizeof stack, CLONE_FILES | SIGCHLD, NULL));
	CHECK_EXITS(pid, 0);
	CHECK_ERRNO(fcntl(3, F_GETFD), EBADF);
}

static int changes_dir(void *arg)
{
	(void)arg;
	umask(0123);
	return chdir("d");
}

CASE(clone_fs_shares_directory_and_umask)
{
	CHECK_OK(mkdir("d", 0755));
	pid_t pid = CHECK_OK(clone(changes_dir, stack + sizeof stack, CLONE_FS | SIGCHLD, NULL));
	CHECK_EXITS(pid, 0);
	CHECK_EQ(umask(0), 0123);
	CHECK_ERRNO(access("d", F_OK), ENOENT);
}

static void on_signal(int sig)
{
	(void)sig;
}

static int sets_handler(void *arg)
{
	(void)arg;
	signal(SIGUSR1, on_signal);
	return 0;
}

CASE(clone_sighand_shares_handlers)
{
	pid_t pid = CHECK_OK(clone(sets_handler, stack + sizeof stack, CLONE_VM | CLONE_SIGHAND | SIGCHLD, NULL));
	CHECK_EXITS(pid, 0);
	struct sigaction sa;
	CHECK_OK(sigaction(SIGUSR1, NULL, &sa));
	CHECK(sa.sa_handler == on_signal);
}

CASE(clone_clear_sighand)
{
	signal(SIGUSR1, on_signal);
	signal(SIGUSR2, SIG_IGN);
	struct clone_args a = {.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
	pid_t pid = syscall(SYS_clone3, &a, sizeof a);
	if (pid == 0) {
		struct sigaction x, y;
		sigaction(SIGUSR1, NULL, &x);
		sigaction(SIGUSR2, NULL, &y);
		_exit(x.sa_handler == SIG_DFL && y.sa_handler == SIG_IGN ? 0 : 1);
	}
	CHECK(pid > 0);
	CHECK_EXITS(pid, 0);
}

CASE(clone_parent_makes_sibling)
{
	pid_t pid = CHILD
	{
		pid_t sibling = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
		if (sibling == 0)
			_exit(9);
		CHECK_ERRNO(waitpid(sibling, NULL, 0), ECHILD);
	}
	CHECK_EXITS(pid, 0);
	int st;
	CHECK(wait(&st) > 0);
	CHECK_EQ(WEXITSTATUS(st), 9);
}

CASE(clone_invalid_combinations)
{
	CHECK_ERRNO(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_clone, CLONE_NEWNS | CLONE_FS, 0, 0, 0, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID, 0, &shared, 0, 0), EINVAL);
}

CASE(clone3_errors)
{
	struct clone_args a = {.exit_signal = 99};
	CHECK_ERRNO(syscall(SYS_clone3, &a, sizeof a), EINVAL);
	a.exit_signal = SIGCHLD;
	CHECK_ERRNO(syscall(SYS_clone3, &a, 8), EINVAL);
	CHECK_ERRNO(syscall(SYS_clone3, BAD_POINTER, sizeof a), EFAULT);
	a.stack = 0x1000;
	CHECK_ERRNO(syscall(SYS_clone3, &a, sizeof a), EINVAL);
	a.stack = 0;
	a.flags = CLONE_DETACHED;
	CHECK_ERRNO(syscall(SYS_clone3, &a, sizeof a), EINVAL);
	char big[200] = {0};
	a.flags = 0;
	memcpy(big, &a, sizeof a);
	big[150] = 1;
	CHECK_ERRNO(syscall(SYS_clone3, big, sizeof big), E2BIG);
}

CASE(clone3_parent_tid)
{
	pid_t tid = 0;
	struct clone_args a = {.flags = CLONE_PARENT_SETTID, .exit_signal = SIGCHLD, .parent_tid = (uintptr_t)&tid};
	pid_t pid = syscall(SYS_clone3, &a, sizeof a);
	if (pid == 0)
		_exit(0);
	CHECK(pid > 0);
	CHECK_EQ(tid, pid);
	CHECK_EXITS(pid, 0);
}

CASE(clone_child_settid)
{
	static pid_t tid;
	pid_t pid = syscall(SYS_clone, CLONE_CHILD_SETTID | SIGCHLD, 0, 0, &tid, 0);
	if (pid == 0)
		_exit(tid == getpid() ? 0 : 1);
	CHECK_EXITS(pid, 0);
	CHECK_EQ(tid, 0);
}

static int ends(void *arg)
{
	(void)arg;
	return 0;
}

static volatile int usr1;

static void on_usr1(int sig)
{
	usr1 = sig;
}

CASE(clone_exit_signal_is_sent)
{
	signal(SIGUSR1, on_usr1);
	pid_t pid = CHECK_OK(clone(ends, stack + sizeof stack, SIGUSR1, NULL));
	int st;
	while (waitpid(pid, &st, __WALL) < 0)
		CHECK_EQ(errno, EINTR);
	CHECK_EQ(usr1, SIGUSR1);
}

CASE(unshare_errors)
{
	CHECK_ERRNO(unshare(0x1), EINVAL);
	CHECK_OK(unshare(0));
	CHECK_OK(unshare(CLONE_FILES | CLONE_FS));
	if (geteuid() == 0)
		CHECK_OK(setresuid(1234, 1234, 1234));
	CHECK_ERRNO(unshare(CLONE_NEWUTS), EPERM);
}

CASE(kcmp_compares)
{
	int fd = CHECK_OK(dup(1));
	int r = syscall(SYS_kcmp, getpid(), getpid(), 0, 1, fd);
	if (r < 0 && (errno == ENOSYS || errno == EPERM))
		SKIP("no kcmp on this kernel");
	CHECK_EQ(r, 0);
	int other = CHECK_OK(open("/dev/null", O_RDONLY));
	CHECK(syscall(SYS_kcmp, getpid(), getpid(), 0, 1, other) > 0);
	CHECK_ERRNO(syscall(SYS_kcmp, getpid(), getpid(), 0, 1, 99), EBADF);
}
