// Signals: sending, masks, queues, handlers and what they are told.
// calls: kill, tkill, tgkill, rt_sigaction, rt_sigprocmask, rt_sigpending,
// calls: rt_sigsuspend, rt_sigtimedwait, rt_sigqueueinfo, rt_tgsigqueueinfo,
// calls: rt_sigreturn, pause
#include "case.h"
#include <ucontext.h>

static volatile int hits, last;
static volatile siginfo_t last_info;

static void count(int sig)
{
	hits++;
	last = sig;
}

static void record(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	hits++;
	last = sig;
	memcpy((void *)&last_info, si, sizeof *si);
}

static void handle(int sig, void (*f)(int), int flags)
{
	struct sigaction sa = {.sa_handler = f, .sa_flags = flags};
	CHECK_OK(sigaction(sig, &sa, NULL));
}

static void handle_info(int sig, int flags)
{
	struct sigaction sa = {.sa_sigaction = record, .sa_flags = SA_SIGINFO | flags};
	CHECK_OK(sigaction(sig, &sa, NULL));
}

static sigset_t set_of(int sig)
{
	sigset_t s;
	sigemptyset(&s);
	if (sig)
		sigaddset(&s, sig);
	return s;
}

static void block(int sig)
{
	sigset_t s = set_of(sig);
	CHECK_OK(sigprocmask(SIG_BLOCK, &s, NULL));
}

static void unblock(int sig)
{
	sigset_t s = set_of(sig);
	CHECK_OK(sigprocmask(SIG_UNBLOCK, &s, NULL));
}

CASE(signal_raise_runs_handler)
{
	handle(SIGUSR1, count, 0);
	CHECK_OK(raise(SIGUSR1));
	CHECK_EQ(hits, 1);
	CHECK_EQ(last, SIGUSR1);
}

CASE(signal_kill_errors)
{
	CHECK_ERRNO(kill(getpid(), 65), EINVAL);
	CHECK_ERRNO(kill(getpid(), -1), EINVAL);
	CHECK_ERRNO(kill(4000000, 0), ESRCH);
	CHECK_ERRNO(kill(-4000000, 0), ESRCH);
	CHECK_ERRNO(kill(INT_MIN, 0), ESRCH);
	CHECK_OK(kill(getpid(), 0));
	CHECK_OK(kill(0, 0));
}

CASE(signal_tgkill_errors)
{
	CHECK_ERRNO(syscall(SYS_tgkill, getpid(), 4000000, 0), ESRCH);
	CHECK_ERRNO(syscall(SYS_tgkill, 1, getpid(), 0), ESRCH);
	CHECK_ERRNO(syscall(SYS_tgkill, 0, getpid(), 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_tgkill, getpid(), -1, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_tgkill, getpid(), getpid(), 65), EINVAL);
	CHECK_ERRNO(syscall(SYS_tkill, 0, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_tkill, 4000000, 0), ESRCH);
}

CASE(signal_kill_needs_permission)
{
	NEED_ROOT();
	pid_t victim = CHILD
	{
		pause();
	}
	pid_t pid = CHILD
	{
		CHECK_OK(setresuid(1234, 1234, 1234));
		CHECK_ERRNO(kill(victim, SIGTERM), EPERM);
		CHECK_ERRNO(kill(victim, 0), EPERM);
	}
	CHECK_EXITS(pid, 0);
	CHECK_OK(kill(victim, SIGKILL));
	CHECK_KILLED(victim, SIGKILL);
}

CASE(signal_sigcont_within_session_needs_no_permission)
{
	NEED_ROOT();
	pid_t victim = CHILD
	{
		pause();
	}
	pid_t pid = CHILD
	{
		CHECK_OK(setresuid(1234, 1234, 1234));
		CHECK_OK(kill(victim, SIGCONT));
	}
	CHECK_EXITS(pid, 0);
	CHECK_OK(kill(victim, SIGKILL));
	CHECK_KILLED(victim, SIGKILL);
}

