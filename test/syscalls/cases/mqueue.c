// POSIX message queues.
// calls: mq_open, mq_unlink, mq_timedsend, mq_timedreceive, mq_notify, mq_getsetattr
#include "case.h"
#include <mqueue.h>
#include <poll.h>

// A name that no other run has. The kernel's name has no slash.
static const char *queue_name(void)
{
	static char name[64];
	snprintf(name, sizeof name, "/bulkhead-case-%d-%ld", getpid(), (long)time(NULL));
	return name;
}

static mqd_t make(const char *name, int flags, long messages, long size)
{
	struct mq_attr a = {.mq_maxmsg = messages, .mq_msgsize = size};
	mqd_t q = mq_open(name, O_CREAT | O_EXCL | O_RDWR | flags, 0600, &a);
	if (q < 0 && (errno == ENOSYS || errno == EACCES || errno == ENOSPC))
		SKIP("no message queues here: %s", case_errno_name(errno));
	CHECK(q >= 0);
	return q;
}

CASE(mqueue_order_of_messages)
{
	const char *name = queue_name();
	mqd_t q = make(name, 0, 4, 16);
	CHECK_OK(mq_unlink(name));
	CHECK_OK(mq_send(q, "low", 3, 1));
	CHECK_OK(mq_send(q, "high", 4, 9));
	CHECK_OK(mq_send(q, "low2", 4, 1));
	char b[16];
	unsigned prio;
	CHECK_EQ(mq_receive(q, b, sizeof b, &prio), 4);
	CHECK_EQ(prio, 9);
	CHECK(memcmp(b, "high", 4) == 0);
	CHECK_EQ(mq_receive(q, b, sizeof b, &prio), 3);
	CHECK_EQ(mq_receive(q, b, sizeof b, NULL), 4);
	CHECK(memcmp(b, "low2", 4) == 0);
	CHECK_EQ(fcntl(q, F_GETFD), FD_CLOEXEC);
}

CASE(mqueue_limits_and_errors)
{
	const char *name = queue_name();
	mqd_t q = make(name, O_NONBLOCK, 2, 8);
	CHECK_ERRNO(mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, NULL), EEXIST);
	mqd_t r = mq_open(name, O_RDONLY);
	CHECK(r >= 0);
	CHECK_ERRNO(mq_send(r, "x", 1, 0), EBADF);
	char b[8];
	CHECK_ERRNO(mq_receive(q, b, 8, NULL), EAGAIN);
	CHECK_ERRNO(mq_receive(q, b, 7, NULL), EMSGSIZE);
	CHECK_ERRNO(mq_send(q, "123456789", 9, 0), EMSGSIZE);
	CHECK_ERRNO(mq_send(q, "x", 1, 32768), EINVAL);
	CHECK_OK(mq_send(q, "x", 1, 32767));
	CHECK_OK(mq_send(q, "", 0, 0));
	CHECK_ERRNO(mq_send(q, "x", 1, 0), EAGAIN);
	struct mq_attr a;
	CHECK_OK(mq_getattr(q, &a));
	CHECK_EQ(a.mq_maxmsg, 2);
	CHECK_EQ(a.mq_msgsize, 8);
	CHECK_EQ(a.mq_curmsgs, 2);
	CHECK_EQ(a.mq_flags, O_NONBLOCK);
	a.mq_flags = 0;
	CHECK_OK(mq_setattr(q, &a, NULL));
	struct timespec past = {1, 0}, bad = {0, 1000000000};
	CHECK_ERRNO(mq_timedsend(q, "x", 1, 0, &past), ETIMEDOUT);
	CHECK_ERRNO(mq_timedsend(q, "x", 1, 0, &bad), EINVAL);
	CHECK_OK(mq_unlink(name));
	CHECK_ERRNO(mq_unlink(name), ENOENT);
	CHECK_ERRNO(mq_open(name, O_RDONLY), ENOENT);
	struct mq_attr none = {.mq_maxmsg = 0, .mq_msgsize = 8};
	CHECK_ERRNO(mq_open(name, O_CREAT | O_RDWR, 0600, &none), EINVAL);
	CHECK_ERRNO(syscall(SYS_mq_open, "a/b", O_CREAT | O_RDWR, 0600, NULL), EACCES);
	CHECK_ERRNO(syscall(SYS_mq_open, "", O_CREAT | O_RDWR, 0600, NULL), ENOENT);
	CHECK_ERRNO(mq_receive(0, b, 8, NULL), EBADF);
}

CASE(mqueue_blocks_until_message)
{
	const char *name = queue_name();
	mqd_t q = make(name, 0, 1, 8);
	CHECK_OK(mq_unlink(name));
	pid_t pid = CHECK_OK(fork());
	if (pid == 0) {
		char b[8];
		_exit(mq_receive(q, b, 8, NULL) == 2 && b[0] == 'h' ? 0 : 1);
	}
	case_wait_state(pid, "S");
	CHECK_OK(mq_send(q, "hi", 2, 0));
	CHECK_EXITS(pid, 0);
}

CASE(mqueue_poll)
{
	const char *name = queue_name();
	mqd_t q = make(name, 0, 1, 8);
	CHECK_OK(mq_unlink(name));
	struct pollfd p = {q, POLLIN | POLLOUT, 0};
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLOUT);
	CHECK_OK(mq_send(q, "x", 1, 0));
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN);
}

static volatile sig_atomic_t told, told_code, told_value;

static void on_message(int sig, siginfo_t *i, void *c)
{
	told++;
	told_code = i->si_code;
	told_value = i->si_value.sival_int;
}

CASE(mqueue_notifies_once)
{
	const char *name = queue_name();
	mqd_t q = make(name, 0, 4, 8);
	CHECK_OK(mq_unlink(name));
	struct sigaction sa = {.sa_sigaction = on_message, .sa_flags = SA_SIGINFO};
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
	CHECK_OK(mq_notify(q, &ev));
	CHECK_ERRNO(mq_notify(q, &ev), EBUSY);
	CHECK_OK(mq_send(q, "1", 1, 0));
	CHECK_EQ(told, 1);
	CHECK_EQ(told_code, SI_MESGQ);
	CHECK_EQ(told_value, 42);
	CHECK_OK(mq_notify(q, &ev));
	CHECK_OK(mq_send(q, "2", 1, 0)); // it was not empty
	CHECK_EQ(told, 1);
	CHECK_OK(mq_notify(q, NULL));
	CHECK_OK(mq_notify(q, &ev));
}
