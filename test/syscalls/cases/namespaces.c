// Namespaces: uts, pid, user, mount, ipc.
// calls: unshare, setns, clone, sethostname, setdomainname, uname, mount, umount2,
// calls: pivot_root
#include "case.h"
#include <sys/mount.h>
#include <sys/utsname.h>

static void set_file(const char *path, const char *text)
{
	int fd = CHECK_OK(open(path, O_WRONLY));
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	CHECK_OK(close(fd));
}

CASE(uname_fields)
{
	struct utsname u;
	CHECK_OK(uname(&u));
	CHECK_STR(u.sysname, "Linux");
	CHECK_STR(u.machine, "x86_64");
	CHECK(u.release[0] >= '3' && u.release[0] <= '9');
	CHECK_ERRNO(syscall(SYS_uname, BAD_POINTER), EFAULT);
}

CASE(uts_namespace)
{
	NEED_ROOT();
	struct utsname before, u;
	CHECK_OK(uname(&before));
	pid_t pid = CHILD
	{
		CHECK_OK(unshare(CLONE_NEWUTS));
		CHECK_OK(sethostname("inside", 6));
		CHECK_OK(setdomainname("example", 7));
		CHECK_OK(uname(&u));
		CHECK_STR(u.nodename, "inside");
		CHECK_STR(u.domainname, "example");
		CHECK_ERRNO(sethostname("x", -1), EINVAL);
		CHECK_ERRNO(sethostname("x", 65), EINVAL);
		CHECK_STR(case_read_file("/proc/sys/kernel/hostname"), "inside\n");
	}
	CHECK_EXITS(pid, 0);
	CHECK_OK(uname(&u));
	CHECK_STR(u.nodename, before.nodename);
}

CASE(sethostname_needs_privilege)
{
	if (geteuid() == 0)
		CHECK_OK(setresuid(1234, 1234, 1234));
	CHECK_ERRNO(sethostname("x", 1), EPERM);
}

CASE(pid_namespace)
{
	NEED_ROOT();
	pid_t pid = CHILD
	{
		CHECK_OK(unshare(CLONE_NEWPID));
		pid_t init = CHILD
		{
			CHECK_EQ(getpid(), 1);
			CHECK_EQ(getppid(), 0);
			pid_t second = CHILD
			{
				CHECK_EQ(getpid(), 2);
				CHECK_EQ(getppid(), 1);
				_exit(3);
			}
			CHECK_EQ(second, 2);
			CHECK_EXITS(second, 3);
			_exit(4);
		}
		CHECK(init > 1);
		CHECK_EXITS(init, 4);
		CHECK_ERRNO(fork(), ENOMEM);
	}
	CHECK_EXITS(pid, 0);
}

CASE(pid_namespace_init_end_kills_all)
{
	NEED_ROOT();
	int p[2];
	char c;
	CHECK_OK(pipe(p));
	pid_t pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		pid_t other = fork();
		if (other == 0)
			for (;;)
				pause();
		_exit(7);
	}
	CHECK(pid > 0);
	CHECK_EXITS(pid, 7);
	CHECK_OK(close(p[1]));
	CHECK_EQ(read(p[0], &c, 1), 0);
}

CASE(pid_namespace_init_ignores_fatal_signals)
{
	NEED_ROOT();
	pid_t pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		raise(SIGTERM);
		kill(1, SIGKILL);
		_exit(8);
	}
	CHECK_EXITS(pid, 8);
}

CASE(user_namespace)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	pid_t pid = CHILD
	{
		if (unshare(CLONE_NEWUSER) != 0)
			SKIP("no user namespaces here: %s", case_errno_name(errno));
		CHECK_EQ(getuid(), 65534);
		char map[64];
		set_file("/proc/self/setgroups", "deny");
		snprintf(map, sizeof map, "0 %u 1", uid);
		set_file("/proc/self/uid_map", map);
		snprintf(map, sizeof map, "0 %u 1", gid);
		set_file("/proc/self/gid_map", map);
		CHECK_EQ(getuid(), 0);
		CHECK_EQ(getgid(), 0);
		CHECK_OK(unshare(CLONE_NEWUTS));
		CHECK_OK(sethostname("user", 4));
	}
	int st;
	CHECK_EQ(waitpid(pid, &st, 0), pid);
	if (WIFEXITED(st) && WEXITSTATUS(st) == CASE_EXIT_SKIPPED)
		_exit(CASE_EXIT_SKIPPED);
	CHECK_EQ(st, 0);
}

