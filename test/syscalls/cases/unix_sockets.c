// unix(7): stream, datagram, sequenced packets; names; ancillary data.
// calls: socket, socketpair, bind, listen, accept, accept4, connect, getsockname,
// calls: getpeername, sendto, recvfrom, sendmsg, recvmsg, sendmmsg, recvmmsg, shutdown,
// calls: setsockopt, getsockopt
#include "case.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un name(const char *path, socklen_t *len)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	strcpy(a.sun_path, path);
	*len = offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
	return a;
}

static int bind_to(int fd, const char *path)
{
	socklen_t len;
	struct sockaddr_un a = name(path, &len);
	return bind(fd, (void *)&a, len);
}

static int connect_to(int fd, const char *path)
{
	socklen_t len;
	struct sockaddr_un a = name(path, &len);
	return connect(fd, (void *)&a, len);
}

static int listener(const char *path)
{
	int fd = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_OK(bind_to(fd, path));
	CHECK_OK(listen(fd, 5));
	return fd;
}

CASE(unix_socketpair_stream)
{
	int s[2];
	char buf[16] = {0};
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_EQ(write(s[0], "hello", 5), 5);
	CHECK_EQ(write(s[0], "world", 5), 5);
	CHECK_EQ(read(s[1], buf, 16), 10);
	CHECK_STR(buf, "helloworld");
	CHECK_EQ(send(s[1], "back", 4, 0), 4);
	CHECK_EQ(recv(s[0], buf, 2, MSG_PEEK), 2);
	CHECK_EQ(recv(s[0], buf, 16, 0), 4);
	CHECK_ERRNO(recv(s[0], buf, 16, MSG_DONTWAIT), EAGAIN);
}

CASE(unix_socketpair_flags)
{
	int s[2];
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s));
	CHECK_EQ(fcntl(s[0], F_GETFD), FD_CLOEXEC);
	CHECK(fcntl(s[1], F_GETFL) & O_NONBLOCK);
	CHECK_ERRNO(socketpair(AF_UNIX, 7, 0, s), ESOCKTNOSUPPORT);
	CHECK_ERRNO(socketpair(AF_UNIX, 77, 0, s), EINVAL);
	CHECK_ERRNO(socketpair(AF_UNIX, SOCK_STREAM, 99, s), EPROTONOSUPPORT);
	CHECK_ERRNO(socketpair(AF_UNIX, SOCK_STREAM, 0, BAD_POINTER), EFAULT);
	CHECK_ERRNO(socket(99, SOCK_STREAM, 0), EAFNOSUPPORT);
}

