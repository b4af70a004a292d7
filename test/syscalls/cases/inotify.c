// inotify(7).
// calls: inotify_init, inotify_init1, inotify_add_watch, inotify_rm_watch
#include "case.h"
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

static char buf[4096] __attribute__((aligned(8)));
static ssize_t len, at;

// next gives the next event, reading when none is left.
static struct inotify_event *next(int fd)
{
	if (at >= len) {
		len = CHECK_OK(read(fd, buf, sizeof buf));
		at = 0;
	}
	struct inotify_event *e = (void *)(buf + at);
	at += sizeof *e + e->len;
	return e;
}

static void expect(int fd, int wd, uint32_t mask, const char *name)
{
	struct inotify_event *e = next(fd);
	if (e->wd != wd || e->mask != mask)
		FAIL("expected watch %d mask %#x, got watch %d mask %#x name %s", wd, mask, e->wd, e->mask, e->len ? e->name : "");
	CHECK_STR(e->len ? e->name : "", name);
}

static int make(void)
{
	return CHECK_OK(inotify_init1(IN_NONBLOCK));
}

CASE(inotify_directory)
{
	CHECK_OK(mkdir("d", 0755));
	int in = make(), wd = CHECK_OK(inotify_add_watch(in, "d", IN_CREATE | IN_DELETE | IN_MOVE | IN_MODIFY | IN_CLOSE_WRITE));
	char c;
	CHECK_ERRNO(read(in, &c, 1), EAGAIN);
	int fd = CHECK_OK(open("d/f", O_WRONLY | O_CREAT, 0644));
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_OK(close(fd));
	CHECK_OK(mkdir("d/sub", 0755));
	CHECK_OK(unlink("d/f"));
	CHECK_OK(rmdir("d/sub"));
	expect(in, wd, IN_CREATE, "f");
	expect(in, wd, IN_MODIFY, "f");
	expect(in, wd, IN_CLOSE_WRITE, "f");
	expect(in, wd, IN_CREATE | IN_ISDIR, "sub");
	expect(in, wd, IN_DELETE, "f");
	expect(in, wd, IN_DELETE | IN_ISDIR, "sub");
	CHECK_ERRNO(read(in, buf, sizeof buf), EAGAIN);
}

CASE(inotify_move)
{
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(mkdir("e", 0755));
	case_write_file("d/f", "x");
	int in = make(), wd = CHECK_OK(inotify_add_watch(in, "d", IN_MOVE)), we = CHECK_OK(inotify_add_watch(in, "e", IN_MOVE));
	CHECK(wd != we);
	CHECK_OK(rename("d/f", "e/g"));
	struct inotify_event *a = next(in);
	CHECK_EQ(a->wd, wd);
	CHECK_EQ(a->mask, IN_MOVED_FROM);
	uint32_t cookie = a->cookie;
	CHECK(cookie != 0);
	struct inotify_event *b = next(in);
	CHECK_EQ(b->wd, we);
	CHECK_EQ(b->mask, IN_MOVED_TO);
	CHECK_EQ(b->cookie, cookie);
	CHECK_STR(b->name, "g");
}

CASE(inotify_file)
{
	case_write_file("f", "hello");
	int in = make(), wd = CHECK_OK(inotify_add_watch(in, "f", IN_ALL_EVENTS));
	char c;
	int fd = CHECK_OK(open("f", O_RDWR));
	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_OK(close(fd));
	CHECK_OK(chmod("f", 0600));
	expect(in, wd, IN_OPEN, "");
	expect(in, wd, IN_ACCESS, "");
	expect(in, wd, IN_MODIFY, "");
	expect(in, wd, IN_CLOSE_WRITE, "");
	expect(in, wd, IN_ATTRIB, "");
	CHECK_OK(rename("f", "g"));
	expect(in, wd, IN_MOVE_SELF, "");
}

CASE(inotify_delete_self)
{
	case_write_file("f", "x");
	int in = make(), wd = CHECK_OK(inotify_add_watch(in, "f", IN_DELETE_SELF | IN_ATTRIB));
	CHECK_OK(unlink("f"));
	expect(in, wd, IN_ATTRIB, "");
	expect(in, wd, IN_DELETE_SELF, "");
	expect(in, wd, IN_IGNORED, "");
	CHECK_ERRNO(inotify_rm_watch(in, wd), EINVAL);
}