CASE(signal_default_actions)
{
	int fatal[] = {SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1,
		       SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGXCPU, SIGXFSZ, SIGVTALRM,
		       SIGPROF, SIGIO, SIGPWR, SIGSYS, 34, 64};
	struct rlimit rl = {0, 0};
	setrlimit(RLIMIT_CORE, &rl);
	for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) {
		int sig = fatal[i];
		pid_t pid = CHILD
		{
			syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), sig);
		}
		CHECK_KILLED(pid, sig);
	}
	int ignored[] = {SIGCHLD, SIGCONT, SIGURG, SIGWINCH};
	for (size_t i = 0; i < 4; i++)
		CHECK_OK(raise(ignored[i]));
}

CASE(signal_sigaction_errors)
{
	struct sigaction sa = {.sa_handler = count};
	CHECK_ERRNO(sigaction(SIGKILL, &sa, NULL), EINVAL);
	CHECK_ERRNO(sigaction(SIGSTOP, &sa, NULL), EINVAL);
	CHECK_ERRNO(sigaction(0, &sa, NULL), EINVAL);
	CHECK_ERRNO(sigaction(65, &sa, NULL), EINVAL);
	CHECK_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), EINVAL);
	CHECK_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, BAD_POINTER, NULL, 8), EFAULT);
	CHECK_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, NULL, BAD_POINTER, 8), EFAULT);
	// Looking at SIGKILL is allowed.
	CHECK_OK(sigaction(SIGKILL, NULL, &sa));
	CHECK(sa.sa_handler == SIG_DFL);
}

CASE(signal_sigaction_returns_old)
{
	struct sigaction sa = {.sa_handler = count, .sa_flags = SA_RESTART | SA_NODEFER}, old;
	sigaddset(&sa.sa_mask, SIGHUP);
	CHECK_OK(sigaction(SIGUSR1, &sa, &old));
	CHECK(old.sa_handler == SIG_DFL);
	CHECK_OK(sigaction(SIGUSR1, NULL, &old));
	CHECK(old.sa_handler == count);
	CHECK_EQ(old.sa_flags & (SA_RESTART | SA_NODEFER | SA_SIGINFO), SA_RESTART | SA_NODEFER);
	CHECK(sigismember(&old.sa_mask, SIGHUP));
	CHECK(!sigismember(&old.sa_mask, SIGINT));
}

CASE(signal_mask_set_and_get)
{
	sigset_t s, old;
	block(SIGUSR1);
	block(SIGUSR2);
	s = set_of(SIGHUP);
	CHECK_OK(sigprocmask(SIG_SETMASK, &s, &old));
	CHECK(sigismember(&old, SIGUSR1) && sigismember(&old, SIGUSR2));
	CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &old));
	CHECK(!sigismember(&old, SIGUSR1) && sigismember(&old, SIGHUP));
}

CASE(signal_mask_errors)
{
	sigset_t s = set_of(SIGHUP);
	CHECK_ERRNO(syscall(SYS_rt_sigprocmask, 99, &s, NULL, 8), EINVAL);
	CHECK_ERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &s, NULL, 16), EINVAL);
	CHECK_ERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, BAD_POINTER, NULL, 8), EFAULT);
	// Without a set the first argument does not matter.
	CHECK_OK(syscall(SYS_rt_sigprocmask, 99, NULL, &s, 8));
}

CASE(signal_mask_cannot_hold_kill_and_stop)
{
	sigset_t s;
	sigfillset(&s);
	CHECK_OK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &s, NULL, 8));
	CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &s));
	CHECK(!sigismember(&s, SIGKILL));
	CHECK(!sigismember(&s, SIGSTOP));
	CHECK(sigismember(&s, SIGTERM));
}

CASE(signal_blocked_waits)
{
	handle(SIGUSR1, count, 0);
	block(SIGUSR1);
	CHECK_OK(raise(SIGUSR1));
	CHECK_EQ(hits, 0);
	sigset_t s;
	CHECK_OK(sigpending(&s));
	CHECK(sigismember(&s, SIGUSR1));
	unblock(SIGUSR1);
	CHECK_EQ(hits, 1);
	CHECK_OK(sigpending(&s));
	CHECK(!sigismember(&s, SIGUSR1));
}