CASE(unix_end_of_file_and_broken_pipe)
{
	int s[2];
	char c;
	signal(SIGPIPE, SIG_IGN);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_EQ(write(s[1], "x", 1), 1);
	CHECK_OK(close(s[1]));
	CHECK_EQ(read(s[0], &c, 1), 1);
	CHECK_EQ(read(s[0], &c, 1), 0);
	CHECK_ERRNO(write(s[0], "x", 1), EPIPE);
	CHECK_ERRNO(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
}

CASE(unix_unread_data_resets)
{
	int s[2];
	char c;
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_EQ(write(s[0], "x", 1), 1);
	CHECK_OK(close(s[1]));
	CHECK_ERRNO(read(s[0], &c, 1), ECONNRESET);
	CHECK_EQ(read(s[0], &c, 1), 0);
}

CASE(unix_sigpipe)
{
	int s[2];
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	close(s[1]);
	pid_t pid = CHILD
	{
		send(s[0], "x", 1, 0);
	}
	CHECK_KILLED(pid, SIGPIPE);
}

CASE(unix_shutdown)
{
	int s[2];
	char c;
	signal(SIGPIPE, SIG_IGN);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(shutdown(s[0], SHUT_WR));
	CHECK_EQ(read(s[1], &c, 1), 0);
	CHECK_ERRNO(write(s[0], "x", 1), EPIPE);
	CHECK_EQ(write(s[1], "x", 1), 1);
	CHECK_EQ(read(s[0], &c, 1), 1);
	CHECK_OK(shutdown(s[0], SHUT_RD));
	CHECK_ERRNO(write(s[1], "x", 1), EPIPE);
	CHECK_ERRNO(shutdown(s[0], 9), EINVAL);
}

CASE(unix_listen_connect_accept)
{
	int l = listener("sock");
	struct stat st;
	CHECK_OK(stat("sock", &st));
	CHECK_EQ(st.st_mode, S_IFSOCK | 0755);
	int c = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_OK(connect_to(c, "sock"));
	CHECK_EQ(write(c, "early", 5), 5);
	struct sockaddr_un a;
	socklen_t len = sizeof a;
	int s = CHECK_OK(accept4(l, (void *)&a, &len, SOCK_CLOEXEC | SOCK_NONBLOCK));
	CHECK_EQ(len, 2);
	CHECK_EQ(a.sun_family, AF_UNIX);
	CHECK_EQ(fcntl(s, F_GETFD), FD_CLOEXEC);
	CHECK(fcntl(s, F_GETFL) & O_NONBLOCK);
	char buf[8];
	CHECK_EQ(read(s, buf, 8), 5);
	len = sizeof a;
	CHECK_OK(getpeername(c, (void *)&a, &len));
	CHECK_STR(a.sun_path, "sock");
	CHECK_EQ(len, 2 + 5);
	len = sizeof a;
	CHECK_OK(getsockname(s, (void *)&a, &len));
	CHECK_STR(a.sun_path, "sock");
}

CASE(unix_accept_blocks)
{
	int l = listener("sock");
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		int c = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
		case_wait_state(parent, "S");
		CHECK_OK(connect_to(c, "sock"));
		char b;
		CHECK_EQ(read(c, &b, 1), 1);
	}
	int s = CHECK_OK(accept(l, NULL, NULL));
	CHECK_EQ(write(s, "x", 1), 1);
	CHECK_EXITS(pid, 0);
	fcntl(l, F_SETFL, O_NONBLOCK);
	CHECK_ERRNO(accept(l, NULL, NULL), EAGAIN);
}

CASE(unix_connect_errors)
{
	int c = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_ERRNO(connect_to(c, "none"), ENOENT);
	case_write_file("f", "x");
	CHECK_ERRNO(connect_to(c, "f"), ECONNREFUSED);
	int b = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_OK(bind_to(b, "bound"));
	CHECK_ERRNO(connect_to(c, "bound"), ECONNREFUSED);
	int d = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
	CHECK_OK(bind_to(d, "dgram"));
	CHECK_ERRNO(connect_to(c, "dgram"), EPROTOTYPE);
	CHECK_OK(listen(b, 1));
	CHECK_OK(connect_to(c, "bound"));
	CHECK_ERRNO(connect_to(c, "bound"), EISCONN);
	CHECK_OK(close(b));
	int e = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_ERRNO(connect_to(e, "bound"), ECONNREFUSED);
	struct sockaddr_un a = {.sun_family = AF_INET};
	CHECK_ERRNO(connect(e, (void *)&a, sizeof a), EINVAL);
	CHECK_ERRNO(connect(99, (void *)&a, sizeof a), EBADF);
	CHECK_ERRNO(connect(0, (void *)&a, sizeof a), ENOTSOCK);
}

CASE(unix_bind_errors)
{
	int a = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0)), b = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_OK(bind_to(a, "s"));
	CHECK_ERRNO(bind_to(b, "s"), EADDRINUSE);
	CHECK_ERRNO(bind_to(a, "t"), EINVAL);
	CHECK_ERRNO(bind_to(b, "no/s"), ENOENT);
	CHECK_ERRNO(listen(b, 1), EINVAL);
	int d = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
	CHECK_ERRNO(listen(d, 1), EOPNOTSUPP);
	CHECK_ERRNO(accept(a, NULL, NULL), EINVAL);
}

CASE(unix_abstract_names)
{
	char path[64];
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int n = snprintf(path, sizeof path, "bulkhead-case-%d", getpid());
	memcpy(a.sun_path + 1, path, n);
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + 1 + n;
	int l = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0)), m = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_OK(bind(l, (void *)&a, len));
	CHECK_ERRNO(bind(m, (void *)&a, len), EADDRINUSE);
	CHECK_OK(listen(l, 1));
	CHECK_OK(connect(m, (void *)&a, len));
	struct sockaddr_un got;
	socklen_t got_len = sizeof got;
	CHECK_OK(getpeername(m, (void *)&got, &got_len));
	CHECK_EQ(got_len, len);
	CHECK(!memcmp(got.sun_path, a.sun_path, 1 + n));
	CHECK_OK(close(l));
	int o = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_ERRNO(connect(o, (void *)&a, len), ECONNREFUSED);
	CHECK_OK(bind(o, (void *)&a, len));
}

