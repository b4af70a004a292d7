// flock(2) and fcntl(2) record locks, of process and of open file description.
// calls: flock, fcntl
#include "case.h"
#include <sys/file.h>

static int file(void)
{
	return CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
}

static struct flock range(int type, off_t start, off_t len)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
	return l;
}

static int set(int fd, int type, off_t start, off_t len)
{
	struct flock l = range(type, start, len);
	return fcntl(fd, F_SETLK, &l);
}

CASE(flock_exclusive)
{
	int a = file(), b = file();
	CHECK_OK(flock(a, LOCK_EX));
	CHECK_ERRNO(flock(b, LOCK_EX | LOCK_NB), EAGAIN);
	CHECK_ERRNO(flock(b, LOCK_SH | LOCK_NB), EAGAIN);
	CHECK_OK(flock(a, LOCK_UN));
	CHECK_OK(flock(b, LOCK_EX | LOCK_NB));
}

CASE(flock_shared)
{
	int a = file(), b = file();
	CHECK_OK(flock(a, LOCK_SH));
	CHECK_OK(flock(b, LOCK_SH | LOCK_NB));
	CHECK_ERRNO(flock(a, LOCK_EX | LOCK_NB), EAGAIN);
}

CASE(flock_belongs_to_the_description)
{
	int a = file(), b = file();
	int c = CHECK_OK(dup(a));
	CHECK_OK(flock(a, LOCK_EX));
	CHECK_OK(flock(c, LOCK_EX | LOCK_NB));
	CHECK_OK(close(a));
	CHECK_ERRNO(flock(b, LOCK_EX | LOCK_NB), EAGAIN);
	CHECK_OK(close(c));
	CHECK_OK(flock(b, LOCK_EX | LOCK_NB));
}

CASE(flock_errors)
{
	int a = file();
	CHECK_ERRNO(flock(a, 0), EINVAL);
	CHECK_ERRNO(flock(a, 77), EINVAL);
	CHECK_ERRNO(flock(99, LOCK_SH), EBADF);
}

CASE(flock_waits)
{
	int a = file();
	CHECK_OK(flock(a, LOCK_EX));
	pid_t pid = CHILD
	{
		close(a);
		int b = file();
		CHECK_OK(flock(b, LOCK_EX));
	}
	case_wait_state(pid, "S");
	CHECK_OK(flock(a, LOCK_UN));
	CHECK_EXITS(pid, 0);
}

static void on_signal(int sig)
{
	(void)sig;
}

CASE(flock_interrupted)
{
	int a = file();
	CHECK_OK(flock(a, LOCK_EX));
	pid_t pid = CHILD
	{
		close(a);
		struct sigaction sa = {.sa_handler = on_signal};
		sigaction(SIGUSR1, &sa, NULL);
		int b = file();
		CHECK_ERRNO(flock(b, LOCK_EX), EINTR);
	}
	case_wait_state(pid, "S");
	CHECK_OK(kill(pid, SIGUSR1));
	CHECK_EXITS(pid, 0);
}

CASE(flock_kept_over_fork_released_at_last_close)
{
	int a = file(), b = file();
	CHECK_OK(flock(a, LOCK_EX));
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	pid_t pid = CHILD
	{
		close(p[1]);
		read(p[0], &c, 1);
	}
	CHECK_OK(close(a));
	CHECK_ERRNO(flock(b, LOCK_EX | LOCK_NB), EAGAIN);
	close(p[1]);
	CHECK_EXITS(pid, 0);
	CHECK_OK(flock(b, LOCK_EX | LOCK_NB));
}