CASE(signal_standard_does_not_queue)
{
	handle(SIGUSR1, count, 0);
	block(SIGUSR1);
	raise(SIGUSR1);
	raise(SIGUSR1);
	kill(getpid(), SIGUSR1);
	unblock(SIGUSR1);
	// One for the thread, one for the process.
	CHECK_EQ(hits, 2);
}

static volatile int order[16], order_len;

static void keep_order(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	order[order_len++] = sig * 1000 + si->si_value.sival_int;
}

CASE(signal_real_time_queues_in_order)
{
	struct sigaction sa = {.sa_sigaction = keep_order, .sa_flags = SA_SIGINFO};
	sigfillset(&sa.sa_mask);
	sigset_t all, old;
	sigfillset(&all);
	CHECK_OK(sigprocmask(SIG_SETMASK, &all, &old));
	for (int sig = SIGRTMIN; sig < SIGRTMIN + 2; sig++)
		CHECK_OK(sigaction(sig, &sa, NULL));
	union sigval v;
	for (int i = 0; i < 3; i++) {
		v.sival_int = i;
		CHECK_OK(sigqueue(getpid(), SIGRTMIN + 1, v));
		CHECK_OK(sigqueue(getpid(), SIGRTMIN, v));
	}
	CHECK_OK(sigprocmask(SIG_SETMASK, &old, NULL));
	CHECK_EQ(order_len, 6);
	// Lower numbers first, each in the order sent.
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(order[i], SIGRTMIN * 1000 + i);
		CHECK_EQ(order[3 + i], (SIGRTMIN + 1) * 1000 + i);
	}
}

CASE(signal_ignored_is_dropped)
{
	handle(SIGUSR1, SIG_IGN, 0);
	raise(SIGUSR1);
	block(SIGUSR1);
	raise(SIGUSR1);
	sigset_t s;
	// A blocked one is kept even if ignored.
	CHECK_OK(sigpending(&s));
	CHECK(sigismember(&s, SIGUSR1));
	handle(SIGUSR1, SIG_IGN, 0);
	// Setting SIG_IGN throws it away.
	CHECK_OK(sigpending(&s));
	CHECK(!sigismember(&s, SIGUSR1));
}

CASE(signal_info_of_kill)
{
	handle_info(SIGUSR1, 0);
	CHECK_OK(kill(getpid(), SIGUSR1));
	CHECK_EQ(last_info.si_signo, SIGUSR1);
	CHECK_EQ(last_info.si_code, SI_USER);
	CHECK_EQ(last_info.si_errno, 0);
	CHECK_EQ(last_info.si_pid, getpid());
	CHECK_EQ(last_info.si_uid, getuid());
}

CASE(signal_info_of_tgkill)
{
	handle_info(SIGUSR1, 0);
	CHECK_OK(syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1));
	CHECK_EQ(last_info.si_code, SI_TKILL);
	CHECK_EQ(last_info.si_pid, getpid());
}

CASE(signal_info_of_sigqueue)
{
	handle_info(SIGUSR1, 0);
	union sigval v = {.sival_ptr = (void *)0x123456789abcdef0};
	CHECK_OK(sigqueue(getpid(), SIGUSR1, v));
	CHECK_EQ(last_info.si_code, SI_QUEUE);
	CHECK_EQ((long)last_info.si_value.sival_ptr, 0x123456789abcdef0);
	CHECK_EQ(last_info.si_pid, getpid());
}

CASE(signal_queueinfo_cannot_pretend)
{
	pid_t pid = CHILD
	{
		pause();
	}
	siginfo_t si = {.si_code = SI_USER};
	CHECK_ERRNO(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, &si), EPERM);
	si.si_code = SI_TKILL;
	CHECK_ERRNO(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, &si), EPERM);
	si.si_code = SI_QUEUE;
	CHECK_OK(syscall(SYS_rt_sigqueueinfo, pid, SIGUSR1, &si));
	CHECK_KILLED(pid, SIGUSR1);
}

CASE(signal_tgsigqueueinfo)
{
	handle_info(SIGUSR1, 0);
	siginfo_t si = {.si_code = SI_QUEUE};
	si.si_value.sival_int = 77;
	CHECK_OK(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR1, &si));
	CHECK_EQ(last_info.si_value.sival_int, 77);
}

