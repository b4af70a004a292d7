// epoll(7).
// calls: epoll_create, epoll_create1, epoll_ctl, epoll_wait, epoll_pwait, epoll_pwait2
#include "case.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>

static int add(int ep, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};
	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

CASE(epoll_reports)
{
	int ep = CHECK_OK(epoll_create1(EPOLL_CLOEXEC)), p[2];
	CHECK_EQ(fcntl(ep, F_GETFD), FD_CLOEXEC);
	CHECK_OK(pipe(p));
	struct epoll_event ev[4];
	CHECK_OK(add(ep, p[0], EPOLLIN, 0x123456789abcdef));
	CHECK_EQ(epoll_wait(ep, ev, 4, 0), 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(epoll_wait(ep, ev, 4, 0), 1);
	CHECK_EQ(ev[0].events, EPOLLIN);
	CHECK_EQ(ev[0].data.u64, 0x123456789abcdef);
	// Level: told again while it holds.
	CHECK_EQ(epoll_wait(ep, ev, 4, 0), 1);
	char c;
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(epoll_wait(ep, ev, 4, 0), 0);
}

CASE(epoll_edge)
{
	int ep = CHECK_OK(epoll_create1(0)), p[2];
	CHECK_OK(pipe(p));
	struct epoll_event ev[4];
	CHECK_OK(add(ep, p[0], EPOLLIN | EPOLLET, 1));
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(epoll_wait(ep, ev, 4, 0), 1);
	CHECK_EQ(epoll_wait(ep, ev, 4, 0), 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(epoll_wait(ep, ev, 4, 0), 1);
}

CASE(epoll_one_shot)
{
	int ep = CHECK_OK(epoll_create1(0)), p[2];
	CHECK_OK(pipe(p));
	struct epoll_event ev[4], mod = {.events = EPOLLIN | EPOLLONESHOT, .data.u32 = 9};
	CHECK_OK(add(ep, p[0], EPOLLIN | EPOLLONESHOT, 1));
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(epoll_wait(ep, ev, 4, 0), 1);
	CHECK_EQ(epoll_wait(ep, ev, 4, 0), 0);
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &mod));
	CHECK_EQ(epoll_wait(ep, ev, 4, 0), 1);
	CHECK_EQ(ev[0].data.u32, 9);
}

CASE(epoll_hangup_always_told)
{
	int ep = CHECK_OK(epoll_create1(0)), p[2];
	CHECK_OK(pipe(p));
	struct epoll_event ev[4];
	CHECK_OK(add(ep, p[0], 0, 1));
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(epoll_wait(ep, ev, 4, 0), 0);
	CHECK_OK(close(p[1]));
	CHECK_EQ(epoll_wait(ep, ev, 4, 0), 1);
	CHECK_EQ(ev[0].events, EPOLLHUP);
}

CASE(epoll_writable)
{
	int ep = CHECK_OK(epoll_create1(0)), p[2];
	CHECK_OK(pipe(p));
	struct epoll_event ev[4];
	CHECK_OK(add(ep, p[1], EPOLLOUT, 1));
	CHECK_EQ(epoll_wait(ep, ev, 4, -1), 1);
	CHECK_EQ(ev[0].events, EPOLLOUT);
	CHECK_OK(close(p[0]));
	CHECK_EQ(epoll_wait(ep, ev, 4, -1), 1);
	CHECK_EQ(ev[0].events, EPOLLOUT | EPOLLERR);
}

CASE(epoll_ctl_errors)
{
	int ep = CHECK_OK(epoll_create1(0)), p[2];
	CHECK_OK(pipe(p));
	struct epoll_event ev = {.events = EPOLLIN};
	CHECK_OK(add(ep, p[0], EPOLLIN, 0));
	CHECK_ERRNO(add(ep, p[0], EPOLLIN, 0), EEXIST);
	CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_MOD, p[1], &ev), ENOENT);
	CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL), ENOENT);
	CHECK_ERRNO(epoll_ctl(ep, 99, p[0], &ev), EINVAL);
	CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, 99, &ev), EBADF);
	CHECK_ERRNO(epoll_ctl(99, EPOLL_CTL_ADD, p[1], &ev), EBADF);
	CHECK_ERRNO(epoll_ctl(p[0], EPOLL_CTL_ADD, p[1], &ev), EINVAL);
	CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &ev), EINVAL);
	int f = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, f, &ev), EPERM);
	CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], BAD_POINTER), EFAULT);
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL));
}

CASE(epoll_wait_errors)
{
	int ep = CHECK_OK(epoll_create1(0)), p[2];
	struct epoll_event ev[1];
	CHECK_OK(pipe(p));
	CHECK_ERRNO(epoll_create1(1), EINVAL);
	CHECK_ERRNO(syscall(SYS_epoll_create, 0), EINVAL);
	CHECK_OK(syscall(SYS_epoll_create, 1));
	CHECK_ERRNO(epoll_wait(ep, ev, 0, 0), EINVAL);
	CHECK_ERRNO(epoll_wait(p[0], ev, 1, 0), EINVAL);
	CHECK_ERRNO(epoll_wait(99, ev, 1, 0), EBADF);
	CHECK_OK(add(ep, p[1], EPOLLOUT, 0));
	CHECK_ERRNO(epoll_wait(ep, BAD_POINTER, 1, 0), EFAULT);
}

