// pipe(2), pipe2(2): data, ends of file, capacities, blocking.
// calls: pipe, pipe2
#include "case.h"
#include <poll.h>
#include <sys/ioctl.h>

CASE(pipe_carries_bytes)
{
	int p[2];
	char buf[16];
	CHECK_OK(pipe(p));
	CHECK_EQ(write(p[1], "hello", 5), 5);
	CHECK_EQ(read(p[0], buf, sizeof buf), 5);
	CHECK(!memcmp(buf, "hello", 5));
}

CASE(pipe_takes_lowest_descriptors)
{
	int p[2];
	CHECK_OK(pipe(p));
	CHECK_EQ(p[0], 3);
	CHECK_EQ(p[1], 4);
}

CASE(pipe2_rejects_unknown_flags)
{
	int p[2];
	CHECK_ERRNO(pipe2(p, 1), EINVAL);
	CHECK_ERRNO(pipe2(p, O_APPEND), EINVAL);
}

CASE(pipe_bad_pointer)
{
	CHECK_ERRNO(syscall(SYS_pipe, BAD_POINTER), EFAULT);
	// Nothing may stay open.
	int p[2];
	CHECK_OK(pipe(p));
	CHECK_EQ(p[0], 3);
}

CASE(pipe_emfile)
{
	struct rlimit rl = {4, 4};
	int p[2];
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &rl));
	CHECK_ERRNO(pipe(p), EMFILE);
	CHECK_EQ(dup(0), 3);
}

CASE(pipe2_cloexec)
{
	int p[2];
	CHECK_OK(pipe2(p, O_CLOEXEC));
	CHECK_EQ(fcntl(p[0], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(p[1], F_GETFD), FD_CLOEXEC);
}

CASE(pipe2_nonblock)
{
	int p[2];
	char c;
	CHECK_OK(pipe2(p, O_NONBLOCK));
	CHECK_EQ(fcntl(p[0], F_GETFL), O_RDONLY | O_NONBLOCK);
	CHECK_EQ(fcntl(p[1], F_GETFL), O_WRONLY | O_NONBLOCK);
	CHECK_ERRNO(read(p[0], &c, 1), EAGAIN);
}

CASE(pipe_read_at_end_of_file)
{
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_OK(close(p[1]));
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(read(p[0], &c, 1), 0);
	CHECK_EQ(read(p[0], &c, 1), 0);
}

CASE(pipe_write_without_reader)
{
	int p[2];
	CHECK_OK(pipe(p));
	CHECK_OK(close(p[0]));
	signal(SIGPIPE, SIG_IGN);
	CHECK_ERRNO(write(p[1], "x", 1), EPIPE);
}

CASE(pipe_write_without_reader_kills)
{
	int p[2];
	CHECK_OK(pipe(p));
	CHECK_OK(close(p[0]));
	pid_t pid = CHILD
	{
		write(p[1], "x", 1);
	}
	CHECK_KILLED(pid, SIGPIPE);
}

CASE(pipe_wrong_direction)
{
	int p[2];
	char c = 0;
	CHECK_OK(pipe(p));
	CHECK_ERRNO(write(p[0], &c, 1), EBADF);
	CHECK_ERRNO(read(p[1], &c, 1), EBADF);
}

CASE(pipe_not_seekable)
{
	int p[2];
	char c = 0;
	CHECK_OK(pipe(p));
	CHECK_ERRNO(lseek(p[0], 0, SEEK_CUR), ESPIPE);
	CHECK_ERRNO(pread(p[0], &c, 1, 0), ESPIPE);
	CHECK_ERRNO(pwrite(p[1], &c, 1, 0), ESPIPE);
}

CASE(pipe_default_capacity)
{
	int p[2];
	static char page[4096];
	CHECK_OK(pipe2(p, O_NONBLOCK));
	CHECK_EQ(fcntl(p[0], F_GETPIPE_SZ), 65536);
	for (int i = 0; i < 16; i++)
		CHECK_EQ(write(p[1], page, sizeof page), sizeof page);
	CHECK_ERRNO(write(p[1], page, 1), EAGAIN);
	CHECK_EQ(read(p[0], page, sizeof page), sizeof page);
	CHECK_EQ(write(p[1], page, sizeof page), sizeof page);
}

CASE(pipe_set_capacity)
{
	int p[2];
	static char page[65536];
	CHECK_OK(pipe2(p, O_NONBLOCK));
	CHECK_EQ(fcntl(p[1], F_SETPIPE_SZ, 100), 4096);
	CHECK_EQ(fcntl(p[1], F_GETPIPE_SZ), 4096);
	CHECK_EQ(fcntl(p[1], F_SETPIPE_SZ, 5000), 8192);
	CHECK_EQ(fcntl(p[1], F_SETPIPE_SZ, 1 << 20), 1 << 20);
	for (int i = 0; i < 16; i++)
		CHECK_EQ(write(p[1], page, sizeof page), sizeof page);
	CHECK_ERRNO(write(p[1], page, 1), EAGAIN);
	// Too small for what is inside.
	CHECK_ERRNO(fcntl(p[1], F_SETPIPE_SZ, 4096), EBUSY);
}

CASE(pipe_size_wrong_file)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_ERRNO(fcntl(fd, F_GETPIPE_SZ), EBADF);
}