static volatile int depth, deepest;

static void nests(int sig)
{
	depth++;
	if (depth > deepest)
		deepest = depth;
	if (hits++ == 0)
		raise(sig);
	depth--;
}

CASE(signal_blocked_in_its_own_handler)
{
	handle(SIGUSR1, nests, 0);
	raise(SIGUSR1);
	CHECK_EQ(hits, 2);
	CHECK_EQ(deepest, 1);
}

CASE(signal_nodefer)
{
	handle(SIGUSR1, nests, SA_NODEFER);
	raise(SIGUSR1);
	CHECK_EQ(hits, 2);
	CHECK_EQ(deepest, 2);
}

static volatile int other_during;

static void sends_other(int sig)
{
	(void)sig;
	hits = 0;
	raise(SIGUSR2);
	other_during = hits;
}

CASE(signal_mask_of_action)
{
	struct sigaction sa = {.sa_handler = sends_other};
	sigaddset(&sa.sa_mask, SIGUSR2);
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	handle(SIGUSR2, count, 0);
	raise(SIGUSR1);
	CHECK_EQ(other_during, 0);
	CHECK_EQ(hits, 1);
}

CASE(signal_resethand)
{
	handle(SIGUSR1, count, SA_RESETHAND);
	raise(SIGUSR1);
	CHECK_EQ(hits, 1);
	struct sigaction sa;
	CHECK_OK(sigaction(SIGUSR1, NULL, &sa));
	CHECK(sa.sa_handler == SIG_DFL);
}

CASE(signal_mask_restored_after_handler)
{
	handle(SIGUSR1, count, 0);
	block(SIGHUP);
	raise(SIGUSR1);
	sigset_t s;
	CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &s));
	CHECK(sigismember(&s, SIGHUP));
	CHECK(!sigismember(&s, SIGUSR1));
}

static void changes_return_mask(int sig, siginfo_t *si, void *ctx)
{
	(void)sig;
	(void)si;
	sigaddset(&((ucontext_t *)ctx)->uc_sigmask, SIGTERM);
}

CASE(signal_handler_sets_mask_to_return_to)
{
	struct sigaction sa = {.sa_sigaction = changes_return_mask, .sa_flags = SA_SIGINFO};
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	sigset_t s;
	CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &s));
	CHECK(sigismember(&s, SIGTERM));
}

CASE(signal_pause_interrupted)
{
	handle(SIGUSR1, count, SA_RESTART);
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		kill(parent, SIGUSR1);
	}
	CHECK_ERRNO(pause(), EINTR);
	CHECK_EQ(hits, 1);
	CHECK_EXITS(pid, 0);
}

CASE(signal_sigsuspend)
{
	handle(SIGUSR1, count, 0);
	handle(SIGUSR2, count, 0);
	block(SIGUSR1);
	block(SIGUSR2);
	raise(SIGUSR1);
	sigset_t s;
	sigfillset(&s);
	sigdelset(&s, SIGUSR1);
	CHECK_ERRNO(sigsuspend(&s), EINTR);
	CHECK_EQ(hits, 1);
	CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &s));
	CHECK(sigismember(&s, SIGUSR1) && sigismember(&s, SIGUSR2));
	CHECK(!sigismember(&s, SIGHUP));
}

CASE(signal_sigsuspend_errors)
{
	sigset_t s = set_of(0);
	CHECK_ERRNO(syscall(SYS_rt_sigsuspend, &s, 4), EINVAL);
	CHECK_ERRNO(syscall(SYS_rt_sigsuspend, BAD_POINTER, 8), EFAULT);
}

CASE(signal_sigtimedwait_pending)
{
	block(SIGUSR1);
	kill(getpid(), SIGUSR1);
	sigset_t s = set_of(SIGUSR1);
	siginfo_t si;
	CHECK_EQ(sigwaitinfo(&s, &si), SIGUSR1);
	CHECK_EQ(si.si_pid, getpid());
	CHECK_EQ(si.si_code, SI_USER);
	CHECK_OK(sigpending(&s));
	CHECK(!sigismember(&s, SIGUSR1));
}

