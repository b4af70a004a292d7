// Descriptors: dup, fcntl, ioctl on any file, close_range.
// calls: dup, dup2, dup3, fcntl, close_range, ioctl
#include "case.h"
#include <linux/close_range.h>
#include <sys/ioctl.h>

static int null(void)
{
	return CHECK_OK(open("/dev/null", O_RDWR));
}

CASE(dup_lowest)
{
	CHECK_EQ(dup(1), 3);
	CHECK_EQ(dup(1), 4);
	CHECK_OK(close(3));
	CHECK_EQ(dup(1), 3);
	CHECK_ERRNO(dup(99), EBADF);
	CHECK_ERRNO(dup(-1), EBADF);
}

CASE(dup_shares_offset_not_flags)
{
	int a = CHECK_OK(open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	int b = CHECK_OK(dup(a));
	CHECK_EQ(write(a, "abc", 3), 3);
	CHECK_EQ(lseek(b, 0, SEEK_CUR), 3);
	CHECK_EQ(fcntl(b, F_GETFD), 0);
	CHECK_OK(fcntl(b, F_SETFL, O_APPEND));
	CHECK(fcntl(a, F_GETFL) & O_APPEND);
}

CASE(dup2_behaviour)
{
	int a = null();
	CHECK_EQ(dup2(a, 50), 50);
	CHECK_EQ(dup2(a, a), a);
	CHECK_ERRNO(dup2(99, 99), EBADF);
	CHECK_ERRNO(dup2(99, 50), EBADF);
	CHECK_OK(fcntl(50, F_GETFD));
	CHECK_ERRNO(dup2(a, -1), EBADF);
	int p[2];
	CHECK_OK(pipe(p));
	// The old file at the number is closed.
	CHECK_EQ(dup2(a, p[1]), p[1]);
	char c;
	CHECK_EQ(read(p[0], &c, 1), 0);
}

CASE(dup3_behaviour)
{
	int a = null();
	CHECK_EQ(dup3(a, 50, O_CLOEXEC), 50);
	CHECK_EQ(fcntl(50, F_GETFD), FD_CLOEXEC);
	CHECK_ERRNO(dup3(a, a, 0), EINVAL);
	CHECK_ERRNO(dup3(a, 51, O_NONBLOCK), EINVAL);
	CHECK_ERRNO(dup3(99, 51, 0), EBADF);
}

CASE(dup_limit)
{
	struct rlimit rl = {10, 20};
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &rl));
	CHECK_ERRNO(dup2(0, 10), EBADF);
	CHECK_EQ(dup2(0, 9), 9);
	CHECK_ERRNO(fcntl(0, F_DUPFD, 10), EINVAL);
	for (int i = 3; i < 9; i++)
		CHECK_EQ(dup(0), i);
	CHECK_ERRNO(dup(0), EMFILE);
	CHECK_ERRNO(fcntl(0, F_DUPFD, 5), EMFILE);
}

CASE(fcntl_dupfd)
{
	int a = null();
	CHECK_EQ(fcntl(a, F_DUPFD, 20), 20);
	CHECK_EQ(fcntl(a, F_DUPFD, 20), 21);
	CHECK_EQ(fcntl(a, F_DUPFD_CLOEXEC, 20), 22);
	CHECK_EQ(fcntl(22, F_GETFD), FD_CLOEXEC);
	CHECK_ERRNO(fcntl(a, F_DUPFD, -1), EINVAL);
	CHECK_ERRNO(fcntl(99, F_DUPFD, 0), EBADF);
}

CASE(fcntl_flags)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT | O_TRUNC, 0644));
	// Creation flags are not kept.
	CHECK_EQ(fcntl(fd, F_GETFL), O_RDWR | 0100000);
	CHECK_OK(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK | O_WRONLY));
	CHECK_EQ(fcntl(fd, F_GETFL), O_RDWR | O_APPEND | O_NONBLOCK | 0100000);
	CHECK_OK(fcntl(fd, F_SETFD, FD_CLOEXEC));
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_OK(fcntl(fd, F_SETFD, 0));
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	CHECK_ERRNO(fcntl(fd, 9999, 0), EINVAL);
	CHECK_ERRNO(fcntl(99, F_GETFL), EBADF);
}

CASE(fcntl_owner)
{
	int p[2];
	CHECK_OK(pipe(p));
	CHECK_EQ(fcntl(p[0], F_GETOWN), 0);
	CHECK_OK(fcntl(p[0], F_SETOWN, getpid()));
	CHECK_EQ(fcntl(p[0], F_GETOWN), getpid());
	struct f_owner_ex ex = {-1, -1};
	CHECK_OK(fcntl(p[0], F_GETOWN_EX, &ex));
	CHECK_EQ(ex.type, F_OWNER_PID);
	CHECK_EQ(ex.pid, getpid());
	CHECK_OK(fcntl(p[0], F_SETSIG, SIGUSR1));
	CHECK_EQ(fcntl(p[0], F_GETSIG), SIGUSR1);
}

static volatile int hits, info_fd;

static void on_io(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	hits++;
	info_fd = si->si_fd;
}

CASE(fcntl_async_signal)
{
	int p[2];
	CHECK_OK(pipe(p));
	struct sigaction sa = {.sa_sigaction = on_io, .sa_flags = SA_SIGINFO};
	CHECK_OK(sigaction(SIGIO, &sa, NULL));
	CHECK_OK(fcntl(p[0], F_SETSIG, SIGIO));
	CHECK_OK(fcntl(p[0], F_SETOWN, getpid()));
	CHECK_OK(fcntl(p[0], F_SETFL, O_ASYNC));
	CHECK_EQ(write(p[1], "x", 1), 1);
	for (int i = 0; i < 1000 && !hits; i++)
		case_sleep_ms(1);
	CHECK_EQ(hits, 1);
	CHECK_EQ(info_fd, p[0]);
}

