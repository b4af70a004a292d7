// eventfd(2), timerfd(2), signalfd(2), pidfd(2).
// calls: eventfd, eventfd2, timerfd_create, timerfd_settime, timerfd_gettime, signalfd,
// calls: signalfd4, pidfd_open, pidfd_send_signal, pidfd_getfd
#include "case.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

CASE(eventfd_counts)
{
	int fd = CHECK_OK(eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC));
	uint64_t v = 5;
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(write(fd, &v, 8), 8);
	CHECK_EQ(read(fd, &v, 8), 8);
	CHECK_EQ(v, 8);
	CHECK_ERRNO(read(fd, &v, 8), EAGAIN);
}

CASE(eventfd_semaphore)
{
	int fd = CHECK_OK(eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE));
	uint64_t v;
	CHECK_EQ(read(fd, &v, 8), 8);
	CHECK_EQ(v, 1);
	CHECK_EQ(read(fd, &v, 8), 8);
	CHECK_ERRNO(read(fd, &v, 8), EAGAIN);
}

CASE(eventfd_errors)
{
	int fd = CHECK_OK(eventfd(0, EFD_NONBLOCK));
	uint64_t v = UINT64_MAX;
	CHECK_ERRNO(eventfd(0, 0x100), EINVAL);
	CHECK_ERRNO(write(fd, &v, 8), EINVAL);
	CHECK_ERRNO(write(fd, &v, 4), EINVAL);
	CHECK_ERRNO(read(fd, &v, 4), EINVAL);
	CHECK_ERRNO(pread(fd, &v, 8, 0), ESPIPE);
	v = UINT64_MAX - 1;
	CHECK_EQ(write(fd, &v, 8), 8);
	v = 1;
	CHECK_ERRNO(write(fd, &v, 8), EAGAIN);
	struct pollfd p = {fd, POLLIN | POLLOUT, 0};
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN);
}

CASE(eventfd_blocks)
{
	int fd = CHECK_OK(eventfd(0, 0));
	pid_t pid = CHILD
	{
		uint64_t v;
		CHECK_EQ(read(fd, &v, 8), 8);
		CHECK_EQ(v, 7);
	}
	case_wait_state(pid, "S");
	uint64_t v = 7;
	CHECK_EQ(write(fd, &v, 8), 8);
	CHECK_EXITS(pid, 0);
}

CASE(timerfd_relative)
{
	int fd = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	struct itimerspec it = {.it_value = {0, 20000000}}, now;
	uint64_t n = 0;
	CHECK_OK(timerfd_settime(fd, 0, &it, NULL));
	CHECK_OK(timerfd_gettime(fd, &now));
	CHECK(now.it_value.tv_sec == 0 && now.it_value.tv_nsec <= 20000000);
	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK_EQ(n, 1);
	CHECK_OK(timerfd_gettime(fd, &now));
	CHECK_EQ(now.it_value.tv_nsec, 0);
}

CASE(timerfd_interval)
{
	int fd = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	struct itimerspec it = {.it_value = {0, 5000000}, .it_interval = {0, 5000000}};
	uint64_t n = 0;
	CHECK_OK(timerfd_settime(fd, 0, &it, NULL));
	CHECK_ERRNO(read(fd, &n, 4), EINVAL);
	case_sleep_ms(40);
	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK(n >= 5);
	it.it_value.tv_nsec = it.it_interval.tv_nsec = 0;
	struct itimerspec old;
	CHECK_OK(timerfd_settime(fd, 0, &it, &old));
	CHECK_EQ(old.it_interval.tv_nsec, 5000000);
	case_sleep_ms(15);
	CHECK_ERRNO(read(fd, &n, 8), EAGAIN);
}

CASE(timerfd_absolute)
{
	int fd = CHECK_OK(timerfd_create(CLOCK_REALTIME, 0));
	struct itimerspec it = {0};
	uint64_t n = 0;
	clock_gettime(CLOCK_REALTIME, &it.it_value);
	it.it_value.tv_sec -= 1;
	CHECK_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL));
	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK_EQ(n, 1);
	struct pollfd p = {fd, POLLIN, 0};
	it.it_value.tv_sec += 1000;
	CHECK_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL));
	CHECK_EQ(poll(&p, 1, 0), 0);
}

CASE(timerfd_errors)
{
	int fd = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, 0)), p[2];
	struct itimerspec it = {.it_value = {0, 1000000000}};
	CHECK_OK(pipe(p));
	CHECK_ERRNO(timerfd_create(99, 0), EINVAL);
	CHECK_ERRNO(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
	CHECK_ERRNO(timerfd_settime(fd, 0, &it, NULL), EINVAL);
	it.it_value.tv_nsec = 0;
	CHECK_ERRNO(timerfd_settime(fd, 0x100, &it, NULL), EINVAL);
	CHECK_ERRNO(timerfd_settime(p[0], 0, &it, NULL), EINVAL);
	CHECK_ERRNO(timerfd_settime(99, 0, &it, NULL), EBADF);
	CHECK_ERRNO(timerfd_gettime(fd, BAD_POINTER), EFAULT);
}

static sigset_t set_of(int sig)
{
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, sig);
	return s;
}