CASE(signal_sigtimedwait_times_out)
{
	sigset_t s = set_of(SIGUSR1);
	block(SIGUSR1);
	struct timespec ts = {0, 20000000};
	int64_t start = case_now_ms();
	CHECK_ERRNO(sigtimedwait(&s, NULL, &ts), EAGAIN);
	CHECK(case_now_ms() - start >= 19);
	ts.tv_nsec = 0;
	CHECK_ERRNO(sigtimedwait(&s, NULL, &ts), EAGAIN);
	ts.tv_nsec = 2000000000;
	CHECK_ERRNO(sigtimedwait(&s, NULL, &ts), EINVAL);
}

CASE(signal_sigtimedwait_arrives)
{
	sigset_t s = set_of(SIGUSR1);
	block(SIGUSR1);
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		kill(parent, SIGUSR1);
		pause();
	}
	siginfo_t si;
	CHECK_EQ(sigwaitinfo(&s, &si), SIGUSR1);
	CHECK_EQ(si.si_pid, pid);
	kill(pid, SIGKILL);
	CHECK_KILLED(pid, SIGKILL);
}

CASE(signal_sigtimedwait_interrupted_by_other)
{
	sigset_t s = set_of(SIGUSR1);
	block(SIGUSR1);
	handle(SIGUSR2, count, SA_RESTART);
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		kill(parent, SIGUSR2);
	}
	CHECK_ERRNO(sigwaitinfo(&s, NULL), EINTR);
	CHECK_EXITS(pid, 0);
}

CASE(signal_restart_of_read)
{
	handle(SIGUSR1, count, SA_RESTART);
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		kill(parent, SIGUSR1);
		case_sleep_ms(10);
		case_wait_state(parent, "S");
		write(p[1], "x", 1);
	}
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(hits, 1);
	CHECK_EXITS(pid, 0);
}

CASE(signal_interrupt_of_read)
{
	handle(SIGUSR1, count, 0);
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		kill(parent, SIGUSR1);
	}
	CHECK_ERRNO(read(p[0], &c, 1), EINTR);
	CHECK_EQ(hits, 1);
	CHECK_EXITS(pid, 0);
}

CASE(signal_ignored_does_not_interrupt)
{
	handle(SIGUSR1, SIG_IGN, 0);
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		kill(parent, SIGUSR1);
		kill(parent, SIGCHLD);
		case_sleep_ms(10);
		write(p[1], "x", 1);
	}
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EXITS(pid, 0);
}

CASE(signal_partial_write_when_interrupted)
{
	handle(SIGUSR1, count, 0);
	int p[2];
	static char buf[200000];
	CHECK_OK(pipe(p));
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		kill(parent, SIGUSR1);
	}
	CHECK_EQ(write(p[1], buf, sizeof buf), 65536);
	CHECK_EXITS(pid, 0);
}

CASE(signal_nanosleep_interrupted_tells_rest)
{
	handle(SIGUSR1, count, SA_RESTART);
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		kill(parent, SIGUSR1);
	}
	struct timespec ts = {10, 0}, left = {0, 0};
	CHECK_ERRNO(nanosleep(&ts, &left), EINTR);
	int64_t left_ms = left.tv_sec * 1000 + left.tv_nsec / 1000000;
	if (left_ms < 5000 || left_ms > 10000)
		FAIL("left %ld ms of 10000", (long)left_ms);
	CHECK_EXITS(pid, 0);
}

CASE(signal_nanosleep_goes_on_after_stop)
{
	pid_t pid = CHILD
	{
		struct timespec ts = {0, 200000000};
		int64_t start = case_now_ms();
		CHECK_EQ(nanosleep(&ts, NULL), 0);
		CHECK(case_now_ms() - start >= 199);
	}
	case_wait_state(pid, "S");
	int st;
	CHECK_OK(kill(pid, SIGSTOP));
	CHECK_EQ(waitpid(pid, &st, WUNTRACED), pid);
	CHECK_OK(kill(pid, SIGCONT));
	CHECK_EXITS(pid, 0);
}

