// wait4(2), waitid(2): states, options, whom one may wait for.
// calls: wait4, waitid
#include "case.h"

CASE(wait_without_children)
{
	CHECK_ERRNO(wait(NULL), ECHILD);
	siginfo_t si;
	CHECK_ERRNO(waitid(P_ALL, 0, &si, WEXITED), ECHILD);
}

CASE(wait_for_a_stranger)
{
	CHECK_ERRNO(waitpid(1, NULL, 0), ECHILD);
	CHECK_ERRNO(waitpid(getpid(), NULL, 0), ECHILD);
	CHECK_ERRNO(waitpid(getppid(), NULL, 0), ECHILD);
}

CASE(wait4_bad_options)
{
	CHECK_ERRNO(waitpid(-1, NULL, 0x100), EINVAL);
}

CASE(wait4_intmin)
{
	CHECK_ERRNO(waitpid(INT_MIN, NULL, 0), ESRCH);
}

CASE(waitid_bad_options)
{
	siginfo_t si;
	CHECK_ERRNO(waitid(P_ALL, 0, &si, 0), EINVAL);
	CHECK_ERRNO(waitid(P_ALL, 0, &si, WNOHANG), EINVAL);
	CHECK_ERRNO(waitid(P_ALL, 0, &si, WEXITED | 0x100), EINVAL);
	CHECK_ERRNO(waitid(99, 0, &si, WEXITED), EINVAL);
	CHECK_ERRNO(waitid(P_PID, 0, &si, WEXITED), EINVAL);
}

CASE(wait_reports_exit)
{
	int st;
	pid_t pid = CHILD
	{
		_exit(5);
	}
	CHECK_EQ(wait(&st), pid);
	CHECK_EQ(st, 5 << 8);
	CHECK_ERRNO(wait(&st), ECHILD);
}

CASE(wait_reports_signal)
{
	int st;
	pid_t pid = CHILD
	{
		raise(SIGKILL);
	}
	CHECK_EQ(waitpid(pid, &st, 0), pid);
	CHECK_EQ(st, SIGKILL);
}

CASE(wait_nohang)
{
	int go[2], st = 77;
	char c;
	CHECK_OK(pipe(go));
	pid_t pid = CHILD
	{
		CHECK_EQ(read(go[0], &c, 1), 1);
	}
	CHECK_EQ(waitpid(pid, &st, WNOHANG), 0);
	CHECK_EQ(st, 77);
	CHECK_EQ(write(go[1], "x", 1), 1);
	CHECK_EXITS(pid, 0);
}

CASE(waitid_nohang_zeroes_info)
{
	pid_t pid = CHILD
	{
		pause();
	}
	siginfo_t si;
	memset(&si, 0xff, sizeof si);
	CHECK_EQ(waitid(P_PID, pid, &si, WEXITED | WNOHANG), 0);
	CHECK_EQ(si.si_pid, 0);
	CHECK_EQ(si.si_signo, 0);
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_KILLED(pid, SIGKILL);
}

CASE(waitid_info_of_exit)
{
	siginfo_t si;
	pid_t pid = CHILD
	{
		_exit(9);
	}
	CHECK_EQ(waitid(P_PID, pid, &si, WEXITED), 0);
	CHECK_EQ(si.si_signo, SIGCHLD);
	CHECK_EQ(si.si_code, CLD_EXITED);
	CHECK_EQ(si.si_status, 9);
	CHECK_EQ(si.si_pid, pid);
	CHECK_EQ(si.si_uid, getuid());
}

CASE(waitid_info_of_kill)
{
	siginfo_t si;
	pid_t pid = CHILD
	{
		raise(SIGTERM);
	}
	CHECK_EQ(waitid(P_ALL, 0, &si, WEXITED), 0);
	CHECK_EQ(si.si_code, CLD_KILLED);
	CHECK_EQ(si.si_status, SIGTERM);
	CHECK_EQ(si.si_pid, pid);
}

CASE(waitid_nowait_leaves_the_zombie)
{
	siginfo_t si;
	pid_t pid = CHILD
	{
		_exit(3);
	}
	CHECK_EQ(waitid(P_PID, pid, &si, WEXITED | WNOWAIT), 0);
	CHECK_EQ(waitid(P_PID, pid, &si, WEXITED | WNOWAIT), 0);
	CHECK_EQ(si.si_status, 3);
	CHECK_EXITS(pid, 3);
}

CASE(wait_stop_and_continue)
{
	int st, go[2];
	char c;
	CHECK_OK(pipe(go));
	pid_t pid = CHILD
	{
		raise(SIGSTOP);
		CHECK_EQ(read(go[0], &c, 1), 1);
		_exit(4);
	}
	CHECK_EQ(waitpid(pid, &st, WUNTRACED), pid);
	CHECK(WIFSTOPPED(st));
	CHECK_EQ(WSTOPSIG(st), SIGSTOP);
	// Told once.
	CHECK_EQ(waitpid(pid, &st, WUNTRACED | WNOHANG), 0);
	CHECK_OK(kill(pid, SIGCONT));
	CHECK_EQ(waitpid(pid, &st, WCONTINUED | WUNTRACED), pid);
	CHECK(WIFCONTINUED(st));
	CHECK_EQ(write(go[1], "x", 1), 1);
	CHECK_EXITS(pid, 4);
}