CASE(unix_autobind)
{
	int d = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	CHECK_OK(bind(d, (void *)&a, 2));
	socklen_t len = sizeof a;
	CHECK_OK(getsockname(d, (void *)&a, &len));
	CHECK_EQ(len, 2 + 6);
	CHECK_EQ(a.sun_path[0], 0);
}

CASE(unix_backlog_full)
{
	int l = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_OK(bind_to(l, "s"));
	CHECK_OK(listen(l, 0));
	int a = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0)), b = CHECK_OK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	CHECK_OK(connect_to(a, "s"));
	CHECK_ERRNO(connect_to(b, "s"), EAGAIN);
	CHECK_OK(accept(l, NULL, NULL));
	CHECK_OK(connect_to(b, "s"));
}

CASE(unix_datagrams)
{
	int a = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0)), b = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
	CHECK_OK(bind_to(a, "a"));
	CHECK_OK(bind_to(b, "b"));
	socklen_t len;
	struct sockaddr_un to = name("a", &len), from;
	CHECK_EQ(sendto(b, "one", 3, 0, (void *)&to, len), 3);
	CHECK_EQ(sendto(b, "", 0, 0, (void *)&to, len), 0);
	CHECK_EQ(sendto(b, "three", 5, 0, (void *)&to, len), 5);
	char buf[16] = {0};
	len = sizeof from;
	CHECK_EQ(recvfrom(a, buf, 16, 0, (void *)&from, &len), 3);
	CHECK_STR(from.sun_path, "b");
	CHECK_EQ(recvfrom(a, buf, 16, 0, NULL, NULL), 0);
	// What does not fit is lost; MSG_TRUNC tells its length.
	CHECK_EQ(recvfrom(a, buf, 2, MSG_TRUNC, NULL, NULL), 5);
	CHECK_ERRNO(recv(a, buf, 16, MSG_DONTWAIT), EAGAIN);
	CHECK_ERRNO(send(b, "x", 1, 0), ENOTCONN);
	CHECK_OK(connect_to(b, "a"));
	CHECK_EQ(send(b, "x", 1, 0), 1);
	CHECK_OK(close(a));
	CHECK_ERRNO(send(b, "x", 1, 0), ECONNREFUSED);
}

CASE(unix_datagram_filters_strangers)
{
	int a = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0)), b = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0)), c = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
	CHECK_OK(bind_to(a, "a"));
	CHECK_OK(bind_to(b, "b"));
	CHECK_OK(connect_to(a, "b"));
	socklen_t len;
	struct sockaddr_un to = name("a", &len);
	CHECK_ERRNO(sendto(c, "x", 1, 0, (void *)&to, len), EPERM);
	CHECK_EQ(sendto(b, "x", 1, 0, (void *)&to, len), 1);
}

CASE(unix_datagram_too_large)
{
	int s[2];
	CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	size_t size = 4 << 20;
	char *big = calloc(1, size);
	CHECK_ERRNO(send(s[0], big, size, 0), EMSGSIZE);
	CHECK_EQ(send(s[0], big, 100000, 0), 100000);
	CHECK_EQ(recv(s[1], big, size, 0), 100000);
}

CASE(unix_seqpacket)
{
	int s[2];
	char buf[16] = {0};
	CHECK_OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
	CHECK_EQ(write(s[0], "abc", 3), 3);
	CHECK_EQ(write(s[0], "defg", 4), 4);
	CHECK_EQ(read(s[1], buf, 16), 3);
	CHECK_EQ(read(s[1], buf, 2), 2);
	CHECK_OK(close(s[0]));
	CHECK_EQ(read(s[1], buf, 16), 0);
	signal(SIGPIPE, SIG_IGN);
	CHECK_ERRNO(write(s[1], "x", 1), EPIPE);
}

