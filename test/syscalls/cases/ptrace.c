// ptrace(2) as debuggers and strace use it.
// calls: ptrace
#include "case.h"
#include <sys/ptrace.h>
#include <sys/user.h>

static long trace(int op, pid_t pid, long addr, long data)
{
	return ptrace((enum __ptrace_request)op, pid, addr, data);
}

static int wait_stop(pid_t pid)
{
	int st;
	CHECK_EQ(waitpid(pid, &st, __WALL), pid);
	if (!WIFSTOPPED(st))
		FAIL("expected a stop, got wait status %#x", st);
	return st >> 8;
}

CASE(ptrace_traceme_stops_on_signal)
{
	pid_t pid = CHILD
	{
		CHECK_OK(trace(PTRACE_TRACEME, 0, 0, 0));
		raise(SIGUSR1);
		_exit(3);
	}
	CHECK_EQ(wait_stop(pid), SIGUSR1);
	case_wait_state(pid, "t");
	// Continue without the signal.
	CHECK_OK(trace(PTRACE_CONT, pid, 0, 0));
	CHECK_EXITS(pid, 3);
}

CASE(ptrace_delivers_signal)
{
	pid_t pid = CHILD
	{
		CHECK_OK(trace(PTRACE_TRACEME, 0, 0, 0));
		raise(SIGUSR1);
		_exit(3);
	}
	CHECK_EQ(wait_stop(pid), SIGUSR1);
	CHECK_OK(trace(PTRACE_CONT, pid, 0, SIGUSR2));
	CHECK_KILLED(pid, SIGUSR2);
}

static volatile long word = 0x1234567890abcdef;

CASE(ptrace_peek_poke_and_registers)
{
	pid_t pid = CHILD
	{
		CHECK_OK(trace(PTRACE_TRACEME, 0, 0, 0));
		raise(SIGSTOP);
		_exit(word == 77 ? 5 : 6);
	}
	CHECK_EQ(wait_stop(pid), SIGSTOP);
	CHECK_EQ(trace(PTRACE_PEEKDATA, pid, (long)&word, 0), 0x1234567890abcdef);
	CHECK_OK(trace(PTRACE_POKEDATA, pid, (long)&word, 77));
	struct user_regs_struct regs;
	CHECK_OK(trace(PTRACE_GETREGS, pid, 0, (long)&regs));
	CHECK(regs.rsp != 0 && regs.rip != 0);
	CHECK_EQ(regs.cs, 0x33);
	CHECK_EQ(trace(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rip), 0), regs.rip);
	CHECK_OK(trace(PTRACE_SETREGS, pid, 0, (long)&regs));
	CHECK_ERRNO(trace(PTRACE_PEEKDATA, pid, 8, 0), EIO);
	CHECK_OK(trace(PTRACE_CONT, pid, 0, 0));
	CHECK_EXITS(pid, 5);
}

HELPER(exit_four)
{
	return 4;
}

CASE(ptrace_stops_at_exec)
{
	pid_t pid = CHILD
	{
		CHECK_OK(trace(PTRACE_TRACEME, 0, 0, 0));
		case_exec_helper("exit_four", NULL);
	}
	CHECK_EQ(wait_stop(pid), SIGTRAP);
	CHECK_OK(trace(PTRACE_CONT, pid, 0, 0));
	CHECK_EXITS(pid, 4);
}

