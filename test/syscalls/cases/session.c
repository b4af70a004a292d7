// Process groups, sessions and terminals.
// calls: setpgid, getpgid, getpgrp, setsid, getsid, ioctl, vhangup
#include "case.h"
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

CASE(pgrp_basics)
{
	CHECK_EQ(getpgrp(), getpgid(0));
	CHECK_EQ(getpgid(getpid()), getpgrp());
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	pid_t pid = CHILD
	{
		CHECK_EQ(getpgrp(), getppid());
		write(p[1], "k", 1);
		CHECK_OK(setpgid(0, 0));
		CHECK_EQ(getpgrp(), getpid());
		pause();
	}
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_OK(setpgid(pid, pid));
	CHECK_EQ(getpgid(pid), pid);
	kill(pid, SIGKILL);
}

CASE(pgrp_errors)
{
	CHECK_ERRNO(getpgid(4000000), ESRCH);
	CHECK_ERRNO(setpgid(0, -1), EINVAL);
	CHECK_ERRNO(setpgid(4000000, 0), ESRCH);
	CHECK_ERRNO(setpgid(1, 0), ESRCH);
	CHECK_ERRNO(setpgid(0, 4000000), EPERM);
	CHECK_ERRNO(getsid(4000000), ESRCH);
}

HELPER(wait_end)
{
	char c;
	write(1, "r", 1);
	read(0, &c, 1);
	return 0;
}

CASE(pgrp_child_that_has_executed)
{
	int in[2], out[2];
	char c;
	CHECK_OK(pipe(in));
	CHECK_OK(pipe(out));
	pid_t pid = CHILD
	{
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		case_exec_helper("wait_end", NULL);
	}
	CHECK_EQ(read(out[0], &c, 1), 1);
	CHECK_ERRNO(setpgid(pid, pid), EACCES);
	close(in[1]);
	CHECK_EXITS(pid, 0);
}

CASE(setsid_makes_session)
{
	pid_t pid = CHILD
	{
		CHECK_EQ(setsid(), getpid());
		CHECK_EQ(getsid(0), getpid());
		CHECK_EQ(getpgrp(), getpid());
		CHECK_ERRNO(setsid(), EPERM);
		CHECK_ERRNO(setpgid(0, 0), EPERM);
	}
	CHECK_EXITS(pid, 0);
	// The case itself leads a group.
	CHECK_ERRNO(setsid(), EPERM);
}

CASE(setpgid_across_sessions)
{
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	pid_t pid = CHILD
	{
		CHECK_OK(setsid());
		write(p[1], "r", 1);
		pause();
	}
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_ERRNO(setpgid(pid, getpgrp()), EPERM);
	CHECK_ERRNO(setpgid(0, pid), EPERM);
	kill(pid, SIGKILL);
}

CASE(orphaned_group_is_hung_up_when_stopped)
{
	int p[2];
	CHECK_OK(pipe(p));
	pid_t mid = CHILD
	{
		CHECK_OK(setsid());
		pid_t child = CHILD
		{
			setpgid(0, 0);
			write(p[1], "r", 1);
			raise(SIGSTOP);
			_exit(1);
		}
		setpgid(child, child);
		int st;
		CHECK_EQ(waitpid(child, &st, WUNTRACED), child);
		// Our end orphans the stopped group: it gets SIGHUP and SIGCONT.
	}
	CHECK_EXITS(mid, 0);
	CHECK_OK(close(p[1]));
	char c[2];
	CHECK_EQ(read(p[0], c, 1), 1);
	CHECK_EQ(read(p[0], c, 1), 0);
}

CASE(stop_signals_ignored_in_orphaned_group)
{
	// Neither parent nor anybody else of the session is outside the group.
	pid_t pid = CHILD
	{
		CHECK_OK(setsid());
		raise(SIGTSTP);
		raise(SIGTTIN);
		_exit(5);
	}
	CHECK_EXITS(pid, 5);
}

// Terminals.

struct tty {
	int master, slave;
	char name[64];
};

static struct tty open_tty(void)
{
	struct tty t;
	t.master = CHECK_OK(posix_openpt(O_RDWR | O_NOCTTY));
	CHECK_OK(grantpt(t.master));
	CHECK_OK(unlockpt(t.master));
	CHECK_EQ(ptsname_r(t.master, t.name, sizeof t.name), 0);
	t.slave = CHECK_OK(open(t.name, O_RDWR | O_NOCTTY));
	return t;
}

