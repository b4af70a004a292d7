// ip(7), tcp(7), udp(7) over the loopback interface.
// calls: socket, bind, listen, accept, accept4, connect, getsockname, getpeername,
// calls: sendto, recvfrom, sendmsg, recvmsg, shutdown, setsockopt, getsockopt, ioctl
#include "case.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static struct sockaddr_in lo4(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static struct sockaddr_in6 lo6(int port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	a.sin6_addr = in6addr_loopback;
	return a;
}

// bound is a socket with a port of its own; a is where.
static int bound(int type, struct sockaddr_in *a)
{
	socklen_t n = sizeof *a;
	int fd = CHECK_OK(socket(AF_INET, type, 0));
	*a = lo4(0);
	CHECK_OK(bind(fd, (void *)a, sizeof *a));
	CHECK_OK(getsockname(fd, (void *)a, &n));
	CHECK_EQ(n, sizeof *a);
	return fd;
}

static int listener(struct sockaddr_in *a)
{
	int fd = bound(SOCK_STREAM, a);
	CHECK_OK(listen(fd, 8));
	return fd;
}

static void pair(int s[2])
{
	struct sockaddr_in a;
	int l = listener(&a);
	s[0] = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_OK(connect(s[0], (void *)&a, sizeof a));
	s[1] = CHECK_OK(accept(l, NULL, NULL));
	CHECK_OK(close(l));
}

static int option(int fd, int level, int name)
{
	int v = -1;
	socklen_t n = sizeof v;
	CHECK_OK(getsockopt(fd, level, name, &v, &n));
	return v;
}

static int set(int fd, int level, int name, int v)
{
	return setsockopt(fd, level, name, &v, sizeof v);
}

static int events(int fd, int want, int ms)
{
	struct pollfd p = {fd, want, 0};
	CHECK_OK(poll(&p, 1, ms));
	return p.revents;
}