CASE(signalfd_reads)
{
	sigset_t s = set_of(SIGUSR1);
	CHECK_OK(sigprocmask(SIG_BLOCK, &s, NULL));
	int fd = CHECK_OK(signalfd(-1, &s, SFD_NONBLOCK | SFD_CLOEXEC));
	struct signalfd_siginfo si;
	CHECK_ERRNO(read(fd, &si, sizeof si), EAGAIN);
	kill(getpid(), SIGUSR1);
	struct pollfd p = {fd, POLLIN, 0};
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(read(fd, &si, sizeof si), sizeof si);
	CHECK_EQ(si.ssi_signo, SIGUSR1);
	CHECK_EQ(si.ssi_pid, getpid());
	CHECK_EQ(si.ssi_code, SI_USER);
	CHECK_ERRNO(read(fd, &si, sizeof si), EAGAIN);
	CHECK_ERRNO(read(fd, &si, 10), EINVAL);
}

CASE(signalfd_several_and_change)
{
	sigset_t s = set_of(SIGUSR1), t = set_of(SIGUSR2);
	CHECK_OK(sigprocmask(SIG_BLOCK, &s, NULL));
	CHECK_OK(sigprocmask(SIG_BLOCK, &t, NULL));
	int fd = CHECK_OK(signalfd(-1, &s, SFD_NONBLOCK));
	kill(getpid(), SIGUSR2);
	struct signalfd_siginfo si[4];
	CHECK_ERRNO(read(fd, si, sizeof si), EAGAIN);
	sigaddset(&s, SIGUSR2);
	CHECK_EQ(signalfd(fd, &s, 0), fd);
	kill(getpid(), SIGUSR1);
	CHECK_EQ(read(fd, si, sizeof si), 2 * sizeof si[0]);
	CHECK_EQ(si[0].ssi_signo, SIGUSR1);
	CHECK_EQ(si[1].ssi_signo, SIGUSR2);
}

CASE(signalfd_blocks)
{
	sigset_t s = set_of(SIGCHLD);
	CHECK_OK(sigprocmask(SIG_BLOCK, &s, NULL));
	int fd = CHECK_OK(signalfd(-1, &s, 0));
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		_exit(3);
	}
	struct signalfd_siginfo si;
	CHECK_EQ(read(fd, &si, sizeof si), sizeof si);
	CHECK_EQ(si.ssi_signo, SIGCHLD);
	CHECK_EQ(si.ssi_pid, pid);
	CHECK_EQ(si.ssi_status, 3);
	CHECK_EQ(si.ssi_code, CLD_EXITED);
}

CASE(signalfd_errors)
{
	sigset_t s = set_of(SIGUSR1);
	int p[2];
	CHECK_OK(pipe(p));
	CHECK_ERRNO(signalfd(p[0], &s, 0), EINVAL);
	CHECK_ERRNO(signalfd(99, &s, 0), EBADF);
	CHECK_ERRNO(signalfd(-1, &s, 1), EINVAL);
	CHECK_ERRNO(syscall(SYS_signalfd4, -1, &s, 4, 0), EINVAL);
}

CASE(pidfd_waits_and_kills)
{
	pid_t pid = CHILD
	{
		pause();
	}
	int fd = CHECK_OK(syscall(SYS_pidfd_open, pid, 0));
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	struct pollfd p = {fd, POLLIN, 0};
	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_OK(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
	CHECK_OK(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
	CHECK_EQ(poll(&p, 1, 10000), 1);
	CHECK(p.revents & POLLIN);
	CHECK_KILLED(pid, SIGTERM);
	CHECK_ERRNO(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), ESRCH);
}

CASE(pidfd_errors)
{
	CHECK_ERRNO(syscall(SYS_pidfd_open, 4000000, 0), ESRCH);
	CHECK_ERRNO(syscall(SYS_pidfd_open, 0, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_pidfd_open, getpid(), 1), EINVAL);
	CHECK_ERRNO(syscall(SYS_pidfd_send_signal, 99, 0, NULL, 0), EBADF);
	CHECK_ERRNO(syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0), EBADF);
}

CASE(pidfd_getfd_takes_a_file)
{
	int p[2];
	CHECK_OK(pipe(p));
	int go[2];
	char c;
	CHECK_OK(pipe(go));
	pid_t pid = CHILD
	{
		int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
		CHECK_EQ(dup2(fd, 60), 60);
		CHECK_EQ(write(fd, "abc", 3), 3);
		write(go[1], "x", 1);
		pause();
	}
	CHECK_EQ(read(go[0], &c, 1), 1);
	int fd = CHECK_OK(syscall(SYS_pidfd_open, pid, 0));
	int got = CHECK_OK(syscall(SYS_pidfd_getfd, fd, 60, 0));
	CHECK_EQ(lseek(got, 0, SEEK_CUR), 3);
	CHECK_ERRNO(syscall(SYS_pidfd_getfd, fd, 61, 0), EBADF);
	kill(pid, SIGKILL);
}

CASE(pidfd_from_clone)
{
	int fd = -1;
	pid_t pid = syscall(SYS_clone, SIGCHLD | CLONE_PIDFD, 0, &fd, 0, 0);
	if (pid == 0)
		_exit(4);
	CHECK(pid > 0);
	CHECK(fd >= 3);
	siginfo_t si;
	CHECK_OK(waitid(P_PIDFD, fd, &si, WEXITED));
	CHECK_EQ(si.si_status, 4);
}