CASE(unix_seqpacket_listen)
{
	int l = CHECK_OK(socket(AF_UNIX, SOCK_SEQPACKET, 0)), c = CHECK_OK(socket(AF_UNIX, SOCK_SEQPACKET, 0));
	CHECK_OK(bind_to(l, "s"));
	CHECK_OK(listen(l, 1));
	CHECK_OK(connect_to(c, "s"));
	int s = CHECK_OK(accept(l, NULL, NULL));
	CHECK_EQ(send(c, "abc", 3, MSG_EOR), 3);
	char buf[8];
	struct iovec v = {buf, 8};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	CHECK_EQ(recvmsg(s, &m, 0), 3);
}

CASE(unix_stream_backpressure)
{
	int s[2];
	static char buf[1 << 16];
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
	size_t total = 0;
	ssize_t n;
	while ((n = write(s[0], buf, sizeof buf)) > 0)
		total += n;
	CHECK_EQ(errno, EAGAIN);
	CHECK(total >= 65536);
	struct pollfd p = {s[0], POLLOUT, 0};
	CHECK_EQ(poll(&p, 1, 0), 0);
	size_t got = 0;
	while ((n = read(s[1], buf, sizeof buf)) > 0)
		got += n;
	CHECK_EQ(got, total);
	CHECK_EQ(poll(&p, 1, 0), 1);
}

CASE(unix_stream_blocking_transfer)
{
	int s[2];
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	size_t size = 2 << 20;
	char *m = malloc(size);
	for (size_t i = 0; i < size; i++)
		m[i] = i >> 8;
	pid_t pid = CHILD
	{
		close(s[1]);
		for (size_t off = 0; off < size;) {
			ssize_t n = CHECK_OK(write(s[0], m + off, size - off));
			off += n;
		}
	}
	close(s[0]);
	char *r = malloc(size);
	CHECK_EQ(recv(s[1], r, size, MSG_WAITALL), size);
	CHECK(!memcmp(m, r, size));
	CHECK_EXITS(pid, 0);
}

CASE(unix_poll_states)
{
	int s[2];
	char c;
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	struct pollfd p = {s[0], POLLIN | POLLOUT | POLLRDHUP, 0};
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLOUT);
	CHECK_OK(shutdown(s[1], SHUT_WR));
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN | POLLOUT | POLLRDHUP);
	CHECK_EQ(read(s[0], &c, 1), 0);
	CHECK_OK(close(s[1]));
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents & (POLLHUP | POLLIN | POLLRDHUP), POLLHUP | POLLIN | POLLRDHUP);
	int l = listener("sock");
	struct pollfd q = {l, POLLIN, 0};
	CHECK_EQ(poll(&q, 1, 0), 0);
	int d = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_OK(connect_to(d, "sock"));
	CHECK_EQ(poll(&q, 1, 0), 1);
}

// Ancillary data.

static ssize_t send_fds(int s, const int *fds, int n, const char *data)
{
	char control[CMSG_SPACE(sizeof(int) * 300)] = {0};
	struct iovec v = {(char *)data, strlen(data)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(sizeof(int) * n)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	return sendmsg(s, &m, 0);
}

static int recv_fds(int s, int *fds, int max, int flags, int *msg_flags)
{
	char control[CMSG_SPACE(sizeof(int) * 16)] = {0}, data[64];
	struct iovec v = {data, sizeof data};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(sizeof(int) * max)};
	CHECK_OK(recvmsg(s, &m, flags));
	if (msg_flags)
		*msg_flags = m.msg_flags;
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (!c)
		return 0;
	CHECK_EQ(c->cmsg_level, SOL_SOCKET);
	CHECK_EQ(c->cmsg_type, SCM_RIGHTS);
	int n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	return n;
}