CASE(epoll_wait_times_out)
{
	int ep = CHECK_OK(epoll_create1(0));
	struct epoll_event ev[1];
	int64_t start = case_now_ms();
	CHECK_EQ(epoll_wait(ep, ev, 1, 30), 0);
	CHECK(case_now_ms() - start >= 29);
	struct timespec ts = {0, 20000000};
	CHECK_EQ(syscall(SYS_epoll_pwait2, ep, ev, 1, &ts, NULL, 0), 0);
	ts.tv_nsec = 1000000000;
	CHECK_ERRNO(syscall(SYS_epoll_pwait2, ep, ev, 1, &ts, NULL, 0), EINVAL);
}

CASE(epoll_wait_woken)
{
	int ep = CHECK_OK(epoll_create1(0)), p[2];
	struct epoll_event ev[1];
	CHECK_OK(pipe(p));
	CHECK_OK(add(ep, p[0], EPOLLIN, 3));
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		write(p[1], "x", 1);
	}
	CHECK_EQ(epoll_wait(ep, ev, 1, -1), 1);
	CHECK_EXITS(pid, 0);
}

static volatile int hits;

static void count(int sig)
{
	(void)sig;
	hits++;
}

CASE(epoll_wait_interrupted_even_with_restart)
{
	int ep = CHECK_OK(epoll_create1(0));
	struct epoll_event ev[1];
	struct sigaction sa = {.sa_handler = count, .sa_flags = SA_RESTART};
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		kill(parent, SIGUSR1);
	}
	CHECK_ERRNO(epoll_wait(ep, ev, 1, -1), EINTR);
	CHECK_EXITS(pid, 0);
}

CASE(epoll_pwait_mask)
{
	int ep = CHECK_OK(epoll_create1(0));
	struct epoll_event ev[1];
	struct sigaction sa = {.sa_handler = count};
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	sigset_t block, none;
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	CHECK_OK(sigprocmask(SIG_BLOCK, &block, NULL));
	raise(SIGUSR1);
	CHECK_EQ(epoll_pwait(ep, ev, 1, 0, NULL), 0);
	CHECK_ERRNO(epoll_pwait(ep, ev, 1, -1, &none), EINTR);
	CHECK_EQ(hits, 1);
}

CASE(epoll_closed_file_leaves)
{
	int ep = CHECK_OK(epoll_create1(0)), p[2];
	struct epoll_event ev[2];
	CHECK_OK(pipe(p));
	CHECK_OK(add(ep, p[1], EPOLLOUT, 1));
	int d = CHECK_OK(dup(p[1]));
	CHECK_OK(close(p[1]));
	// Another descriptor of it is still open: it is still told of.
	CHECK_EQ(epoll_wait(ep, ev, 2, 0), 1);
	CHECK_OK(close(d));
	CHECK_EQ(epoll_wait(ep, ev, 2, 0), 0);
}

CASE(epoll_in_epoll)
{
	int outer = CHECK_OK(epoll_create1(0)), inner = CHECK_OK(epoll_create1(0)), p[2];
	struct epoll_event ev[2];
	CHECK_OK(pipe(p));
	CHECK_OK(add(inner, p[0], EPOLLIN, 1));
	CHECK_OK(add(outer, inner, EPOLLIN, 2));
	CHECK_EQ(epoll_wait(outer, ev, 2, 0), 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(epoll_wait(outer, ev, 2, 0), 1);
	CHECK_EQ(ev[0].data.u64, 2);
	CHECK_ERRNO(add(inner, outer, EPOLLIN, 3), ELOOP);
}

CASE(epoll_many_are_told_in_turn)
{
	int ep = CHECK_OK(epoll_create1(0));
	int fd[10];
	for (int i = 0; i < 10; i++) {
		fd[i] = CHECK_OK(eventfd(1, 0));
		CHECK_OK(add(ep, fd[i], EPOLLIN, i));
	}
	int seen = 0;
	for (int round = 0; round < 5; round++) {
		struct epoll_event ev[2];
		CHECK_EQ(epoll_wait(ep, ev, 2, 0), 2);
		seen |= 1 << ev[0].data.u32 | 1 << ev[1].data.u32;
	}
	CHECK_EQ(seen, 1023);
}

CASE(epoll_exclusive)
{
	int ep = CHECK_OK(epoll_create1(0)), p[2];
	struct epoll_event ev[1], mod = {.events = EPOLLIN};
	CHECK_OK(pipe(p));
	CHECK_OK(add(ep, p[0], EPOLLIN | EPOLLEXCLUSIVE, 1));
	CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &mod), EINVAL);
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(epoll_wait(ep, ev, 1, 0), 1);
	CHECK_ERRNO(add(ep, p[1], EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 1), EINVAL);
}

CASE(epoll_is_pollable_itself)
{
	int ep = CHECK_OK(epoll_create1(0)), p[2];
	CHECK_OK(pipe(p));
	CHECK_OK(add(ep, p[1], EPOLLOUT, 1));
	fd_set r;
	FD_ZERO(&r);
	FD_SET(ep, &r);
	struct timeval tv = {0, 0};
	CHECK_EQ(select(ep + 1, &r, NULL, NULL, &tv), 1);
}