CASE(pipe_small_write_is_whole_or_nothing)
{
	int p[2];
	static char buf[65536];
	CHECK_OK(pipe2(p, O_NONBLOCK));
	CHECK_EQ(write(p[1], buf, 65536 - 100), 65536 - 100);
	// PIPE_BUF bytes do not fit: none is written.
	CHECK_ERRNO(write(p[1], buf, 4096), EAGAIN);
	int n = 0;
	CHECK_OK(ioctl(p[0], FIONREAD, &n));
	CHECK_EQ(n, 65536 - 100);
}

CASE(pipe_large_nonblocking_write_is_partial)
{
	int p[2];
	static char buf[100000];
	CHECK_OK(pipe2(p, O_NONBLOCK));
	CHECK_EQ(write(p[1], buf, sizeof buf), 65536);
}

CASE(pipe_blocking_write_waits_for_reader)
{
	int p[2];
	static char buf[200000];
	CHECK_OK(pipe(p));
	pid_t pid = CHILD
	{
		close(p[0]);
		memset(buf, 'a', sizeof buf);
		CHECK_EQ(write(p[1], buf, sizeof buf), sizeof buf);
	}
	close(p[1]);
	size_t total = 0;
	for (;;) {
		ssize_t n = CHECK_OK(read(p[0], buf, 7000));
		if (n == 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			CHECK_EQ(buf[i], 'a');
		total += n;
	}
	CHECK_EQ(total, sizeof buf);
	CHECK_EXITS(pid, 0);
}

CASE(pipe_blocking_read_waits_for_writer)
{
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	pid_t self = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(self, "S");
		CHECK_EQ(write(p[1], "z", 1), 1);
	}
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(c, 'z');
	CHECK_EXITS(pid, 0);
}

CASE(pipe_read_returns_what_is_there)
{
	int p[2];
	char buf[10];
	CHECK_OK(pipe(p));
	CHECK_EQ(write(p[1], "abc", 3), 3);
	CHECK_EQ(write(p[1], "def", 3), 3);
	CHECK_EQ(read(p[0], buf, 10), 6);
	CHECK(!memcmp(buf, "abcdef", 6));
}

CASE(pipe_packets)
{
	int p[2];
	char buf[10];
	CHECK_OK(pipe2(p, O_DIRECT));
	CHECK_EQ(write(p[1], "abc", 3), 3);
	CHECK_EQ(write(p[1], "def", 3), 3);
	CHECK_EQ(read(p[0], buf, 10), 3);
	CHECK(!memcmp(buf, "abc", 3));
	// The rest of a packet is dropped.
	CHECK_EQ(read(p[0], buf, 1), 1);
	CHECK_OK(fcntl(p[0], F_SETFL, O_NONBLOCK));
	CHECK_ERRNO(read(p[0], buf, 10), EAGAIN);
}