CASE(inet_socket_arguments)
{
	CHECK_ERRNO(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
	CHECK_ERRNO(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP), EPROTONOSUPPORT);
	CHECK_ERRNO(socket(AF_INET, 77, 0), EINVAL);
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_EQ(option(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
	CHECK_EQ(option(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	CHECK_EQ(option(fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
}

CASE(inet_tcp_transfers)
{
	int s[2];
	char buf[32] = {0};
	pair(s);
	CHECK_EQ(write(s[0], "hello", 5), 5);
	CHECK_EQ(recv(s[1], buf, 3, MSG_PEEK), 3);
	CHECK_EQ(recv(s[1], buf, 5, MSG_WAITALL), 5);
	CHECK_STR(buf, "hello");
	CHECK_ERRNO(recv(s[1], buf, 5, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(send(s[1], "back", 4, MSG_NOSIGNAL), 4);
	CHECK_EQ(recv(s[0], buf, 4, MSG_TRUNC), 4);
	CHECK_OK(shutdown(s[0], SHUT_WR));
	CHECK_EQ(read(s[1], buf, 5), 0);
	CHECK_ERRNO(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(write(s[1], "still", 5), 5);
	CHECK_EQ(read(s[0], buf, 32), 5);
}

CASE(inet_tcp_names)
{
	struct sockaddr_in a, b, c;
	socklen_t n = sizeof b;
	int l = listener(&a);
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_ERRNO(getpeername(fd, (void *)&b, &n), ENOTCONN);
	CHECK_OK(connect(fd, (void *)&a, sizeof a));
	CHECK_OK(getpeername(fd, (void *)&b, &n));
	CHECK_EQ(b.sin_port, a.sin_port);
	CHECK_OK(getsockname(fd, (void *)&c, &n));
	CHECK_EQ(c.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	int s = CHECK_OK(accept(l, (void *)&b, &n));
	CHECK_EQ(n, sizeof b);
	CHECK_EQ(b.sin_port, c.sin_port);
	CHECK_ERRNO(connect(fd, (void *)&a, sizeof a), EISCONN);
	CHECK_EQ(option(l, SOL_SOCKET, SO_ACCEPTCONN), 1);
}

CASE(inet_tcp_refused)
{
	struct sockaddr_in a;
	int fd = bound(SOCK_STREAM, &a);
	int c = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_ERRNO(connect(c, (void *)&a, sizeof a), ECONNREFUSED);
	CHECK_ERRNO(accept(fd, NULL, NULL), EINVAL);
	CHECK_ERRNO(listen(CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0)), 1), EOPNOTSUPP);
}

CASE(inet_tcp_connect_nonblocking)
{
	struct sockaddr_in a;
	int l = listener(&a);
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	int r = connect(fd, (void *)&a, sizeof a);
	if (r != 0)
		CHECK_EQ(errno, EINPROGRESS);
	CHECK_EQ(events(fd, POLLIN | POLLOUT, 5000), POLLOUT);
	CHECK_EQ(option(fd, SOL_SOCKET, SO_ERROR), 0);
	CHECK_OK(close(l));

	struct sockaddr_in none;
	int b = bound(SOCK_STREAM, &none);
	int c = CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	CHECK_ERRNO(connect(c, (void *)&none, sizeof none), EINPROGRESS);
	CHECK(events(c, POLLOUT, 5000) & POLLERR);
	CHECK_EQ(option(c, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	CHECK_EQ(option(c, SOL_SOCKET, SO_ERROR), 0);
	close(b);
}

CASE(inet_tcp_readiness)
{
	struct sockaddr_in a;
	int fresh = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_EQ(events(fresh, POLLIN | POLLOUT, 0), POLLOUT | POLLHUP);
	int l = listener(&a);
	CHECK_EQ(events(l, POLLIN | POLLOUT, 0), 0);
	CHECK_OK(connect(fresh, (void *)&a, sizeof a));
	CHECK_EQ(events(l, POLLIN | POLLOUT, 5000), POLLIN);
	int s = CHECK_OK(accept(l, NULL, NULL));
	CHECK_EQ(events(s, POLLIN | POLLOUT, 0), POLLOUT);
	CHECK_EQ(write(fresh, "x", 1), 1);
	CHECK_EQ(events(s, POLLIN, 5000), POLLIN);
	CHECK_OK(shutdown(fresh, SHUT_WR));
	CHECK_EQ(events(s, POLLRDHUP, 5000), POLLRDHUP);
	CHECK_EQ(events(s, POLLIN | POLLOUT | POLLRDHUP, 0), POLLIN | POLLOUT | POLLRDHUP);
	CHECK_OK(shutdown(s, SHUT_WR));
	CHECK_EQ(events(fresh, POLLHUP, 5000), POLLHUP);
}

CASE(inet_tcp_epoll_edge)
{
	int s[2];
	char c;
	struct epoll_event e = {.events = EPOLLIN | EPOLLET};
	pair(s);
	int ep = CHECK_OK(epoll_create1(0));
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, s[1], &e));
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
	CHECK_EQ(write(s[0], "ab", 2), 2);
	CHECK_EQ(epoll_wait(ep, &e, 1, 5000), 1);
	CHECK_EQ(read(s[1], &c, 1), 1);
	CHECK_EQ(epoll_wait(ep, &e, 1, 0), 0);
	CHECK_EQ(write(s[0], "c", 1), 1);
	CHECK_EQ(epoll_wait(ep, &e, 1, 5000), 1);
}

CASE(inet_tcp_reset_by_linger)
{
	int s[2];
	char c;
	struct linger l = {1, 0};
	pair(s);
	CHECK_OK(setsockopt(s[0], SOL_SOCKET, SO_LINGER, &l, sizeof l));
	CHECK_OK(close(s[0]));
	CHECK_ERRNO(read(s[1], &c, 1), ECONNRESET);
	CHECK_EQ(read(s[1], &c, 1), 0);
}

CASE(inet_tcp_fills_up)
{
	int s[2];
	static char block[65536];
	long sent = 0, got = 0, n;
	pair(s);
	while ((n = send(s[0], block, sizeof block, MSG_DONTWAIT)) > 0)
		sent += n;
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(events(s[0], POLLOUT, 0), 0);
	CHECK_OK(shutdown(s[0], SHUT_WR));
	while ((n = read(s[1], block, sizeof block)) > 0)
		got += n;
	CHECK_EQ(n, 0);
	CHECK_EQ(got, sent);
}

CASE(inet_bind_errors)
{
	struct sockaddr_in a, b = lo4(0);
	struct sockaddr_in6 six = lo6(0);
	bound(SOCK_STREAM, &a);
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_ERRNO(bind(fd, (void *)&a, sizeof a), EADDRINUSE);
	CHECK_ERRNO(bind(fd, (void *)&a, 8), EINVAL);
	CHECK_ERRNO(bind(fd, (void *)&six, sizeof six), EAFNOSUPPORT);
	b.sin_addr.s_addr = inet_addr("203.0.113.9");
	CHECK_ERRNO(bind(fd, (void *)&b, sizeof b), EADDRNOTAVAIL);
	b.sin_addr.s_addr = inet_addr("127.9.8.7");
	CHECK_OK(bind(fd, (void *)&b, sizeof b));
	CHECK_ERRNO(bind(fd, (void *)&b, sizeof b), EINVAL);
}

CASE(inet_reuse_address)
{
	struct sockaddr_in a;
	int l = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	socklen_t n = sizeof a;
	a = lo4(0);
	CHECK_OK(set(l, SOL_SOCKET, SO_REUSEPORT, 1));
	CHECK_OK(bind(l, (void *)&a, sizeof a));
	CHECK_OK(getsockname(l, (void *)&a, &n));
	CHECK_OK(listen(l, 1));
	int m = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_OK(set(m, SOL_SOCKET, SO_REUSEADDR, 1));
	CHECK_ERRNO(bind(m, (void *)&a, sizeof a), EADDRINUSE);
	CHECK_OK(set(m, SOL_SOCKET, SO_REUSEPORT, 1));
	CHECK_OK(bind(m, (void *)&a, sizeof a));
	CHECK_OK(listen(m, 1));
	CHECK_EQ(option(m, SOL_SOCKET, SO_REUSEPORT), 1);
}

CASE(inet_tcp_options)
{
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_EQ(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	CHECK_OK(set(fd, IPPROTO_TCP, TCP_NODELAY, 1));
	CHECK_EQ(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	CHECK_OK(set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 33));
	CHECK_EQ(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 33);
	CHECK_OK(set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 34));
	CHECK_EQ(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 34);
	CHECK_OK(set(fd, IPPROTO_TCP, TCP_KEEPCNT, 5));
	CHECK_EQ(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 5);
	CHECK_ERRNO(set(fd, IPPROTO_TCP, TCP_KEEPCNT, 128), EINVAL);
	CHECK_OK(set(fd, SOL_SOCKET, SO_KEEPALIVE, 7));
	CHECK_EQ(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	CHECK_OK(set(fd, IPPROTO_IP, IP_TOS, 0x10));
	CHECK_EQ(option(fd, IPPROTO_IP, IP_TOS), 0x10);
	CHECK_ERRNO(set(fd, IPPROTO_TCP, 9999, 1), ENOPROTOOPT);
	CHECK_ERRNO(set(CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0)), IPPROTO_TCP, TCP_NODELAY, 1), ENOPROTOOPT);
}

CASE(inet_udp_transfers)
{
	struct sockaddr_in a, b, from;
	socklen_t n = sizeof from;
	char buf[32] = {0};
	int r = bound(SOCK_DGRAM, &a), s = bound(SOCK_DGRAM, &b);
	CHECK_ERRNO(send(s, "x", 1, 0), EDESTADDRREQ);
	CHECK_EQ(sendto(s, "hello", 5, 0, (void *)&a, sizeof a), 5);
	CHECK_EQ(sendto(s, "", 0, 0, (void *)&a, sizeof a), 0);
	CHECK_EQ(recvfrom(r, buf, 3, MSG_PEEK, (void *)&from, &n), 3);
	CHECK_EQ(from.sin_port, b.sin_port);
	CHECK_EQ(recv(r, buf, 3, MSG_PEEK | MSG_TRUNC), 5);
	struct iovec v = {buf, 2};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	CHECK_EQ(recvmsg(r, &m, 0), 2);
	CHECK_EQ(m.msg_flags, MSG_TRUNC);
	CHECK_EQ(recv(r, buf, 32, 0), 0);
	CHECK_ERRNO(recv(r, buf, 32, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(events(s, POLLIN | POLLOUT, 0), POLLOUT);
}

CASE(inet_udp_connected)
{
	struct sockaddr_in a, b;
	char c;
	int r = bound(SOCK_DGRAM, &a), s = bound(SOCK_DGRAM, &b);
	CHECK_OK(connect(s, (void *)&a, sizeof a));
	CHECK_EQ(send(s, "x", 1, 0), 1);
	CHECK_EQ(recv(r, &c, 1, 0), 1);
	CHECK_OK(close(r));
	CHECK_EQ(send(s, "x", 1, 0), 1);
	CHECK_ERRNO(recv(s, &c, 1, 0), ECONNREFUSED);
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	CHECK_OK(connect(s, &none, sizeof none));
	CHECK_ERRNO(send(s, "x", 1, 0), EDESTADDRREQ);
}

CASE(inet_udp_too_long)
{
	static char big[70000];
	struct sockaddr_in a;
	int s = bound(SOCK_DGRAM, &a);
	CHECK_ERRNO(sendto(s, big, sizeof big, 0, (void *)&a, sizeof a), EMSGSIZE);
	CHECK_EQ(sendto(s, big, 65507, 0, (void *)&a, sizeof a), 65507);
	CHECK_EQ(recv(s, big, sizeof big, 0), 65507);
	CHECK_ERRNO(sendto(s, big, 65508, 0, (void *)&a, sizeof a), EMSGSIZE);
}

CASE(inet_ipv6_both_ways)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6}, b;
	socklen_t n = sizeof a;
	char c;
	int l = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0));
	CHECK_OK(bind(l, (void *)&a, sizeof a));
	CHECK_OK(listen(l, 4));
	CHECK_OK(getsockname(l, (void *)&a, &n));
	struct sockaddr_in four = lo4(ntohs(a.sin6_port));
	struct sockaddr_in6 six = lo6(ntohs(a.sin6_port));
	int x = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_OK(connect(x, (void *)&four, sizeof four));
	int s = CHECK_OK(accept(l, (void *)&b, &n));
	CHECK_EQ(IN6_IS_ADDR_V4MAPPED(&b.sin6_addr), 1);
	int y = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0));
	CHECK_OK(connect(y, (void *)&six, sizeof six));
	s = CHECK_OK(accept(l, (void *)&b, &n));
	CHECK_EQ(IN6_IS_ADDR_LOOPBACK(&b.sin6_addr), 1);
	CHECK_EQ(write(y, "x", 1), 1);
	CHECK_EQ(read(s, &c, 1), 1);
	CHECK_EQ(option(y, IPPROTO_IPV6, IPV6_V6ONLY), 0);
}

CASE(inet_queue_sizes)
{
	int s[2], n = -1;
	pair(s);
	CHECK_OK(ioctl(s[1], FIONREAD, &n));
	CHECK_EQ(n, 0);
	CHECK_EQ(write(s[0], "hello", 5), 5);
	CHECK_EQ(events(s[1], POLLIN, 5000), POLLIN);
	CHECK_OK(ioctl(s[1], FIONREAD, &n));
	CHECK_EQ(n, 5);
}

CASE(inet_interface_lo)
{
	struct ifreq r = {.ifr_name = "lo"};
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_OK(ioctl(fd, SIOCGIFINDEX, &r));
	CHECK_EQ(r.ifr_ifindex, 1);
	CHECK_OK(ioctl(fd, SIOCGIFMTU, &r));
	CHECK_EQ(r.ifr_mtu, 65536);
	CHECK_OK(ioctl(fd, SIOCGIFADDR, &r));
	CHECK_EQ(((struct sockaddr_in *)&r.ifr_addr)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_OK(ioctl(fd, SIOCGIFNETMASK, &r));
	CHECK_EQ(((struct sockaddr_in *)&r.ifr_addr)->sin_addr.s_addr, htonl(0xff000000));
	CHECK_OK(ioctl(fd, SIOCGIFFLAGS, &r));
	CHECK_EQ(r.ifr_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING), IFF_UP | IFF_LOOPBACK | IFF_RUNNING);
	CHECK_OK(ioctl(fd, SIOCGIFHWADDR, &r));
	CHECK_EQ(r.ifr_hwaddr.sa_family, 772);
	strcpy(r.ifr_name, "nope0");
	CHECK_ERRNO(ioctl(fd, SIOCGIFMTU, &r), ENODEV);
}

CASE(inet_receive_timeout)
{
	struct sockaddr_in a;
	struct timeval tv = {0, 20000};
	char c;
	int s = bound(SOCK_DGRAM, &a);
	CHECK_OK(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	CHECK_ERRNO(recv(s, &c, 1, 0), EAGAIN);
}

CASE(inet_proc_net_tcp)
{
	struct sockaddr_in a;
	char line[256], want[64];
	int found = 0;
	listener(&a);
	sprintf(want, " 0100007F:%04X 00000000:0000 0A ", ntohs(a.sin_port));
	FILE *f = fopen("/proc/net/tcp", "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f))
		found += strstr(line, want) != NULL;
	CHECK_EQ(found, 1);
}
