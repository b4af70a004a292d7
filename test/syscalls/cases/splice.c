// Bytes between pipes and other files.
// calls: splice, tee, vmsplice
#include "case.h"
#include <sys/socket.h>

static int file_with(const char *text)
{
	int fd = CHECK_OK(open("file", O_CREAT | O_RDWR | O_TRUNC, 0600));
	CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	CHECK_OK(lseek(fd, 0, SEEK_SET));
	return fd;
}

CASE(splice_file_to_pipe_to_file)
{
	int in = file_with("hello world"), p[2];
	CHECK_OK(pipe(p));
	CHECK_EQ(splice(in, NULL, p[1], NULL, 5, 0), 5);
	CHECK_EQ(lseek(in, 0, SEEK_CUR), 5);
	off_t off = 6;
	CHECK_EQ(splice(in, &off, p[1], NULL, 100, 0), 5);
	CHECK_EQ(off, 11);
	CHECK_EQ(lseek(in, 0, SEEK_CUR), 5);
	CHECK_EQ(splice(in, &off, p[1], NULL, 100, 0), 0);
	int out = CHECK_OK(open("out", O_CREAT | O_RDWR, 0600));
	off = 2;
	CHECK_EQ(splice(p[0], NULL, out, &off, 7, 0), 7);
	CHECK_EQ(off, 9);
	CHECK_EQ(splice(p[0], NULL, out, &off, 100, 0), 3);
	char b[20] = "";
	CHECK_EQ(pread(out, b, sizeof b, 0), 12);
	CHECK(memcmp(b, "\0\0helloworld", 12) == 0);
}

CASE(splice_pipe_to_pipe)
{
	int a[2], b[2];
	CHECK_OK(pipe(a));
	CHECK_OK(pipe(b));
	CHECK_EQ(write(a[1], "abcdef", 6), 6);
	CHECK_EQ(tee(a[0], b[1], 3, 0), 3);
	CHECK_EQ(splice(a[0], NULL, b[1], NULL, 4, 0), 4);
	char r[20];
	CHECK_EQ(read(b[0], r, sizeof r), 7);
	CHECK(memcmp(r, "abcabcd", 7) == 0);
	CHECK_EQ(read(a[0], r, sizeof r), 2);
	CHECK_ERRNO(splice(a[0], NULL, b[1], NULL, 4, SPLICE_F_NONBLOCK), EAGAIN);
	CHECK_OK(close(a[1]));
	CHECK_EQ(splice(a[0], NULL, b[1], NULL, 4, 0), 0);
}

CASE(splice_socket)
{
	int s[2], p[2];
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(pipe(p));
	CHECK_EQ(write(s[0], "through", 7), 7);
	CHECK_EQ(splice(s[1], NULL, p[1], NULL, 100, 0), 7);
	CHECK_EQ(splice(p[0], NULL, s[1], NULL, 100, 0), 7);
	char r[20];
	CHECK_EQ(read(s[0], r, sizeof r), 7);
	CHECK_ERRNO(splice(s[1], NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK), EAGAIN);
}

CASE(splice_errors)
{
	int in = file_with("x"), p[2];
	off_t off = 0;
	CHECK_OK(pipe(p));
	CHECK_ERRNO(splice(in, NULL, in, NULL, 1, 0), EINVAL);
	CHECK_ERRNO(splice(p[0], NULL, p[1], NULL, 1, 0), EINVAL);
	CHECK_ERRNO(splice(in, NULL, p[1], &off, 1, 0), ESPIPE);
	CHECK_ERRNO(splice(p[0], &off, in, NULL, 1, 0), ESPIPE);
	CHECK_ERRNO(splice(in, NULL, p[0], NULL, 1, 0), EBADF);
	CHECK_ERRNO(splice(-1, NULL, p[1], NULL, 1, 0), EBADF);
	CHECK_ERRNO(splice(in, NULL, p[1], NULL, 1, 0x100), EINVAL);
	CHECK_EQ(splice(in, NULL, p[1], NULL, 0, 0), 0);
	CHECK_ERRNO(tee(in, p[1], 1, 0), EINVAL);
	CHECK_ERRNO(tee(p[0], p[1], 1, 0), EINVAL);
}

CASE(splice_waits_for_the_pipe)
{
	int p[2], out = CHECK_OK(open("out", O_CREAT | O_RDWR, 0600));
	CHECK_OK(pipe(p));
	pid_t pid = CHECK_OK(fork());
	if (pid == 0)
		_exit(splice(p[0], NULL, out, NULL, 100, 0) == 3 ? 0 : 1);
	case_wait_state(pid, "S");
	CHECK_EQ(write(p[1], "abc", 3), 3);
	CHECK_EXITS(pid, 0);
}

CASE(vmsplice_both_ways)
{
	int p[2];
	CHECK_OK(pipe(p));
	char in[] = "from memory", out[20];
	struct iovec v[2] = {{in, 4}, {in + 4, 7}};
	CHECK_EQ(vmsplice(p[1], v, 2, 0), 11);
	struct iovec r = {out, sizeof out};
	CHECK_EQ(vmsplice(p[0], &r, 1, 0), 11);
	CHECK(memcmp(in, out, 11) == 0);
	CHECK_ERRNO(vmsplice(0, v, 1, 0), EBADF);
}