// The two ends are joined by a queue that Linux empties in its own time, so
// what was written may arrive in parts.
static void read_exactly(int fd, char *buf, ssize_t n)
{
	for (ssize_t got = 0; got < n;)
		got += CHECK_OK(read(fd, buf + got, n - got));
}

static void wait_readable(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};
	CHECK_EQ(poll(&p, 1, 10000), 1);
}

CASE(pty_opens)
{
	struct tty t = open_tty();
	CHECK_EQ(isatty(t.slave), 1);
	CHECK_EQ(isatty(t.master), 1);
	CHECK(!strncmp(t.name, "/dev/pts/", 9));
	struct stat st;
	CHECK_OK(stat(t.name, &st));
	CHECK(S_ISCHR(st.st_mode));
	char name[64];
	CHECK_EQ(ttyname_r(t.slave, name, sizeof name), 0);
	CHECK_STR(name, t.name);
	unsigned n;
	CHECK_OK(ioctl(t.master, TIOCGPTN, &n));
	CHECK_EQ(n, atoi(t.name + 9));
}

CASE(pty_locked_until_unlocked)
{
	int m = CHECK_OK(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	char name[64];
	CHECK_EQ(ptsname_r(m, name, sizeof name), 0);
	CHECK_ERRNO(open(name, O_RDWR | O_NOCTTY), EIO);
	CHECK_OK(unlockpt(m));
	CHECK_OK(open(name, O_RDWR | O_NOCTTY));
}

CASE(pty_canonical_line)
{
	struct tty t = open_tty();
	char buf[64] = {0};
	fcntl(t.slave, F_SETFL, O_NONBLOCK);
	CHECK_EQ(write(t.master, "hel", 3), 3);
	CHECK_ERRNO(read(t.slave, buf, sizeof buf), EAGAIN);
	CHECK_EQ(write(t.master, "lo\n", 3), 3);
	wait_readable(t.slave);
	CHECK_EQ(read(t.slave, buf, sizeof buf), 6);
	CHECK_STR(buf, "hello\n");
	// Echo, with the newline as carriage return and newline.
	memset(buf, 0, sizeof buf);
	read_exactly(t.master, buf, 7);
	CHECK_STR(buf, "hello\r\n");
}

CASE(pty_editing)
{
	struct tty t = open_tty();
	char buf[64] = {0};
	CHECK_EQ(write(t.master, "abx\177c\n", 6), 6);
	CHECK_EQ(read(t.slave, buf, sizeof buf), 4);
	CHECK_STR(buf, "abc\n");
	CHECK_EQ(write(t.master, "wrong\025right\n", 12), 12);
	memset(buf, 0, sizeof buf);
	CHECK_EQ(read(t.slave, buf, sizeof buf), 6);
	CHECK_STR(buf, "right\n");
	CHECK_EQ(write(t.master, "two words\027x\n", 12), 12);
	memset(buf, 0, sizeof buf);
	CHECK_EQ(read(t.slave, buf, sizeof buf), 6);
	CHECK_STR(buf, "two x\n");
}

CASE(pty_end_of_file)
{
	struct tty t = open_tty();
	char buf[64] = {0};
	CHECK_EQ(write(t.master, "\004", 1), 1);
	CHECK_EQ(read(t.slave, buf, sizeof buf), 0);
	CHECK_EQ(write(t.master, "ab\004", 3), 3);
	CHECK_EQ(read(t.slave, buf, sizeof buf), 2);
}

CASE(pty_reads_a_line_at_a_time)
{
	struct tty t = open_tty();
	char buf[64] = {0};
	CHECK_EQ(write(t.master, "one\ntwo\n", 8), 8);
	CHECK_EQ(read(t.slave, buf, sizeof buf), 4);
	CHECK_EQ(read(t.slave, buf, 2), 2);
	CHECK_EQ(read(t.slave, buf, sizeof buf), 2);
}

CASE(pty_raw)
{
	struct tty t = open_tty();
	struct termios tio;
	char buf[64] = {0};
	CHECK_OK(tcgetattr(t.slave, &tio));
	CHECK(tio.c_lflag & ICANON);
	CHECK(tio.c_lflag & ECHO);
	CHECK(tio.c_lflag & ISIG);
	CHECK(tio.c_iflag & ICRNL);
	CHECK(tio.c_oflag & OPOST);
	CHECK_EQ(tio.c_cc[VINTR], 3);
	CHECK_EQ(tio.c_cc[VEOF], 4);
	CHECK_EQ(tio.c_cc[VSUSP], 26);
	cfmakeraw(&tio);
	CHECK_OK(tcsetattr(t.slave, TCSANOW, &tio));
	CHECK_EQ(write(t.master, "a\r\003", 3), 3);
	read_exactly(t.slave, buf, 3);
	CHECK(!memcmp(buf, "a\r\003", 3));
	CHECK_EQ(write(t.slave, "x\n", 2), 2);
	read_exactly(t.master, buf, 2);
	CHECK(!memcmp(buf, "x\n", 2));
}

CASE(pty_vmin_vtime)
{
	struct tty t = open_tty();
	struct termios tio;
	char buf[64];
	CHECK_OK(tcgetattr(t.slave, &tio));
	cfmakeraw(&tio);
	tio.c_cc[VMIN] = 0;
	tio.c_cc[VTIME] = 1;
	CHECK_OK(tcsetattr(t.slave, TCSANOW, &tio));
	int64_t start = case_now_ms();
	CHECK_EQ(read(t.slave, buf, sizeof buf), 0);
	CHECK(case_now_ms() - start >= 90);
	tio.c_cc[VTIME] = 0;
	CHECK_OK(tcsetattr(t.slave, TCSANOW, &tio));
	CHECK_EQ(read(t.slave, buf, sizeof buf), 0);
}

CASE(pty_output_processing)
{
	struct tty t = open_tty();
	char buf[64] = {0};
	CHECK_EQ(write(t.slave, "a\nb", 3), 3);
	read_exactly(t.master, buf, 4);
	CHECK_STR(buf, "a\r\nb");
}

CASE(pty_window_size)
{
	struct tty t = open_tty();
	struct winsize w = {33, 99, 5, 6}, got;
	CHECK_OK(ioctl(t.slave, TIOCGWINSZ, &got));
	CHECK_EQ(got.ws_row, 0);
	CHECK_OK(ioctl(t.master, TIOCSWINSZ, &w));
	CHECK_OK(ioctl(t.slave, TIOCGWINSZ, &got));
	CHECK_EQ(got.ws_row, 33);
	CHECK_EQ(got.ws_col, 99);
	CHECK_ERRNO(ioctl(t.slave, TIOCGWINSZ, BAD_POINTER), EFAULT);
}

CASE(pty_hangup)
{
	struct tty t = open_tty();
	char c;
	close(t.master);
	CHECK_EQ(read(t.slave, &c, 1), 0);
	CHECK_ERRNO(write(t.slave, "x", 1), EIO);
	struct pollfd p = {t.slave, POLLIN, 0};
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK(p.revents & POLLHUP);
}

CASE(pty_slave_closed)
{
	struct tty t = open_tty();
	char c;
	CHECK_EQ(write(t.slave, "x", 1), 1);
	close(t.slave);
	CHECK_EQ(read(t.master, &c, 1), 1);
	CHECK_ERRNO(read(t.master, &c, 1), EIO);
	struct pollfd p = {t.master, POLLIN, 0};
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK(p.revents & POLLHUP);
	// Opened again it works again.
	t.slave = CHECK_OK(open(t.name, O_RDWR | O_NOCTTY));
	CHECK_EQ(write(t.slave, "y", 1), 1);
	CHECK_EQ(read(t.master, &c, 1), 1);
}

static volatile int hits, last;

static void count(int sig)
{
	hits++;
	last = sig;
}

// in_session runs f in a session of its own with the terminal as its
// controlling one, and expects it to exit 0.
static pid_t in_session(struct tty *t, void (*f)(struct tty *))
{
	pid_t pid = CHILD
	{
		CHECK_OK(setsid());
		CHECK_OK(ioctl(t->slave, TIOCSCTTY, 0));
		f(t);
	}
	return pid;
}

static void gets_interrupt(struct tty *t)
{
	signal(SIGINT, count);
	signal(SIGQUIT, count);
	CHECK_EQ(tcgetpgrp(t->slave), getpgrp());
	CHECK_EQ(tcgetsid(t->slave), getpid());
	CHECK_EQ(write(t->master, "\003", 1), 1);
	for (int i = 0; i < 2000 && !hits; i++)
		case_sleep_ms(1);
	CHECK_EQ(last, SIGINT);
	CHECK_EQ(write(t->master, "\034", 1), 1);
	for (int i = 0; i < 2000 && hits < 2; i++)
		case_sleep_ms(1);
	CHECK_EQ(last, SIGQUIT);
}

CASE(tty_interrupt_character)
{
	struct tty t = open_tty();
	CHECK_EXITS(in_session(&t, gets_interrupt), 0);
}

static void gets_winch(struct tty *t)
{
	signal(SIGWINCH, count);
	struct winsize w = {10, 20, 0, 0};
	CHECK_OK(ioctl(t->master, TIOCSWINSZ, &w));
	for (int i = 0; i < 2000 && !hits; i++)
		case_sleep_ms(1);
	CHECK_EQ(last, SIGWINCH);
	// The same size again is no change.
	CHECK_OK(ioctl(t->master, TIOCSWINSZ, &w));
	case_sleep_ms(10);
	CHECK_EQ(hits, 1);
}

CASE(tty_window_change_signal)
{
	struct tty t = open_tty();
	CHECK_EXITS(in_session(&t, gets_winch), 0);
}

static void controlling(struct tty *t)
{
	int tty = CHECK_OK(open("/dev/tty", O_RDWR));
	CHECK_EQ(tcgetpgrp(tty), getpgrp());
	CHECK_EQ(write(tty, "T", 1), 1);
	char c;
	CHECK_EQ(read(t->master, &c, 1), 1);
	CHECK_EQ(c, 'T');
	CHECK_OK(close(tty));
	signal(SIGHUP, SIG_IGN);
	CHECK_OK(ioctl(t->slave, TIOCNOTTY));
	CHECK_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
}

CASE(tty_dev_tty)
{
	struct tty t = open_tty();
	CHECK_EXITS(in_session(&t, controlling), 0);
}

static void opens_without_noctty(struct tty *t)
{
	(void)t;
	char name[64];
	int m = CHECK_OK(posix_openpt(O_RDWR | O_NOCTTY));
	CHECK_OK(unlockpt(m));
	ptsname_r(m, name, sizeof name);
	// A session has one controlling terminal only.
	int s = CHECK_OK(open(name, O_RDWR));
	CHECK_ERRNO(tcgetpgrp(s), ENOTTY);
}

CASE(tty_only_one_controls)
{
	struct tty t = open_tty();
	CHECK_EXITS(in_session(&t, opens_without_noctty), 0);
}

CASE(tty_open_takes_control)
{
	pid_t pid = CHILD
	{
		char name[64];
		CHECK_OK(setsid());
		int m = CHECK_OK(posix_openpt(O_RDWR | O_NOCTTY));
		CHECK_OK(unlockpt(m));
		ptsname_r(m, name, sizeof name);
		int s = CHECK_OK(open(name, O_RDWR));
		CHECK_EQ(tcgetpgrp(s), getpgrp());
	}
	CHECK_EXITS(pid, 0);
}

static void job_control(struct tty *t)
{
	signal(SIGTTOU, SIG_IGN);
	int st;
	char c;
	pid_t job = CHILD
	{
		signal(SIGTTOU, SIG_DFL);
		setpgid(0, 0);
		read(t->slave, &c, 1);
		_exit(7);
	}
	setpgid(job, job);
	// In the background it may not read.
	CHECK_EQ(waitpid(job, &st, WUNTRACED), job);
	CHECK(WIFSTOPPED(st));
	CHECK_EQ(WSTOPSIG(st), SIGTTIN);
	CHECK_OK(tcsetpgrp(t->slave, job));
	CHECK_EQ(tcgetpgrp(t->slave), job);
	CHECK_OK(kill(-job, SIGCONT));
	CHECK_EQ(write(t->master, "x\n", 2), 2);
	CHECK_EXITS(job, 7);
	CHECK_OK(tcsetpgrp(t->slave, getpgrp()));
}

CASE(tty_background_read_stops)
{
	struct tty t = open_tty();
	CHECK_EXITS(in_session(&t, job_control), 0);
}

static void suspend(struct tty *t)
{
	signal(SIGTTOU, SIG_IGN);
	int st;
	pid_t job = CHILD
	{
		setpgid(0, 0);
		for (;;)
			pause();
	}
	setpgid(job, job);
	CHECK_OK(tcsetpgrp(t->slave, job));
	CHECK_EQ(write(t->master, "\032", 1), 1);
	CHECK_EQ(waitpid(job, &st, WUNTRACED), job);
	CHECK_EQ(WSTOPSIG(st), SIGTSTP);
	CHECK_OK(kill(-job, SIGCONT));
	CHECK_EQ(waitpid(job, &st, WCONTINUED), job);
	CHECK_EQ(write(t->master, "\003", 1), 1);
	CHECK_KILLED(job, SIGINT);
}

CASE(tty_suspend_character)
{
	struct tty t = open_tty();
	CHECK_EXITS(in_session(&t, suspend), 0);
}

static void tostop(struct tty *t)
{
	int st;
	struct termios tio;
	CHECK_OK(tcgetattr(t->slave, &tio));
	tio.c_lflag |= TOSTOP;
	CHECK_OK(tcsetattr(t->slave, TCSANOW, &tio));
	pid_t job = CHILD
	{
		signal(SIGTTOU, SIG_DFL);
		setpgid(0, 0);
		write(t->slave, "x", 1);
	}
	setpgid(job, job);
	CHECK_EQ(waitpid(job, &st, WUNTRACED), job);
	CHECK_EQ(WSTOPSIG(st), SIGTTOU);
	kill(job, SIGKILL);
	CHECK_KILLED(job, SIGKILL);
	// Changing the terminal stops the background even without TOSTOP.
	tio.c_lflag &= ~TOSTOP;
	CHECK_OK(tcsetattr(t->slave, TCSANOW, &tio));
	job = CHILD
	{
		signal(SIGTTOU, SIG_DFL);
		setpgid(0, 0);
		tcsetattr(t->slave, TCSANOW, &tio);
	}
	setpgid(job, job);
	CHECK_EQ(waitpid(job, &st, WUNTRACED), job);
	CHECK_EQ(WSTOPSIG(st), SIGTTOU);
	kill(job, SIGKILL);
	CHECK_KILLED(job, SIGKILL);
}

CASE(tty_background_write_stops)
{
	struct tty t = open_tty();
	CHECK_EXITS(in_session(&t, tostop), 0);
}

CASE(tty_hangup_signals_session_leader)
{
	struct tty t = open_tty();
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	pid_t pid = CHILD
	{
		CHECK_OK(close(t.master));
		CHECK_OK(setsid());
		signal(SIGHUP, count);
		CHECK_OK(ioctl(t.slave, TIOCSCTTY, 0));
		write(p[1], "r", 1);
		for (int i = 0; i < 5000 && !hits; i++)
			case_sleep_ms(1);
		CHECK_EQ(last, SIGHUP);
	}
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_OK(close(t.master));
	CHECK_EXITS(pid, 0);
}

CASE(tty_session_leader_exit_hangs_up_foreground)
{
	struct tty t = open_tty();
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	pid_t pid = CHILD
	{
		CHECK_OK(setsid());
		CHECK_OK(ioctl(t.slave, TIOCSCTTY, 0));
		pid_t member = CHILD
		{
			write(p[1], "r", 1);
			for (;;)
				pause();
		}
		(void)member;
		CHECK_EQ(read(p[0], &c, 1), 1);
	}
	CHECK_EXITS(pid, 0);
	CHECK_OK(close(p[1]));
	CHECK_EQ(read(p[0], &c, 1), 0);
}

CASE(tty_ioctls_of_strangers)
{
	struct tty t = open_tty();
	CHECK_ERRNO(tcgetpgrp(t.slave), ENOTTY);
	CHECK_ERRNO(ioctl(t.slave, TIOCSCTTY, 0), EPERM);
	CHECK_OK(tcflush(t.slave, TCIOFLUSH));
	CHECK_OK(tcdrain(t.slave));
	int n = -1;
	CHECK_EQ(write(t.master, "abc\n", 4), 4);
	wait_readable(t.slave);
	CHECK_OK(ioctl(t.slave, FIONREAD, &n));
	CHECK_EQ(n, 4);
}