CASE(ptrace_system_call_stops)
{
	pid_t pid = CHILD
	{
		CHECK_OK(trace(PTRACE_TRACEME, 0, 0, 0));
		raise(SIGSTOP);
		syscall(SYS_getppid);
		_exit(9);
	}
	CHECK_EQ(wait_stop(pid), SIGSTOP);
	CHECK_OK(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
	struct user_regs_struct regs;
	int seen = 0;
	for (int i = 0; i < 100; i++) {
		CHECK_OK(trace(PTRACE_SYSCALL, pid, 0, 0));
		int st;
		CHECK_EQ(waitpid(pid, &st, 0), pid);
		if (WIFEXITED(st)) {
			CHECK_EQ(WEXITSTATUS(st), 9);
			CHECK(seen >= 2);
			return;
		}
		CHECK_EQ(WSTOPSIG(st), SIGTRAP | 0x80);
		CHECK_OK(trace(PTRACE_GETREGS, pid, 0, (long)&regs));
		if (regs.orig_rax == SYS_getppid) {
			seen++;
			if (seen == 2)
				CHECK_EQ(regs.rax, getpid());
		}
	}
	FAIL("it never ended");
}

CASE(ptrace_attach_and_detach)
{
	pid_t pid = CHILD
	{
		for (;;)
			pause();
	}
	CHECK_OK(trace(PTRACE_ATTACH, pid, 0, 0));
	CHECK_EQ(wait_stop(pid), SIGSTOP);
	CHECK_OK(trace(PTRACE_DETACH, pid, 0, 0));
	case_wait_state(pid, "S");
	kill(pid, SIGTERM);
	CHECK_KILLED(pid, SIGTERM);
}

CASE(ptrace_seize_and_interrupt)
{
	pid_t pid = CHILD
	{
		for (;;)
			pause();
	}
	CHECK_OK(trace(PTRACE_SEIZE, pid, 0, 0));
	CHECK_OK(trace(PTRACE_INTERRUPT, pid, 0, 0));
	CHECK_EQ(wait_stop(pid), SIGTRAP | PTRACE_EVENT_STOP << 8);
	CHECK_OK(trace(PTRACE_DETACH, pid, 0, 0));
	kill(pid, SIGKILL);
	CHECK_KILLED(pid, SIGKILL);
}

CASE(ptrace_follows_fork)
{
	pid_t pid = CHILD
	{
		CHECK_OK(trace(PTRACE_TRACEME, 0, 0, 0));
		raise(SIGSTOP);
		pid_t child = fork();
		if (child == 0)
			_exit(0);
		waitpid(child, NULL, 0);
		_exit(0);
	}
	CHECK_EQ(wait_stop(pid), SIGSTOP);
	CHECK_OK(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL));
	CHECK_OK(trace(PTRACE_CONT, pid, 0, 0));
	int ev = wait_stop(pid);
	CHECK(ev == (SIGTRAP | PTRACE_EVENT_FORK << 8) || ev == (SIGTRAP | PTRACE_EVENT_CLONE << 8));
	unsigned long child = 0;
	CHECK_OK(trace(PTRACE_GETEVENTMSG, pid, 0, (long)&child));
	CHECK_EQ(wait_stop(child), SIGSTOP);
	CHECK_OK(trace(PTRACE_CONT, child, 0, 0));
	CHECK_OK(trace(PTRACE_CONT, pid, 0, 0));
	int st;
	CHECK_EQ(waitpid(child, &st, __WALL), (pid_t)child);
	// SIGCHLD stops the tracee on its way.
	while (waitpid(pid, &st, __WALL) == pid && WIFSTOPPED(st))
		CHECK_OK(trace(PTRACE_CONT, pid, 0, WSTOPSIG(st)));
	CHECK_EQ(st, 0);
}

CASE(ptrace_single_step)
{
	pid_t pid = CHILD
	{
		CHECK_OK(trace(PTRACE_TRACEME, 0, 0, 0));
		raise(SIGSTOP);
		_exit(2);
	}
	CHECK_EQ(wait_stop(pid), SIGSTOP);
	struct user_regs_struct a, b;
	CHECK_OK(trace(PTRACE_GETREGS, pid, 0, (long)&a));
	CHECK_OK(trace(PTRACE_SINGLESTEP, pid, 0, 0));
	CHECK_EQ(wait_stop(pid), SIGTRAP);
	CHECK_OK(trace(PTRACE_GETREGS, pid, 0, (long)&b));
	CHECK(a.rip != b.rip);
	CHECK_OK(trace(PTRACE_CONT, pid, 0, 0));
	CHECK_EXITS(pid, 2);
}

CASE(ptrace_errors)
{
	CHECK_ERRNO(trace(PTRACE_ATTACH, 4000000, 0, 0), ESRCH);
	CHECK_ERRNO(trace(PTRACE_ATTACH, getpid(), 0, 0), EPERM);
	CHECK_ERRNO(trace(PTRACE_CONT, getppid(), 0, 0), ESRCH);
	pid_t pid = CHILD
	{
		for (;;)
			pause();
	}
	CHECK_ERRNO(trace(PTRACE_CONT, pid, 0, 0), ESRCH);
	CHECK_ERRNO(trace(9999, pid, 0, 0), ESRCH);
	kill(pid, SIGKILL);
}