CASE(scm_rights_passes_files)
{
	int s[2], got[4];
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644)), fds[2] = {fd, 1};
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK_EQ(send_fds(s[0], fds, 2, "x"), 1);
	CHECK_OK(close(fd));
	int flags = 0;
	CHECK_EQ(recv_fds(s[1], got, 4, MSG_CMSG_CLOEXEC, &flags), 2);
	CHECK_EQ(fcntl(got[0], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(lseek(got[0], 0, SEEK_CUR), 3);
	CHECK_EQ(flags & MSG_CTRUNC, 0);
}

CASE(scm_rights_to_another_process)
{
	int s[2], got[1], p[2];
	char c;
	CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	pid_t pid = CHILD
	{
		CHECK_EQ(recv_fds(s[1], got, 1, 0, NULL), 1);
		CHECK_EQ(write(got[0], "k", 1), 1);
	}
	CHECK_OK(pipe(p));
	CHECK_EQ(send_fds(s[0], &p[1], 1, "x"), 1);
	CHECK_OK(close(p[1]));
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EXITS(pid, 0);
	CHECK_EQ(read(p[0], &c, 1), 0);
}

CASE(scm_rights_truncated)
{
	int s[2], got[4], flags = 0, fds[3] = {0, 1, 2};
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_EQ(send_fds(s[0], fds, 3, "x"), 1);
	CHECK_EQ(recv_fds(s[1], got, 1, 0, &flags), 2);
	CHECK(flags & MSG_CTRUNC);
}

CASE(scm_rights_errors)
{
	int s[2], bad = 99;
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_ERRNO(send_fds(s[0], &bad, 1, "x"), EBADF);
	int many[300] = {0};
	CHECK_ERRNO(send_fds(s[0], many, 254, "x"), EINVAL);
	CHECK_EQ(send_fds(s[0], many, 253, "x"), 1);
}

CASE(scm_rights_dropped_without_room)
{
	int s[2], p[2];
	char c;
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(pipe(p));
	CHECK_EQ(send_fds(s[0], &p[1], 1, "x"), 1);
	CHECK_OK(close(p[1]));
	CHECK_EQ(read(s[1], &c, 1), 1);
	// Nobody took it, so it is closed now.
	CHECK_EQ(read(p[0], &c, 1), 0);
}

CASE(scm_rights_in_flight_closed_with_socket)
{
	int s[2], p[2];
	char c;
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(pipe(p));
	CHECK_EQ(send_fds(s[0], &p[1], 1, "x"), 1);
	CHECK_OK(close(p[1]));
	CHECK_OK(close(s[0]));
	CHECK_OK(close(s[1]));
	CHECK_EQ(read(p[0], &c, 1), 0);
}

CASE(scm_rights_message_boundary_in_stream)
{
	int s[2], got[4], fd = 1;
	char buf[16];
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_EQ(write(s[0], "aa", 2), 2);
	CHECK_EQ(send_fds(s[0], &fd, 1, "bb"), 2);
	CHECK_EQ(write(s[0], "cc", 2), 2);
	CHECK_EQ(read(s[1], buf, 2), 2);
	CHECK_EQ(recv_fds(s[1], got, 4, 0, NULL), 1);
}

CASE(scm_credentials_passed)
{
	int s[2], on = 1;
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	CHECK_EQ(write(s[0], "x", 1), 1);
	char control[256], c;
	struct iovec v = {&c, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	CHECK_EQ(recvmsg(s[1], &m, 0), 1);
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	CHECK(h);
	CHECK_EQ(h->cmsg_type, SCM_CREDENTIALS);
	struct ucred *u = (void *)CMSG_DATA(h);
	CHECK_EQ(u->pid, getpid());
	CHECK_EQ(u->uid, getuid());
	CHECK_EQ(u->gid, getgid());
}

CASE(scm_credentials_cannot_lie)
{
	int s[2];
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	if (geteuid() == 0)
		CHECK_OK(setresuid(1234, 1234, 1234));
	char control[CMSG_SPACE(sizeof(struct ucred))] = {0}, c = 0;
	struct iovec v = {&c, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_CREDENTIALS;
	h->cmsg_len = CMSG_LEN(sizeof(struct ucred));
	struct ucred u = {getpid(), 0, getgid()};
	memcpy(CMSG_DATA(h), &u, sizeof u);
	CHECK_ERRNO(sendmsg(s[0], &m, 0), EPERM);
	u.uid = getuid();
	memcpy(CMSG_DATA(h), &u, sizeof u);
	CHECK_EQ(sendmsg(s[0], &m, 0), 1);
	u.pid = 1;
	memcpy(CMSG_DATA(h), &u, sizeof u);
	CHECK_ERRNO(sendmsg(s[0], &m, 0), EPERM);
}

CASE(unix_peercred)
{
	int s[2];
	struct ucred u;
	socklen_t len = sizeof u;
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &u, &len));
	CHECK_EQ(u.pid, getpid());
	CHECK_EQ(u.uid, geteuid());
	int l = listener("sock");
	pid_t pid = CHILD
	{
		int c = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
		CHECK_OK(connect_to(c, "sock"));
		len = sizeof u;
		CHECK_OK(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &u, &len));
		CHECK_EQ(u.pid, getppid());
	}
	int a = CHECK_OK(accept(l, NULL, NULL));
	len = sizeof u;
	CHECK_OK(getsockopt(a, SOL_SOCKET, SO_PEERCRED, &u, &len));
	CHECK_EQ(u.pid, pid);
	CHECK_EXITS(pid, 0);
}