CASE(pipe_zero_length)
{
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	CHECK_EQ(write(p[1], "", 0), 0);
	CHECK_EQ(read(p[0], &c, 0), 0);
}

CASE(pipe_poll)
{
	int p[2];
	static char buf[65536];
	CHECK_OK(pipe(p));
	struct pollfd r = {p[0], POLLIN, 0}, w = {p[1], POLLOUT, 0};
	CHECK_EQ(poll(&r, 1, 0), 0);
	CHECK_EQ(poll(&w, 1, 0), 1);
	CHECK_EQ(w.revents, POLLOUT);
	CHECK_EQ(write(p[1], buf, sizeof buf), sizeof buf);
	CHECK_EQ(poll(&r, 1, 0), 1);
	CHECK_EQ(r.revents, POLLIN);
	CHECK_EQ(poll(&w, 1, 0), 0);
	close(p[1]);
	CHECK_EQ(poll(&r, 1, 0), 1);
	CHECK_EQ(r.revents, POLLIN | POLLHUP);
	CHECK_EQ(read(p[0], buf, sizeof buf), sizeof buf);
	CHECK_EQ(poll(&r, 1, 0), 1);
	CHECK_EQ(r.revents, POLLHUP);
}

CASE(pipe_poll_writer_sees_error)
{
	int p[2];
	CHECK_OK(pipe(p));
	close(p[0]);
	struct pollfd w = {p[1], POLLOUT, 0};
	CHECK_EQ(poll(&w, 1, 0), 1);
	CHECK_EQ(w.revents, POLLOUT | POLLERR);
}

CASE(pipe_stat)
{
	int p[2];
	struct stat st;
	CHECK_OK(pipe(p));
	CHECK_OK(fstat(p[0], &st));
	CHECK(S_ISFIFO(st.st_mode));
	CHECK_EQ(st.st_mode & 0777, 0600);
	CHECK_EQ(st.st_size, 0);
	CHECK_EQ(st.st_uid, geteuid());
}

CASE(pipe_fault_in_buffer)
{
	int p[2];
	char c;
	CHECK_OK(pipe2(p, O_NONBLOCK));
	CHECK_ERRNO(write(p[1], BAD_POINTER, 4), EFAULT);
	CHECK_EQ(write(p[1], "abcd", 4), 4);
	CHECK_ERRNO(read(p[0], BAD_POINTER, 4), EFAULT);
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(c, 'a');
}

CASE(pipe_reopen_through_proc)
{
	int p[2];
	char path[64], c;
	CHECK_OK(pipe(p));
	snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
	int w = CHECK_OK(open(path, O_WRONLY));
	CHECK_EQ(write(w, "q", 1), 1);
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(c, 'q');
}

CASE(pipe_shared_over_fork)
{
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	pid_t pid = CHILD
	{
		CHECK_EQ(write(p[1], "k", 1), 1);
	}
	CHECK_EXITS(pid, 0);
	CHECK_OK(close(p[1]));
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(read(p[0], &c, 1), 0);
}

CASE(pipe_reopen_without_peer_does_not_wait)
{
	// Unlike a FIFO: a shell opens /dev/fd/N after the other end is gone.
	int p[2];
	char path[64], buf[8];
	CHECK_OK(pipe(p));
	CHECK_EQ(write(p[1], "left", 4), 4);
	CHECK_OK(close(p[1]));
	snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
	int r = CHECK_OK(open(path, O_RDONLY));
	CHECK_EQ(read(r, buf, 8), 4);
	CHECK_EQ(read(r, buf, 8), 0);
	int q[2];
	CHECK_OK(pipe(q));
	CHECK_OK(close(q[0]));
	snprintf(path, sizeof path, "/proc/self/fd/%d", q[1]);
	CHECK_OK(open(path, O_WRONLY));
	CHECK_OK(open(path, O_WRONLY | O_NONBLOCK));
}
