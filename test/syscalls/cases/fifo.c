// Named pipes: how opening waits, and what the ends see.
// calls: mknod, open, read, write, poll
#include "case.h"
#include <poll.h>

CASE(fifo_open_waits_for_the_other_end)
{
	CHECK_OK(mkfifo("p", 0644));
	pid_t pid = CHILD
	{
		int w = CHECK_OK(open("p", O_WRONLY));
		CHECK_EQ(write(w, "hi", 2), 2);
	}
	case_wait_state(pid, "S");
	char buf[8];
	int r = CHECK_OK(open("p", O_RDONLY));
	CHECK_EQ(read(r, buf, 8), 2);
	CHECK_EQ(read(r, buf, 8), 0);
	CHECK_EXITS(pid, 0);
}

CASE(fifo_nonblocking_open)
{
	CHECK_OK(mkfifo("p", 0644));
	CHECK_ERRNO(open("p", O_WRONLY | O_NONBLOCK), ENXIO);
	int r = CHECK_OK(open("p", O_RDONLY | O_NONBLOCK));
	char c;
	// No writer yet: end of file, not EAGAIN.
	CHECK_EQ(read(r, &c, 1), 0);
	struct pollfd p = {r, POLLIN, 0};
	CHECK_EQ(poll(&p, 1, 0), 0);
	int w = CHECK_OK(open("p", O_WRONLY | O_NONBLOCK));
	CHECK_ERRNO(read(r, &c, 1), EAGAIN);
	CHECK_EQ(write(w, "x", 1), 1);
	CHECK_EQ(read(r, &c, 1), 1);
	CHECK_OK(close(w));
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLHUP);
	w = CHECK_OK(open("p", O_WRONLY | O_NONBLOCK));
	CHECK_EQ(poll(&p, 1, 0), 0);
}

CASE(fifo_read_write_open_never_waits)
{
	CHECK_OK(mkfifo("p", 0644));
	int fd = CHECK_OK(open("p", O_RDWR));
	char c;
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_EQ(read(fd, &c, 1), 1);
}

static void on_signal(int sig)
{
	(void)sig;
}

CASE(fifo_open_interrupted)
{
	CHECK_OK(mkfifo("p", 0644));
	pid_t pid = CHILD
	{
		struct sigaction sa = {.sa_handler = on_signal};
		sigaction(SIGUSR1, &sa, NULL);
		CHECK_ERRNO(open("p", O_RDONLY), EINTR);
	}
	case_wait_state(pid, "S");
	CHECK_OK(kill(pid, SIGUSR1));
	CHECK_EXITS(pid, 0);
}

CASE(fifo_same_pipe_by_every_name)
{
	CHECK_OK(mkfifo("p", 0644));
	CHECK_OK(link("p", "q"));
	int r = CHECK_OK(open("p", O_RDONLY | O_NONBLOCK)), w = CHECK_OK(open("q", O_WRONLY));
	char c;
	CHECK_EQ(write(w, "x", 1), 1);
	CHECK_EQ(read(r, &c, 1), 1);
	CHECK_OK(unlink("p"));
	CHECK_OK(unlink("q"));
	CHECK_EQ(write(w, "y", 1), 1);
	CHECK_EQ(read(r, &c, 1), 1);
}