CASE(ioctl_common)
{
	int p[2], on = 1, n = -1;
	CHECK_OK(pipe(p));
	CHECK_OK(ioctl(p[0], FIONBIO, &on));
	CHECK(fcntl(p[0], F_GETFL) & O_NONBLOCK);
	CHECK_OK(ioctl(p[0], FIOCLEX));
	CHECK_EQ(fcntl(p[0], F_GETFD), FD_CLOEXEC);
	CHECK_OK(ioctl(p[0], FIONCLEX));
	CHECK_EQ(fcntl(p[0], F_GETFD), 0);
	CHECK_EQ(write(p[1], "abc", 3), 3);
	CHECK_OK(ioctl(p[0], FIONREAD, &n));
	CHECK_EQ(n, 3);
	CHECK_ERRNO(ioctl(p[0], FIONREAD, BAD_POINTER), EFAULT);
	CHECK_ERRNO(ioctl(p[0], TCGETS, &n), ENOTTY);
	CHECK_ERRNO(ioctl(99, FIONREAD, &n), EBADF);
	int f = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_ERRNO(ioctl(f, TCGETS, &n), ENOTTY);
	CHECK_ERRNO(ioctl(f, TIOCGWINSZ, &n), ENOTTY);
	CHECK_EQ(write(f, "12345", 5), 5);
	CHECK_EQ(lseek(f, 2, SEEK_SET), 2);
	CHECK_OK(ioctl(f, FIONREAD, &n));
	CHECK_EQ(n, 3);
}

CASE(close_range_closes)
{
	for (int i = 10; i < 20; i++)
		CHECK_EQ(dup2(0, i), i);
	CHECK_OK(close_range(12, 15, 0));
	for (int i = 10; i < 20; i++)
		CHECK_EQ(fcntl(i, F_GETFD) >= 0, !(i >= 12 && i <= 15));
	CHECK_OK(close_range(16, 17, CLOSE_RANGE_CLOEXEC));
	CHECK_EQ(fcntl(16, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(18, F_GETFD), 0);
	CHECK_OK(close_range(18, ~0U, 0));
	CHECK_ERRNO(fcntl(19, F_GETFD), EBADF);
	CHECK_ERRNO(close_range(5, 4, 0), EINVAL);
	CHECK_ERRNO(close_range(5, 6, 8), EINVAL);
}

CASE(close_range_unshare)
{
	CHECK_EQ(dup2(0, 10), 10);
	CHECK_OK(close_range(10, 10, CLOSE_RANGE_UNSHARE));
	CHECK_ERRNO(fcntl(10, F_GETFD), EBADF);
}

static void *closes(void *arg)
{
	close(*(int *)arg);
	return NULL;
}

CASE(fdtable_shared_by_threads)
{
	int fd = null();
	pthread_t t;
	CHECK_THREAD(pthread_create(&t, NULL, closes, &fd));
	CHECK_THREAD(pthread_join(t, NULL));
	CHECK_ERRNO(fcntl(fd, F_GETFD), EBADF);
}

static void *unshares(void *arg)
{
	CHECK_OK(unshare(CLONE_FILES));
	close(*(int *)arg);
	return NULL;
}

CASE(fdtable_unshared)
{
	int fd = null();
	pthread_t t;
	CHECK_THREAD(pthread_create(&t, NULL, unshares, &fd));
	CHECK_THREAD(pthread_join(t, NULL));
	CHECK_OK(fcntl(fd, F_GETFD));
}

CASE(fdtable_close_while_another_reads)
{
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	pid_t pid = CHILD
	{
		CHECK_EQ(read(p[0], &c, 1), 1);
	}
	case_wait_state(pid, "S");
	CHECK_OK(close(p[0]));
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EXITS(pid, 0);
}

CASE(fdtable_many)
{
	struct rlimit rl;
	CHECK_OK(getrlimit(RLIMIT_NOFILE, &rl));
	int max = rl.rlim_cur > 900 ? 900 : (int)rl.rlim_cur;
	int got = 0;
	while (got < max - 20) {
		int fd = dup(0);
		CHECK(fd >= 0);
		got = fd;
	}
	CHECK_OK(close(100));
	CHECK_EQ(dup(0), 100);
}

CASE(proc_self_fd)
{
	char buf[PATH_MAX] = {0}, want[PATH_MAX];
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK(realpath("f", want));
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK(readlink(path, buf, sizeof buf - 1) > 0);
	CHECK_STR(buf, want);
	CHECK_EQ(write(fd, "abc", 3), 3);
	int again = CHECK_OK(open(path, O_RDONLY));
	CHECK_EQ(lseek(again, 0, SEEK_CUR), 0);
	snprintf(path, sizeof path, "/dev/fd/%d", fd);
	CHECK_OK(open(path, O_RDONLY));
	CHECK_OK(unlink("f"));
	memset(buf, 0, sizeof buf);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK(readlink(path, buf, sizeof buf - 1) > 0);
	strcat(want, " (deleted)");
	CHECK_STR(buf, want);
	CHECK_OK(open(path, O_RDONLY));
	int p[2];
	CHECK_OK(pipe(p));
	memset(buf, 0, sizeof buf);
	snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
	CHECK(readlink(path, buf, sizeof buf - 1) > 0);
	CHECK(!strncmp(buf, "pipe:[", 6));
}