CASE(setns_joins)
{
	NEED_ROOT();
	struct utsname u;
	int home = CHECK_OK(open("/proc/self/ns/uts", O_RDONLY));
	CHECK_OK(unshare(CLONE_NEWUTS));
	CHECK_OK(sethostname("away", 4));
	CHECK_OK(setns(home, CLONE_NEWUTS));
	CHECK_OK(uname(&u));
	CHECK(strcmp(u.nodename, "away"));
	CHECK_ERRNO(setns(home, CLONE_NEWIPC), EINVAL);
	CHECK_ERRNO(setns(99, 0), EBADF);
	CHECK_ERRNO(setns(0, 0), EINVAL);
}

CASE(ns_links_name_namespaces)
{
	const char *names[] = {"uts", "ipc", "mnt", "pid", "user", "net", "cgroup"};
	for (size_t i = 0; i < 7; i++) {
		char path[64], link[64] = {0}, want[16];
		snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
		CHECK(readlink(path, link, sizeof link - 1) > 0);
		snprintf(want, sizeof want, "%s:[", names[i]);
		CHECK(!strncmp(link, want, strlen(want)));
	}
}

// Mounts.

static void own_mounts(void)
{
	NEED_ROOT();
	if (unshare(CLONE_NEWNS) != 0)
		SKIP("no mount namespace: %s", case_errno_name(errno));
	CHECK_OK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

CASE(mount_tmpfs)
{
	own_mounts();
	CHECK_OK(mkdir("m", 0755));
	case_write_file("m/under", "x");
	CHECK_OK(mount("tmp", "m", "tmpfs", MS_NOSUID, "size=1m,mode=700"));
	struct stat a, b;
	CHECK_OK(stat("m", &a));
	CHECK_OK(stat(".", &b));
	CHECK(a.st_dev != b.st_dev);
	CHECK_EQ(a.st_mode & 07777, 0700);
	CHECK_ERRNO(access("m/under", F_OK), ENOENT);
	case_write_file("m/over", "y");
	CHECK_ERRNO(rename("m/over", "elsewhere"), EXDEV);
	CHECK_ERRNO(link("m/over", "elsewhere"), EXDEV);
	CHECK_ERRNO(rmdir("m"), EBUSY);
	CHECK(strstr(case_read_file("/proc/self/mounts"), "/m tmpfs rw,nosuid"));
	CHECK_OK(umount("m"));
	CHECK_OK(access("m/under", F_OK));
}

CASE(mount_tmpfs_is_limited)
{
	own_mounts();
	CHECK_OK(mkdir("m", 0755));
	CHECK_OK(mount("tmp", "m", "tmpfs", 0, "size=64k"));
	static char buf[4096];
	int fd = CHECK_OK(open("m/f", O_WRONLY | O_CREAT, 0644));
	int i;
	for (i = 0; i < 100; i++)
		if (write(fd, buf, sizeof buf) != sizeof buf)
			break;
	CHECK_EQ(errno, ENOSPC);
	CHECK_EQ(i, 16);
}

CASE(mount_bind_and_read_only)
{
	own_mounts();
	CHECK_OK(mkdir("a", 0755));
	CHECK_OK(mkdir("b", 0755));
	case_write_file("a/f", "x");
	CHECK_OK(mount("a", "b", NULL, MS_BIND, NULL));
	CHECK_STR(case_read_file("b/f"), "x");
	CHECK_OK(mount(NULL, "b", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
	CHECK_ERRNO(open("b/f", O_WRONLY), EROFS);
	CHECK_ERRNO(mkdir("b/d", 0755), EROFS);
	CHECK_ERRNO(unlink("b/f"), EROFS);
	CHECK_ERRNO(chmod("b/f", 0600), EROFS);
	CHECK_OK(open("a/f", O_WRONLY));
	CHECK_OK(umount("b"));
}

CASE(mount_bind_file)
{
	own_mounts();
	case_write_file("a", "from a");
	case_write_file("b", "from b");
	CHECK_OK(mount("a", "b", NULL, MS_BIND, NULL));
	CHECK_STR(case_read_file("b"), "from a");
	CHECK_OK(umount("b"));
	CHECK_STR(case_read_file("b"), "from b");
}

CASE(mount_noexec_nodev)
{
	own_mounts();
	CHECK_OK(mkdir("m", 0755));
	CHECK_OK(mount("tmp", "m", "tmpfs", MS_NOEXEC | MS_NODEV, NULL));
	case_write_file("m/s", "#!/bin/sh\n");
	CHECK_OK(chmod("m/s", 0755));
	char *argv[] = {"s", NULL};
	CHECK_ERRNO(execve("m/s", argv, NULL), EACCES);
	CHECK_OK(mknod("m/null", S_IFCHR | 0666, 0x103));
	CHECK_ERRNO(open("m/null", O_RDWR), EACCES);
}

CASE(mount_errors)
{
	own_mounts();
	CHECK_OK(mkdir("m", 0755));
	CHECK_ERRNO(mount("x", "none", "tmpfs", 0, NULL), ENOENT);
	CHECK_ERRNO(mount("x", "m", "nosuchfs", 0, NULL), ENODEV);
	CHECK_ERRNO(mount("none", "m", NULL, MS_BIND, NULL), ENOENT);
	CHECK_ERRNO(umount("m"), EINVAL);
	CHECK_ERRNO(umount("none"), ENOENT);
	CHECK_ERRNO(umount2("m", 0x1000), EINVAL);
	case_write_file("f", "x");
	CHECK_ERRNO(mount("x", "f", "tmpfs", 0, NULL), ENOTDIR);
	CHECK_OK(mount("x", "m", "tmpfs", 0, NULL));
	int fd = CHECK_OK(open("m/f", O_RDWR | O_CREAT, 0644));
	CHECK_ERRNO(umount("m"), EBUSY);
	CHECK_OK(umount2("m", MNT_DETACH));
	CHECK_EQ(write(fd, "x", 1), 1);
}

CASE(mount_needs_privilege)
{
	if (geteuid() == 0)
		CHECK_OK(setresuid(1234, 1234, 1234));
	CHECK_ERRNO(mount("x", "/tmp", "tmpfs", 0, NULL), EPERM);
	CHECK_ERRNO(umount("/proc"), EPERM);
}

CASE(mount_namespace_is_private)
{
	NEED_ROOT();
	CHECK_OK(mkdir("m", 0755));
	pid_t pid = CHILD
	{
		own_mounts();
		CHECK_OK(mount("tmp", "m", "tmpfs", 0, NULL));
		case_write_file("m/f", "x");
	}
	CHECK_EXITS(pid, 0);
	CHECK_ERRNO(access("m/f", F_OK), ENOENT);
}

CASE(mount_move)
{
	own_mounts();
	CHECK_OK(mkdir("a", 0755));
	CHECK_OK(mkdir("b", 0755));
	CHECK_OK(mount("tmp", "a", "tmpfs", 0, NULL));
	CHECK_OK(mount("none", "a", NULL, MS_PRIVATE, NULL));
	case_write_file("a/f", "x");
	CHECK_OK(mount("a", "b", NULL, MS_MOVE, NULL));
	CHECK_OK(access("b/f", F_OK));
	CHECK_ERRNO(access("a/f", F_OK), ENOENT);
}

CASE(pivot_root_changes_root)
{
	own_mounts();
	CHECK_OK(mkdir("new", 0755));
	CHECK_OK(mount("tmp", "new", "tmpfs", 0, NULL));
	CHECK_OK(mkdir("new/old", 0755));
	case_write_file("new/f", "new root");
	CHECK_OK(syscall(SYS_pivot_root, "new", "new/old"));
	CHECK_OK(chdir("/"));
	CHECK_STR(case_read_file("/f"), "new root");
	CHECK_OK(access("/old/bin", F_OK));
	CHECK_OK(umount2("/old", MNT_DETACH));
	CHECK_ERRNO(access("/old/bin", F_OK), ENOENT);
}

CASE(mountinfo_lists)
{
	char *text = case_read_file("/proc/self/mountinfo");
	CHECK(strstr(text, " / / "));
	CHECK(strstr(text, " /proc "));
	CHECK(strstr(text, " - proc "));
}