CASE(unix_socket_options)
{
	int s[2], v = -1;
	socklen_t len = sizeof v;
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &v, &len));
	CHECK_EQ(v, SOCK_STREAM);
	CHECK_OK(getsockopt(s[0], SOL_SOCKET, SO_DOMAIN, &v, &len));
	CHECK_EQ(v, AF_UNIX);
	CHECK_OK(getsockopt(s[0], SOL_SOCKET, SO_ERROR, &v, &len));
	CHECK_EQ(v, 0);
	CHECK_OK(getsockopt(s[0], SOL_SOCKET, SO_ACCEPTCONN, &v, &len));
	CHECK_EQ(v, 0);
	CHECK_OK(getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &v, &len));
	CHECK(v > 4096);
	v = 8192;
	CHECK_OK(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &v, sizeof v));
	CHECK_OK(getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &v, &len));
	CHECK_EQ(v, 16384);
	CHECK_ERRNO(getsockopt(s[0], SOL_SOCKET, 9999, &v, &len), ENOPROTOOPT);
	CHECK_ERRNO(getsockopt(0, SOL_SOCKET, SO_TYPE, &v, &len), ENOTSOCK);
	CHECK_ERRNO(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &v, 2), EINVAL);
	// A short buffer gets what fits.
	len = 2;
	CHECK_OK(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &v, &len));
	CHECK_EQ(len, 2);
}

CASE(unix_receive_timeout)
{
	int s[2];
	char c;
	struct timeval tv = {0, 30000};
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	int64_t start = case_now_ms();
	CHECK_ERRNO(recv(s[0], &c, 1, 0), EAGAIN);
	CHECK(case_now_ms() - start >= 20);
}

static void on_signal(int sig)
{
	(void)sig;
}

CASE(unix_receive_interrupted)
{
	int s[2];
	char c;
	struct sigaction sa = {.sa_handler = on_signal};
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		kill(parent, SIGUSR1);
	}
	CHECK_ERRNO(recv(s[0], &c, 1, 0), EINTR);
	CHECK_EXITS(pid, 0);
}

CASE(unix_sendmmsg_recvmmsg)
{
	int s[2];
	CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	struct iovec v[3] = {{"a", 1}, {"bb", 2}, {"ccc", 3}};
	struct mmsghdr m[3] = {0};
	for (int i = 0; i < 3; i++) {
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	CHECK_EQ(sendmmsg(s[0], m, 3, 0), 3);
	CHECK_EQ(m[2].msg_len, 3);
	char b[4][8];
	struct iovec w[4];
	struct mmsghdr n[4] = {0};
	for (int i = 0; i < 4; i++) {
		w[i] = (struct iovec){b[i], 8};
		n[i].msg_hdr.msg_iov = &w[i];
		n[i].msg_hdr.msg_iovlen = 1;
	}
	CHECK_EQ(recvmmsg(s[1], n, 4, MSG_DONTWAIT, NULL), 3);
	CHECK_EQ(n[0].msg_len, 1);
	CHECK_EQ(n[2].msg_len, 3);
}

CASE(unix_fionread)
{
	int s[2], n = 0;
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_EQ(write(s[0], "abcde", 5), 5);
	CHECK_OK(ioctl(s[1], FIONREAD, &n));
	CHECK_EQ(n, 5);
}

CASE(unix_socket_file_operations)
{
	int s[2];
	char c;
	struct stat st;
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(fstat(s[0], &st));
	CHECK(S_ISSOCK(st.st_mode));
	CHECK_ERRNO(lseek(s[0], 0, SEEK_SET), ESPIPE);
	CHECK_ERRNO(pread(s[0], &c, 1, 0), ESPIPE);
	int l = listener("sock");
	(void)l;
	CHECK_ERRNO(open("sock", O_RDWR), ENXIO);
	CHECK_ERRNO(recv(l, &c, 1, 0), EINVAL);
}