CASE(inotify_rm_watch_tells)
{
	int in = make(), wd = CHECK_OK(inotify_add_watch(in, ".", IN_CREATE));
	CHECK_OK(inotify_rm_watch(in, wd));
	expect(in, wd, IN_IGNORED, "");
	case_write_file("f", "x");
	CHECK_ERRNO(read(in, buf, sizeof buf), EAGAIN);
}

CASE(inotify_same_watch_is_changed)
{
	CHECK_OK(mkdir("d", 0755));
	int in = make(), wd = CHECK_OK(inotify_add_watch(in, "d", IN_CREATE));
	CHECK_EQ(inotify_add_watch(in, "d", IN_DELETE), wd);
	case_write_file("d/f", "x");
	CHECK_ERRNO(read(in, buf, sizeof buf), EAGAIN);
	CHECK_EQ(inotify_add_watch(in, "d", IN_CREATE | IN_MASK_ADD), wd);
	CHECK_OK(unlink("d/f"));
	expect(in, wd, IN_DELETE, "f");
	CHECK_ERRNO(inotify_add_watch(in, "d", IN_CREATE | IN_MASK_CREATE), EEXIST);
}

CASE(inotify_oneshot_and_onlydir)
{
	CHECK_OK(mkdir("d", 0755));
	case_write_file("f", "x");
	int in = make(), wd = CHECK_OK(inotify_add_watch(in, "d", IN_CREATE | IN_ONESHOT));
	case_write_file("d/a", "");
	case_write_file("d/b", "");
	expect(in, wd, IN_CREATE, "a");
	expect(in, wd, IN_IGNORED, "");
	CHECK_ERRNO(read(in, buf, sizeof buf), EAGAIN);
	CHECK_ERRNO(inotify_add_watch(in, "f", IN_CREATE | IN_ONLYDIR), ENOTDIR);
}

CASE(inotify_errors)
{
	int in = make(), p[2];
	CHECK_OK(pipe(p));
	CHECK_ERRNO(inotify_init1(1), EINVAL);
	CHECK_OK(syscall(SYS_inotify_init));
	CHECK_ERRNO(inotify_add_watch(in, "none", IN_CREATE), ENOENT);
	CHECK_ERRNO(inotify_add_watch(in, ".", 0), EINVAL);
	CHECK_ERRNO(inotify_add_watch(p[0], ".", IN_CREATE), EINVAL);
	CHECK_ERRNO(inotify_add_watch(99, ".", IN_CREATE), EBADF);
	CHECK_ERRNO(inotify_rm_watch(in, 77), EINVAL);
	CHECK_OK(inotify_add_watch(in, ".", IN_CREATE));
	case_write_file("f", "x");
	char small[4];
	CHECK_ERRNO(read(in, small, sizeof small), EINVAL);
}

CASE(inotify_poll_and_fionread)
{
	int in = make(), n = 0;
	CHECK_OK(inotify_add_watch(in, ".", IN_CREATE));
	struct pollfd p = {in, POLLIN, 0};
	CHECK_EQ(poll(&p, 1, 0), 0);
	case_write_file("f", "x");
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_OK(ioctl(in, FIONREAD, &n));
	CHECK_EQ(n, 32);
}

CASE(inotify_blocks_until_event)
{
	int in = CHECK_OK(inotify_init1(0));
	int wd = CHECK_OK(inotify_add_watch(in, ".", IN_CREATE));
	pid_t parent = getpid();
	pid_t pid = CHILD
	{
		case_wait_state(parent, "S");
		case_write_file("f", "x");
	}
	expect(in, wd, IN_CREATE, "f");
	CHECK_EXITS(pid, 0);
}

CASE(inotify_merges_equal_events)
{
	case_write_file("f", "x");
	int in = make(), wd = CHECK_OK(inotify_add_watch(in, "f", IN_MODIFY | IN_ATTRIB));
	int fd = CHECK_OK(open("f", O_RDWR));
	for (int i = 0; i < 5; i++)
		CHECK_EQ(write(fd, "x", 1), 1);
	expect(in, wd, IN_MODIFY, "");
	CHECK_ERRNO(read(in, buf, sizeof buf), EAGAIN);
}
