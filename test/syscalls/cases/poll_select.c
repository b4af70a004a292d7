// poll(2), ppoll(2), select(2), pselect(2).
// calls: poll, ppoll, select, pselect6
#include "case.h"
#include <poll.h>
#include <sys/select.h>

static volatile int hits;

static void count(int sig)
{
	(void)sig;
	hits++;
}

CASE(poll_reports)
{
	int p[2];
	CHECK_OK(pipe(p));
	int f = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	struct pollfd fds[4] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}, {f, POLLIN | POLLOUT, 0}, {-1, POLLIN, 7}};
	CHECK_EQ(poll(fds, 4, 0), 2);
	CHECK_EQ(fds[0].revents, 0);
	CHECK_EQ(fds[1].revents, POLLOUT);
	CHECK_EQ(fds[2].revents, POLLIN | POLLOUT);
	CHECK_EQ(fds[3].revents, 0);
}

CASE(poll_bad_descriptor)
{
	struct pollfd fd = {99, POLLIN, 0};
	CHECK_EQ(poll(&fd, 1, -1), 1);
	CHECK_EQ(fd.revents, POLLNVAL);
}

CASE(poll_errors)
{
	CHECK_ERRNO(poll(BAD_POINTER, 1, 0), EFAULT);
	struct rlimit rl = {10, 10};
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &rl));
	CHECK_ERRNO(syscall(SYS_poll, NULL, 11, 0), EINVAL);
	CHECK_EQ(poll(NULL, 0, 0), 0);
}

CASE(poll_times_out)
{
	int64_t start = case_now_ms();
	CHECK_EQ(poll(NULL, 0, 30), 0);
	CHECK(case_now_ms() - start >= 29);
}

CASE(poll_woken)
{
	int p[2];
	CHECK_OK(pipe(p));
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		write(p[1], "x", 1);
	}
	struct pollfd fd = {p[0], POLLIN, 0};
	CHECK_EQ(poll(&fd, 1, 10000), 1);
	CHECK_EQ(fd.revents, POLLIN);
	CHECK_EXITS(pid, 0);
}

CASE(poll_interrupted)
{
	struct sigaction sa = {.sa_handler = count, .sa_flags = SA_RESTART};
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		kill(parent, SIGUSR1);
	}
	CHECK_ERRNO(poll(NULL, 0, 10000), EINTR);
	CHECK_EXITS(pid, 0);
}

CASE(poll_goes_on_after_stop)
{
	pid_t pid = CHILD
	{
		int64_t start = case_now_ms();
		CHECK_EQ(poll(NULL, 0, 200), 0);
		CHECK(case_now_ms() - start >= 199);
	}
	int st;
	case_wait_state(pid, "S");
	kill(pid, SIGSTOP);
	CHECK_EQ(waitpid(pid, &st, WUNTRACED), pid);
	kill(pid, SIGCONT);
	CHECK_EXITS(pid, 0);
}

CASE(ppoll_mask_and_time)
{
	struct sigaction sa = {.sa_handler = count};
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	sigset_t block, none;
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	CHECK_OK(sigprocmask(SIG_BLOCK, &block, NULL));
	raise(SIGUSR1);
	struct timespec ts = {0, 10000000};
	CHECK_EQ(ppoll(NULL, 0, &ts, NULL), 0);
	ts.tv_sec = 10;
	CHECK_ERRNO(ppoll(NULL, 0, &ts, &none), EINTR);
	CHECK_EQ(hits, 1);
	sigset_t now;
	CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &now));
	CHECK(sigismember(&now, SIGUSR1));
	ts.tv_nsec = -1;
	CHECK_ERRNO(ppoll(NULL, 0, &ts, NULL), EINVAL);
}

CASE(select_reports)
{
	int p[2];
	CHECK_OK(pipe(p));
	fd_set r, w;
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(p[0], &r);
	FD_SET(p[1], &w);
	struct timeval tv = {0, 0};
	CHECK_EQ(select(p[1] + 1, &r, &w, NULL, &tv), 1);
	CHECK(!FD_ISSET(p[0], &r));
	CHECK(FD_ISSET(p[1], &w));
	CHECK_EQ(write(p[1], "x", 1), 1);
	FD_SET(p[0], &r);
	CHECK_EQ(select(p[1] + 1, &r, &w, NULL, NULL), 2);
}

CASE(select_errors)
{
	fd_set r;
	FD_ZERO(&r);
	FD_SET(99, &r);
	struct timeval tv = {0, 0};
	CHECK_ERRNO(select(100, &r, NULL, NULL, &tv), EBADF);
	CHECK_ERRNO(select(-1, NULL, NULL, NULL, &tv), EINVAL);
	tv.tv_usec = -1;
	CHECK_ERRNO(select(0, NULL, NULL, NULL, &tv), EINVAL);
	CHECK_ERRNO(syscall(SYS_select, 10, BAD_POINTER, NULL, NULL, NULL), EFAULT);
}

CASE(select_tells_time_left)
{
	struct timeval tv = {0, 30000};
	int64_t start = case_now_ms();
	CHECK_EQ(select(0, NULL, NULL, NULL, &tv), 0);
	CHECK(case_now_ms() - start >= 29);
	CHECK_EQ(tv.tv_sec + tv.tv_usec, 0);
	int p[2];
	CHECK_OK(pipe(p));
	fd_set w;
	FD_ZERO(&w);
	FD_SET(p[1], &w);
	tv.tv_sec = 100;
	CHECK_EQ(select(p[1] + 1, NULL, &w, NULL, &tv), 1);
	CHECK(tv.tv_sec >= 98);
}

CASE(pselect_mask)
{
	struct sigaction sa = {.sa_handler = count};
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	sigset_t block, none;
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	CHECK_OK(sigprocmask(SIG_BLOCK, &block, NULL));
	raise(SIGUSR1);
	struct timespec ts = {10, 0};
	CHECK_ERRNO(pselect(0, NULL, NULL, NULL, &ts, &none), EINTR);
	CHECK_EQ(hits, 1);
}

CASE(poll_files_and_directories_are_ready)
{
	int d = CHECK_OK(open(".", O_RDONLY)), n = CHECK_OK(open("/dev/null", O_RDWR));
	struct pollfd fds[2] = {{d, POLLIN | POLLOUT, 0}, {n, POLLIN | POLLOUT, 0}};
	CHECK_EQ(poll(fds, 2, 0), 2);
	CHECK_EQ(fds[0].revents, POLLIN | POLLOUT);
	CHECK_EQ(fds[1].revents, POLLIN | POLLOUT);
}