CASE(signal_to_process_group)
{
	pid_t pid = CHILD
	{
		setpgid(0, 0);
		pid_t a = CHILD
		{
			for (;;)
				pause();
		}
		pid_t b = CHILD
		{
			for (;;)
				pause();
		}
		signal(SIGUSR1, SIG_IGN);
		CHECK_OK(kill(0, SIGUSR1));
		CHECK_KILLED(a, SIGUSR1);
		CHECK_KILLED(b, SIGUSR1);
	}
	CHECK_EXITS(pid, 0);
}

CASE(signal_stop_then_kill)
{
	int st;
	pid_t pid = CHILD
	{
		for (;;)
			pause();
	}
	CHECK_OK(kill(pid, SIGSTOP));
	CHECK_EQ(waitpid(pid, &st, WUNTRACED), pid);
	case_wait_state(pid, "T");
	CHECK_OK(kill(pid, SIGTERM));
	// A stopped process dies of a fatal signal only after it continues.
	CHECK_EQ(waitpid(pid, &st, WNOHANG), 0);
	CHECK_OK(kill(pid, SIGCONT));
	CHECK_KILLED(pid, SIGTERM);
}

CASE(signal_cont_discards_stop)
{
	block(SIGTSTP);
	raise(SIGTSTP);
	sigset_t s;
	CHECK_OK(sigpending(&s));
	CHECK(sigismember(&s, SIGTSTP));
	raise(SIGCONT);
	CHECK_OK(sigpending(&s));
	CHECK(!sigismember(&s, SIGTSTP));
}

static pthread_t waiter_thread;
static volatile int got_on_main;

static void which_thread(int sig)
{
	(void)sig;
	got_on_main = pthread_self() != waiter_thread;
	hits++;
}

static void *blocks_all(void *arg)
{
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	char c = 0;
	write(*(int *)arg, &c, 1);
	read(*((int *)arg + 1), &c, 1);
	return NULL;
}

CASE(signal_goes_to_a_thread_that_takes_it)
{
	int up[2], down[2];
	CHECK_OK(pipe(up));
	CHECK_OK(pipe(down));
	int arg[2] = {up[1], down[0]};
	handle(SIGUSR1, which_thread, 0);
	CHECK_THREAD(pthread_create(&waiter_thread, NULL, blocks_all, arg));
	char c;
	CHECK_EQ(read(up[0], &c, 1), 1);
	CHECK_OK(kill(getpid(), SIGUSR1));
	CHECK_EQ(hits, 1);
	CHECK_EQ(got_on_main, 1);
	CHECK_EQ(write(down[1], "x", 1), 1);
	CHECK_THREAD(pthread_join(waiter_thread, NULL));
}

static volatile pid_t handler_tid;

static void note_tid(int sig)
{
	(void)sig;
	handler_tid = syscall(SYS_gettid);
}

static volatile pid_t thread_tid;

static void *pauses(void *arg)
{
	thread_tid = syscall(SYS_gettid);
	pause();
	return arg;
}

CASE(signal_pthread_kill_hits_that_thread)
{
	handle(SIGUSR1, note_tid, 0);
	pthread_t t;
	CHECK_THREAD(pthread_create(&t, NULL, pauses, NULL));
	while (!thread_tid)
		case_sleep_ms(1);
	case_wait_state(thread_tid, "S");
	CHECK_THREAD(pthread_kill(t, SIGUSR1));
	CHECK_THREAD(pthread_join(t, NULL));
	CHECK_EQ(handler_tid, thread_tid);
}

CASE(signal_kill_of_other_process_runs_handler)
{
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	pid_t pid = CHILD
	{
		handle(SIGUSR1, count, 0);
		write(p[1], "r", 1);
		while (!hits)
			case_sleep_ms(1);
		_exit(44);
	}
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_OK(kill(pid, SIGUSR1));
	CHECK_EXITS(pid, 44);
}

CASE(signal_interrupts_busy_loop)
{
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	pid_t pid = CHILD
	{
		handle(SIGUSR1, count, 0);
		write(p[1], "r", 1);
		while (!hits)
			;
		_exit(45);
	}
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_OK(kill(pid, SIGUSR1));
	CHECK_EXITS(pid, 45);
}