CASE(waitid_stop_info)
{
	siginfo_t si;
	pid_t pid = CHILD
	{
		for (;;)
			pause();
	}
	CHECK_OK(kill(pid, SIGSTOP));
	CHECK_EQ(waitid(P_PID, pid, &si, WSTOPPED), 0);
	CHECK_EQ(si.si_code, CLD_STOPPED);
	CHECK_EQ(si.si_status, SIGSTOP);
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_KILLED(pid, SIGKILL);
}

CASE(waitid_continued_info)
{
	siginfo_t si;
	pid_t pid = CHILD
	{
		for (;;)
			pause();
	}
	CHECK_OK(kill(pid, SIGSTOP));
	CHECK_EQ(waitid(P_PID, pid, &si, WSTOPPED), 0);
	CHECK_OK(kill(pid, SIGCONT));
	CHECK_EQ(waitid(P_PID, pid, &si, WCONTINUED), 0);
	CHECK_EQ(si.si_code, CLD_CONTINUED);
	CHECK_EQ(si.si_status, SIGCONT);
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_KILLED(pid, SIGKILL);
}

CASE(wait_kill_of_stopped)
{
	int st;
	pid_t pid = CHILD
	{
		raise(SIGSTOP);
	}
	CHECK_EQ(waitpid(pid, &st, WUNTRACED), pid);
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_KILLED(pid, SIGKILL);
}

CASE(wait_by_process_group)
{
	int go[2];
	char c;
	CHECK_OK(pipe(go));
	pid_t a = CHILD
	{
		setpgid(0, 0);
		CHECK_EQ(read(go[0], &c, 1), 1);
		_exit(1);
	}
	pid_t b = CHILD
	{
		_exit(2);
	}
	CHECK_OK(setpgid(a, a));
	// b is of our group.
	int st;
	CHECK_EQ(waitpid(0, &st, 0), b);
	CHECK_EQ(WEXITSTATUS(st), 2);
	CHECK_ERRNO(waitpid(0, &st, 0), ECHILD);
	CHECK_EQ(waitpid(-a, &st, WNOHANG), 0);
	CHECK_EQ(write(go[1], "x", 1), 1);
	siginfo_t si;
	CHECK_EQ(waitid(P_PGID, a, &si, WEXITED), 0);
	CHECK_EQ(si.si_pid, a);
}

CASE(wait_blocks_until_exit)
{
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		_exit(6);
	}
	CHECK_EXITS(pid, 6);
}

static void on_signal(int sig)
{
	(void)sig;
}

CASE(wait_interrupted)
{
	struct sigaction sa = {.sa_handler = on_signal};
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		kill(parent, SIGUSR1);
		pause();
	}
	CHECK_ERRNO(waitpid(pid, NULL, 0), EINTR);
	kill(pid, SIGKILL);
	CHECK_KILLED(pid, SIGKILL);
}

CASE(wait_restarted)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		kill(parent, SIGUSR1);
		case_sleep_ms(20);
		_exit(8);
	}
	CHECK_EXITS(pid, 8);
}

CASE(wait_sigchld_ignored_reaps)
{
	signal(SIGCHLD, SIG_IGN);
	pid_t pid = CHILD
	{
		_exit(1);
	}
	CHECK_ERRNO(waitpid(pid, NULL, 0), ECHILD);
}

CASE(wait_nocldwait_reaps)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_NOCLDWAIT | SA_RESTART};
	CHECK_OK(sigaction(SIGCHLD, &sa, NULL));
	pid_t pid = CHILD
	{
		_exit(1);
	}
	CHECK_ERRNO(waitpid(pid, NULL, 0), ECHILD);
}

static volatile siginfo_t chld;
static volatile int chld_count;

static void on_chld(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	memcpy((void *)&chld, si, sizeof *si);
	chld_count++;
}

CASE(wait_sigchld_info)
{
	struct sigaction sa = {.sa_sigaction = on_chld, .sa_flags = SA_SIGINFO | SA_RESTART};
	CHECK_OK(sigaction(SIGCHLD, &sa, NULL));
	pid_t pid = CHILD
	{
		_exit(23);
	}
	CHECK_EXITS(pid, 23);
	CHECK_EQ(chld_count, 1);
	CHECK_EQ(chld.si_signo, SIGCHLD);
	CHECK_EQ(chld.si_code, CLD_EXITED);
	CHECK_EQ(chld.si_pid, pid);
	CHECK_EQ(chld.si_status, 23);
	CHECK_EQ(chld.si_uid, getuid());
}

CASE(wait_nocldstop)
{
	struct sigaction sa = {.sa_sigaction = on_chld, .sa_flags = SA_SIGINFO | SA_RESTART | SA_NOCLDSTOP};
	CHECK_OK(sigaction(SIGCHLD, &sa, NULL));
	int st;
	pid_t pid = CHILD
	{
		raise(SIGSTOP);
	}
	CHECK_EQ(waitpid(pid, &st, WUNTRACED), pid);
	CHECK_EQ(chld_count, 0);
	kill(pid, SIGCONT);
	CHECK_EXITS(pid, 0);
	CHECK_EQ(chld_count, 1);
}

