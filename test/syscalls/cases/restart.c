// What a blocked call does when a signal comes: which begin again, which go on
// with the rest of their time, and which fail (signal(7)).
// calls: restart_syscall, futex_waitv, futex_wait, futex_wake, futex_requeue, epoll_pwait2
#include "case.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

static volatile sig_atomic_t handled;

static void on_signal(int sig) { handled++; }

static void handle(int sig, int flags)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = flags};
	CHECK_OK(sigaction(sig, &sa, NULL));
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

// A child that stops and continues its parent, once it sleeps.
static pid_t stop_and_continue_me(void)
{
	pid_t me = getpid(), pid = CHECK_OK(fork());
	if (pid == 0) {
		case_wait_state(me, "S");
		kill(me, SIGSTOP);
		case_wait_state(me, "T");
		usleep(150000);
		kill(me, SIGCONT);
		_exit(0);
	}
	return pid;
}

CASE(restart_nanosleep_after_stop)
{
	pid_t pid = stop_and_continue_me();
	double begin = now();
	struct timespec t = {0, 300000000};
	CHECK_OK(nanosleep(&t, NULL));
	double took = now() - begin;
	CHECK(took >= 0.3 && took < 5);
	CHECK_EXITS(pid, 0);
}

CASE(restart_poll_after_stop)
{
	pid_t pid = stop_and_continue_me();
	double begin = now();
	CHECK_EQ(poll(NULL, 0, 300), 0);
	double took = now() - begin;
	CHECK(took >= 0.3 && took < 5);
	CHECK_EXITS(pid, 0);
}

CASE(restart_select_after_stop_counts_the_rest)
{
	pid_t pid = stop_and_continue_me();
	struct timeval t = {0, 300000};
	CHECK_EQ(select(0, NULL, NULL, NULL, &t), 0);
	CHECK_EQ(t.tv_sec, 0);
	CHECK_EQ(t.tv_usec, 0);
	CHECK_EXITS(pid, 0);
}

// A child that sends a signal to its parent, once it sleeps.
static pid_t signal_me(int sig)
{
	pid_t me = getpid(), pid = CHECK_OK(fork());
	if (pid == 0) {
		case_wait_state(me, "S");
		kill(me, sig);
		_exit(0);
	}
	return pid;
}

CASE(restart_never_for_these)
{
	handle(SIGUSR1, SA_RESTART);
	struct timespec t = {5, 0}, left;
	signal_me(SIGUSR1);
	CHECK_ERRNO(nanosleep(&t, &left), EINTR);
	CHECK(left.tv_sec == 4 || left.tv_sec == 5);
	signal_me(SIGUSR1);
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &left), EINTR);
	signal_me(SIGUSR1);
	CHECK_ERRNO(poll(NULL, 0, 5000), EINTR);
	signal_me(SIGUSR1);
	struct timeval tv = {5, 0};
	CHECK_ERRNO(select(0, NULL, NULL, NULL, &tv), EINTR);
	signal_me(SIGUSR1);
	CHECK_ERRNO(pause(), EINTR);
	int ep = CHECK_OK(epoll_create1(0));
	struct epoll_event ev;
	signal_me(SIGUSR1);
	CHECK_ERRNO(epoll_wait(ep, &ev, 1, 5000), EINTR);
	uint32_t word = 0;
	signal_me(SIGUSR1);
	CHECK_ERRNO(syscall(SYS_futex, &word, 0 /* FUTEX_WAIT */, 0, &t, NULL, 0), EINTR);
	int s[2];
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	struct timeval limit = {5, 0};
	CHECK_OK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
	char b;
	signal_me(SIGUSR1);
	CHECK_ERRNO(recv(s[0], &b, 1, 0), EINTR);
	signal_me(SIGUSR1);
	CHECK_ERRNO(read(s[0], &b, 1), EINTR);
	CHECK_EQ(handled, 9);
	while (wait(NULL) > 0)
		;
}

CASE(restart_read_of_pipe_and_socket)
{
	handle(SIGUSR1, SA_RESTART);
	int p[2], s[2];
	CHECK_OK(pipe(p));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	int *from[] = {&p[0], &s[0]}, *to[] = {&p[1], &s[1]};
	for (int i = 0; i < 2; i++) {
		pid_t me = getpid(), pid = CHECK_OK(fork());
		if (pid == 0) {
			case_wait_state(me, "S");
			kill(me, SIGUSR1);
			usleep(50000);
			case_wait_state(me, "S");
			_exit(write(*to[i], "x", 1) == 1 ? 0 : 1);
		}
		char b;
		CHECK_EQ(read(*from[i], &b, 1), 1);
		CHECK_EQ(handled, i + 1);
		CHECK_EXITS(pid, 0);
	}
	handle(SIGUSR1, 0);
	signal_me(SIGUSR1);
	char b;
	CHECK_ERRNO(read(p[0], &b, 1), EINTR);
	wait(NULL);
}

CASE(futex_waitv_any)
{
	uint32_t words[3] = {0, 0, 0};
	struct { uint64_t val, addr; uint32_t flags, pad; } v[3];
	for (int i = 0; i < 3; i++) {
		v[i].val = 0;
		v[i].addr = (uintptr_t)&words[i];
		v[i].flags = 2 | 128; // FUTEX_32, private
		v[i].pad = 0;
	}
	struct timespec past = {1, 0};
	long r = syscall(SYS_futex_waitv, v, 3, 0, &past, CLOCK_MONOTONIC);
	if (r < 0 && errno == ENOSYS)
		SKIP("no futex_waitv here");
	CHECK_EQ(errno, ETIMEDOUT);
	CHECK_ERRNO(syscall(SYS_futex_waitv, v, 0, 0, NULL, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_futex_waitv, v, 3, 1, NULL, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_futex_waitv, v, 3, 0, &past, CLOCK_BOOTTIME), EINVAL);
	words[1] = 1;
	CHECK_ERRNO(syscall(SYS_futex_waitv, v, 3, 0, NULL, 0), EAGAIN);
}

CASE(epoll_pwait2_nanoseconds)
{
	int ep = CHECK_OK(epoll_create1(0));
	struct epoll_event ev;
	struct timespec t = {0, 20000000}, bad = {0, -1};
	double begin = now();
	int r = epoll_pwait2(ep, &ev, 1, &t, NULL);
	if (r < 0 && errno == ENOSYS)
		SKIP("no epoll_pwait2 here");
	CHECK_EQ(r, 0);
	CHECK(now() - begin >= 0.02);
	CHECK_ERRNO(epoll_pwait2(ep, &ev, 1, &bad, NULL), EINVAL);
}

CASE(epoll_nesting_depth)
{
	int e[7];
	struct epoll_event ev = {.events = EPOLLIN};
	for (int i = 0; i < 7; i++)
		e[i] = CHECK_OK(epoll_create1(0));
	for (int i = 0; i < 4; i++)
		CHECK_OK(epoll_ctl(e[i + 1], EPOLL_CTL_ADD, e[i], &ev));
	CHECK_ERRNO(epoll_ctl(e[5], EPOLL_CTL_ADD, e[4], &ev), ELOOP);
	CHECK_ERRNO(epoll_ctl(e[0], EPOLL_CTL_ADD, e[4], &ev), ELOOP);
}