CASE(posix_lock_between_processes)
{
	int a = file();
	CHECK_OK(set(a, F_WRLCK, 0, 10));
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		CHECK_ERRNO(set(a, F_WRLCK, 5, 1), EAGAIN);
		CHECK_ERRNO(set(a, F_RDLCK, 0, 0), EAGAIN);
		CHECK_OK(set(a, F_WRLCK, 10, 10));
		struct flock l = range(F_WRLCK, 3, 0);
		CHECK_OK(fcntl(a, F_GETLK, &l));
		CHECK_EQ(l.l_type, F_WRLCK);
		CHECK_EQ(l.l_start, 0);
		CHECK_EQ(l.l_len, 10);
		CHECK_EQ(l.l_pid, parent);
		l = range(F_WRLCK, 10, 10);
		CHECK_OK(fcntl(a, F_GETLK, &l));
		CHECK_EQ(l.l_type, F_UNLCK);
	}
	CHECK_EXITS(pid, 0);
}

CASE(posix_lock_same_process_replaces)
{
	int a = file(), b = file();
	CHECK_OK(set(a, F_WRLCK, 0, 10));
	CHECK_OK(set(b, F_WRLCK, 0, 10));
	CHECK_OK(set(b, F_RDLCK, 0, 5));
	pid_t pid = CHILD
	{
		CHECK_OK(set(a, F_RDLCK, 0, 5));
		CHECK_ERRNO(set(a, F_RDLCK, 5, 5), EAGAIN);
	}
	CHECK_EXITS(pid, 0);
}

CASE(posix_lock_split_and_merge)
{
	int a = file();
	CHECK_OK(set(a, F_WRLCK, 0, 30));
	CHECK_OK(set(a, F_UNLCK, 10, 10));
	pid_t pid = CHILD
	{
		CHECK_OK(set(a, F_WRLCK, 10, 10));
		struct flock l = range(F_WRLCK, 0, 0);
		CHECK_OK(fcntl(a, F_GETLK, &l));
		CHECK_EQ(l.l_start, 0);
		CHECK_EQ(l.l_len, 10);
		l = range(F_WRLCK, 15, 0);
		CHECK_OK(fcntl(a, F_GETLK, &l));
		CHECK_EQ(l.l_start, 20);
		CHECK_EQ(l.l_len, 10);
	}
	CHECK_EXITS(pid, 0);
	CHECK_OK(set(a, F_WRLCK, 10, 10));
	pid = CHILD
	{
		struct flock l = range(F_WRLCK, 15, 1);
		CHECK_OK(fcntl(a, F_GETLK, &l));
		CHECK_EQ(l.l_start, 0);
		CHECK_EQ(l.l_len, 30);
	}
	CHECK_EXITS(pid, 0);
}

CASE(posix_lock_released_by_any_close)
{
	int a = file(), b = file();
	CHECK_OK(set(a, F_WRLCK, 0, 0));
	CHECK_OK(close(b));
	pid_t pid = CHILD
	{
		CHECK_OK(set(a, F_WRLCK, 0, 0));
	}
	CHECK_EXITS(pid, 0);
}

CASE(posix_lock_released_by_exit)
{
	int a = file();
	pid_t pid = CHILD
	{
		CHECK_OK(set(a, F_WRLCK, 0, 0));
	}
	CHECK_EXITS(pid, 0);
	CHECK_OK(set(a, F_WRLCK, 0, 0));
}

CASE(posix_lock_waits)
{
	int a = file();
	CHECK_OK(set(a, F_WRLCK, 0, 0));
	pid_t pid = CHILD
	{
		struct flock l = range(F_WRLCK, 0, 0);
		CHECK_OK(fcntl(a, F_SETLKW, &l));
	}
	case_wait_state(pid, "S");
	CHECK_OK(set(a, F_UNLCK, 0, 0));
	CHECK_EXITS(pid, 0);
}

CASE(posix_lock_deadlock)
{
	int a = file();
	CHECK_OK(set(a, F_WRLCK, 0, 1));
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	pid_t pid = CHILD
	{
		CHECK_OK(set(a, F_WRLCK, 1, 1));
		write(p[1], "x", 1);
		struct flock l = range(F_WRLCK, 0, 1);
		CHECK_OK(fcntl(a, F_SETLKW, &l));
	}
	CHECK_EQ(read(p[0], &c, 1), 1);
	case_wait_state(pid, "S");
	struct flock l = range(F_WRLCK, 1, 1);
	CHECK_ERRNO(fcntl(a, F_SETLKW, &l), EDEADLK);
	CHECK_OK(set(a, F_UNLCK, 0, 1));
	CHECK_EXITS(pid, 0);
}