CASE(wait_sigchld_on_stop)
{
	struct sigaction sa = {.sa_sigaction = on_chld, .sa_flags = SA_SIGINFO | SA_RESTART};
	CHECK_OK(sigaction(SIGCHLD, &sa, NULL));
	int st;
	pid_t pid = CHILD
	{
		raise(SIGSTOP);
	}
	CHECK_EQ(waitpid(pid, &st, WUNTRACED), pid);
	CHECK_EQ(chld_count, 1);
	CHECK_EQ(chld.si_code, CLD_STOPPED);
	CHECK_EQ(chld.si_status, SIGSTOP);
	kill(pid, SIGKILL);
	CHECK_KILLED(pid, SIGKILL);
}

CASE(wait_rusage)
{
	struct rusage ru;
	memset(&ru, 0xff, sizeof ru);
	pid_t pid = CHILD
	{
		_exit(0);
	}
	CHECK_EQ(wait4(pid, NULL, 0, &ru), pid);
	CHECK(ru.ru_utime.tv_sec >= 0 && ru.ru_utime.tv_sec < 100);
	CHECK(ru.ru_utime.tv_usec >= 0 && ru.ru_utime.tv_usec < 1000000);
}

CASE(wait_bad_status_pointer)
{
	pid_t pid = CHILD
	{
		_exit(0);
	}
	CHECK_ERRNO(waitpid(pid, BAD_POINTER, 0), EFAULT);
}

static void *wait_in_thread(void *arg)
{
	return (void *)(long)waitpid(*(pid_t *)arg, NULL, 0);
}

CASE(wait_for_child_of_another_thread)
{
	pid_t pid = CHILD
	{
		_exit(0);
	}
	pthread_t t;
	void *got;
	CHECK_THREAD(pthread_create(&t, NULL, wait_in_thread, &pid));
	CHECK_THREAD(pthread_join(t, &got));
	CHECK_EQ((long)got, pid);
}

static void *wait_nothread(void *arg)
{
	pid_t got = waitpid(*(pid_t *)arg, NULL, __WNOTHREAD);
	return (void *)(long)(got < 0 ? -errno : got);
}

CASE(wait_nothread_sees_only_its_own)
{
	pid_t pid = CHILD
	{
		_exit(0);
	}
	pthread_t t;
	void *got;
	CHECK_THREAD(pthread_create(&t, NULL, wait_nothread, &pid));
	CHECK_THREAD(pthread_join(t, &got));
	CHECK_EQ((long)got, -ECHILD);
	CHECK_EXITS(pid, 0);
}

CASE(wait_zombie_keeps_its_id)
{
	pid_t pid = CHILD
	{
		_exit(0);
	}
	siginfo_t si;
	CHECK_OK(waitid(P_PID, pid, &si, WEXITED | WNOWAIT));
	CHECK_EQ(kill(pid, 0), 0);
	CHECK_EQ(getpgid(pid), getpgrp());
	CHECK_EXITS(pid, 0);
	CHECK_ERRNO(kill(pid, 0), ESRCH);
}

CASE(waitid_pidfd)
{
	pid_t pid = CHILD
	{
		_exit(17);
	}
	int fd = CHECK_OK(syscall(SYS_pidfd_open, pid, 0));
	siginfo_t si;
	CHECK_OK(waitid(P_PIDFD, fd, &si, WEXITED));
	CHECK_EQ(si.si_pid, pid);
	CHECK_EQ(si.si_status, 17);
}

CASE(wait_clone_child_without_sigchld)
{
	// A child that ends without SIGCHLD is seen with __WALL or __WCLONE only.
	pid_t pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
	if (pid == 0)
		_exit(2);
	CHECK(pid > 0);
	CHECK_ERRNO(waitpid(pid, NULL, 0), ECHILD);
	int st;
	CHECK_EQ(waitpid(pid, &st, __WCLONE), pid);
	CHECK_EQ(WEXITSTATUS(st), 2);
}

CASE(wait_core_dump_flag_needs_no_core)
{
	struct rlimit rl = {0, 0};
	CHECK_OK(setrlimit(RLIMIT_CORE, &rl));
	int st;
	pid_t pid = CHILD
	{
		signal(SIGABRT, SIG_DFL);
		raise(SIGABRT);
	}
	CHECK_EQ(waitpid(pid, &st, 0), pid);
	CHECK(WIFSIGNALED(st));
	CHECK_EQ(WTERMSIG(st), SIGABRT);
}

CASE(wait_takes_the_oldest_first)
{
	pid_t pid[5];
	siginfo_t si;
	for (int i = 0; i < 5; i++) {
		pid[i] = CHILD
		{
			_exit(i);
		}
	}
	for (int i = 4; i >= 0; i--)
		CHECK_OK(waitid(P_PID, pid[i], &si, WEXITED | WNOWAIT));
	for (int i = 0; i < 5; i++)
		CHECK_EQ(wait(NULL), pid[i]);
}