CASE(signal_kill_ends_busy_loop)
{
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	pid_t pid = CHILD
	{
		write(p[1], "r", 1);
		for (;;)
			;
	}
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_KILLED(pid, SIGKILL);
}

CASE(signal_rlimit_sigpending)
{
	union sigval v = {0};
	struct rlimit rl;
	CHECK_OK(getrlimit(RLIMIT_SIGPENDING, &rl));
	rl.rlim_cur = 0;
	CHECK_OK(setrlimit(RLIMIT_SIGPENDING, &rl));
	block(SIGRTMIN);
	CHECK_ERRNO(sigqueue(getpid(), SIGRTMIN, v), EAGAIN);
	// kill(2) of a standard signal always gets through.
	handle(SIGUSR1, count, 0);
	CHECK_OK(kill(getpid(), SIGUSR1));
	CHECK_EQ(hits, 1);
}

CASE(signal_registers_survive_handler)
{
	handle(SIGUSR1, count, 0);
	register long a asm("r12") = 0x1122334455667788;
	register long b asm("r13") = 0x99aabbccddeeff00;
	asm volatile("" : "+r"(a), "+r"(b));
	long ret;
	asm volatile("syscall" : "=a"(ret) : "a"(SYS_tkill), "D"(syscall(SYS_gettid)), "S"(SIGUSR1) : "rcx", "r11", "memory");
	CHECK_EQ(ret, 0);
	CHECK_EQ(hits, 1);
	asm volatile("" : "+r"(a), "+r"(b));
	CHECK_EQ(a, 0x1122334455667788);
	CHECK_EQ(b, (long)0x99aabbccddeeff00);
}

static void clobber_vectors(int sig)
{
	(void)sig;
	hits++;
	asm volatile("pxor %%xmm0,%%xmm0; pxor %%xmm7,%%xmm7; pxor %%xmm15,%%xmm15" ::: "xmm0", "xmm7", "xmm15");
}

CASE(signal_vector_registers_survive_handler)
{
	handle(SIGUSR1, clobber_vectors, 0);
	double in = 1234.5, out = 0;
	long ret, tid = syscall(SYS_gettid);
	asm volatile("movsd %[in], %%xmm7\n"
		     "syscall\n"
		     "movsd %%xmm7, %[out]"
		     : "=a"(ret), [out] "=m"(out)
		     : "a"(SYS_tkill), "D"(tid), "S"(SIGUSR1), [in] "m"(in)
		     : "rcx", "r11", "xmm7", "memory");
	CHECK_EQ(ret, 0);
	CHECK_EQ(hits, 1);
	CHECK(out == in);
}

static volatile unsigned fp_magic;

static void looks_at_fpstate(int sig, siginfo_t *si, void *ctx)
{
	(void)sig;
	(void)si;
	ucontext_t *uc = ctx;
	hits++;
	if (uc->uc_mcontext.fpregs)
		fp_magic = ((struct _libc_fpstate *)uc->uc_mcontext.fpregs)->mxcsr;
}

CASE(signal_frame_has_fp_state)
{
	struct sigaction sa = {.sa_sigaction = looks_at_fpstate, .sa_flags = SA_SIGINFO};
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	CHECK_EQ(hits, 1);
	CHECK_EQ(fp_magic & 0x1f80, 0x1f80);
}

static void skips_instruction(int sig, siginfo_t *si, void *ctx)
{
	(void)sig;
	memcpy((void *)&last_info, si, sizeof *si);
	hits++;
	// ud2 is two bytes long.
	((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP] += 2;
}

CASE(signal_handler_changes_registers)
{
	struct sigaction sa = {.sa_sigaction = skips_instruction, .sa_flags = SA_SIGINFO};
	CHECK_OK(sigaction(SIGILL, &sa, NULL));
	void *at;
	asm volatile("lea 1f(%%rip), %0; 1: ud2" : "=r"(at));
	CHECK_EQ(hits, 1);
	CHECK_EQ(last_info.si_code, ILL_ILLOPN);
	CHECK_EQ((long)last_info.si_addr, (long)at);
}