CASE(posix_lock_interrupted)
{
	int a = file();
	CHECK_OK(set(a, F_WRLCK, 0, 0));
	pid_t pid = CHILD
	{
		struct sigaction sa = {.sa_handler = on_signal};
		sigaction(SIGUSR1, &sa, NULL);
		struct flock l = range(F_WRLCK, 0, 0);
		CHECK_ERRNO(fcntl(a, F_SETLKW, &l), EINTR);
	}
	case_wait_state(pid, "S");
	CHECK_OK(kill(pid, SIGUSR1));
	CHECK_EXITS(pid, 0);
}

CASE(posix_lock_errors)
{
	int a = file(), r = CHECK_OK(open("f", O_RDONLY)), w = CHECK_OK(open("f", O_WRONLY));
	CHECK_ERRNO(set(r, F_WRLCK, 0, 0), EBADF);
	CHECK_ERRNO(set(w, F_RDLCK, 0, 0), EBADF);
	CHECK_ERRNO(set(a, 77, 0, 0), EINVAL);
	CHECK_ERRNO(set(a, F_WRLCK, -5, 1), EINVAL);
	CHECK_ERRNO(fcntl(a, F_SETLK, BAD_POINTER), EFAULT);
	struct flock l = {.l_type = F_WRLCK, .l_whence = 9};
	CHECK_ERRNO(fcntl(a, F_SETLK, &l), EINVAL);
}

CASE(posix_lock_whence)
{
	int a = file();
	CHECK_OK(ftruncate(a, 100));
	CHECK_OK(lseek(a, 50, SEEK_SET));
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = -10, .l_len = 5};
	CHECK_OK(fcntl(a, F_SETLK, &l));
	// A negative length reaches back.
	l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = 0, .l_len = -10};
	CHECK_OK(fcntl(a, F_SETLK, &l));
	pid_t pid = CHILD
	{
		l = range(F_WRLCK, 0, 50);
		CHECK_OK(fcntl(a, F_GETLK, &l));
		CHECK_EQ(l.l_start, 40);
		CHECK_EQ(l.l_len, 5);
		l = range(F_WRLCK, 60, 0);
		CHECK_OK(fcntl(a, F_GETLK, &l));
		CHECK_EQ(l.l_start, 90);
		CHECK_EQ(l.l_len, 10);
	}
	CHECK_EXITS(pid, 0);
}

CASE(ofd_lock_belongs_to_description)
{
	int a = file(), b = file();
	struct flock l = range(F_WRLCK, 0, 0);
	CHECK_OK(fcntl(a, F_OFD_SETLK, &l));
	CHECK_ERRNO(fcntl(b, F_OFD_SETLK, &l), EAGAIN);
	CHECK_ERRNO(fcntl(b, F_SETLK, &l), EAGAIN);
	l = range(F_WRLCK, 0, 0);
	CHECK_OK(fcntl(b, F_OFD_GETLK, &l));
	CHECK_EQ(l.l_type, F_WRLCK);
	CHECK_EQ(l.l_pid, -1);
	CHECK_OK(close(a));
	l = range(F_WRLCK, 0, 0);
	CHECK_OK(fcntl(b, F_OFD_SETLK, &l));
	l.l_pid = 1;
	CHECK_ERRNO(fcntl(b, F_OFD_SETLK, &l), EINVAL);
}

CASE(flock_and_posix_do_not_meet)
{
	int a = file(), b = file();
	CHECK_OK(flock(a, LOCK_EX));
	pid_t pid = CHILD
	{
		CHECK_OK(set(b, F_WRLCK, 0, 0));
	}
	CHECK_EXITS(pid, 0);
}

CASE(lease_basics)
{
	int fd = CHECK_OK(open("f", O_RDONLY | O_CREAT, 0644));
	CHECK_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
}
