// stat(2) and what changes what it tells: chmod, chown, utimensat, statfs, xattr.
// calls: stat, fstat, lstat, newfstatat, statx, chmod, fchmod, fchmodat, fchmodat2, chown,
// calls: fchown, lchown, fchownat, utime, utimes, utimensat, futimesat, statfs, fstatfs,
// calls: setxattr, lsetxattr, fsetxattr, getxattr, lgetxattr, fgetxattr, listxattr,
// calls: llistxattr, flistxattr, removexattr, lremovexattr, fremovexattr
#include "case.h"
#include <linux/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <utime.h>

CASE(stat_errors)
{
	struct stat st;
	CHECK_ERRNO(stat("no", &st), ENOENT);
	CHECK_ERRNO(stat("", &st), ENOENT);
	CHECK_ERRNO(fstat(99, &st), EBADF);
	CHECK_ERRNO(syscall(SYS_stat, ".", BAD_POINTER), EFAULT);
	CHECK_ERRNO(syscall(SYS_stat, BAD_POINTER, &st), EFAULT);
	case_write_file("f", "");
	CHECK_ERRNO(stat("f/x", &st), ENOTDIR);
	CHECK_ERRNO(syscall(SYS_newfstatat, AT_FDCWD, ".", &st, 0x1), EINVAL);
	CHECK_OK(syscall(SYS_newfstatat, AT_FDCWD, "", &st, AT_EMPTY_PATH));
	CHECK(S_ISDIR(st.st_mode));
}

CASE(stat_fields)
{
	struct stat st;
	time_t before = time(NULL);
	case_write_file("f", "12345");
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_size, 5);
	CHECK_EQ(st.st_mode, S_IFREG | 0644);
	CHECK_EQ(st.st_nlink, 1);
	CHECK(st.st_ino != 0);
	CHECK(st.st_blksize >= 512);
	CHECK(st.st_mtime >= before - 1 && st.st_mtime <= time(NULL) + 1);
	CHECK(st.st_ctime >= before - 1 && st.st_atime >= before - 1);
	CHECK_EQ(st.st_uid, geteuid());
	CHECK_EQ(st.st_gid, getegid());
}

CASE(stat_same_file_same_inode)
{
	struct stat a, b;
	case_write_file("f", "x");
	int fd = CHECK_OK(open("f", O_RDONLY));
	CHECK_OK(stat("f", &a));
	CHECK_OK(fstat(fd, &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_EQ(a.st_dev, b.st_dev);
	case_write_file("g", "x");
	CHECK_OK(stat("g", &b));
	CHECK(a.st_ino != b.st_ino);
}

CASE(stat_inode_survives_write_and_rename)
{
	struct stat a, b;
	case_write_file("f", "x");
	CHECK_OK(stat("f", &a));
	case_write_file("f", "longer than before");
	CHECK_OK(rename("f", "g"));
	CHECK_OK(stat("g", &b));
	CHECK_EQ(a.st_ino, b.st_ino);
}

CASE(statx_basics)
{
	struct statx sx;
	case_write_file("f", "12345");
	memset(&sx, 0xff, sizeof sx);
	CHECK_OK(syscall(SYS_statx, AT_FDCWD, "f", 0, STATX_BASIC_STATS, &sx));
	CHECK_EQ(sx.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
	CHECK_EQ(sx.stx_size, 5);
	CHECK_EQ(sx.stx_mode, S_IFREG | 0644);
	CHECK_EQ(sx.stx_nlink, 1);
	struct stat st;
	CHECK_OK(stat("f", &st));
	CHECK_EQ(sx.stx_ino, st.st_ino);
	CHECK_EQ(makedev(sx.stx_dev_major, sx.stx_dev_minor), st.st_dev);
	CHECK_EQ(sx.stx_mtime.tv_sec, st.st_mtim.tv_sec);
	CHECK_EQ(sx.stx_mtime.tv_nsec, st.st_mtim.tv_nsec);
	CHECK_ERRNO(syscall(SYS_statx, AT_FDCWD, "f", 0, 1U << 31, &sx), EINVAL);
	CHECK_ERRNO(syscall(SYS_statx, AT_FDCWD, "f", 0x1, 0, &sx), EINVAL);
	CHECK_ERRNO(syscall(SYS_statx, AT_FDCWD, "", 0, 0, &sx), ENOENT);
	CHECK_OK(syscall(SYS_statx, 1, "", AT_EMPTY_PATH, STATX_ALL, &sx));
}

CASE(chmod_basics)
{
	struct stat st;
	case_write_file("f", "x");
	CHECK_OK(chmod("f", 0751));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0751);
	int fd = CHECK_OK(open("f", O_RDONLY));
	CHECK_OK(fchmod(fd, 04755));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_mode, S_IFREG | 04755);
	CHECK_OK(fchmodat(AT_FDCWD, "f", 0600, 0));
	CHECK_ERRNO(chmod("no", 0600), ENOENT);
	CHECK_ERRNO(fchmod(99, 0600), EBADF);
	CHECK_OK(symlink("f", "l"));
	CHECK_OK(chmod("l", 0640));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_mode & 07777, 0640);
	CHECK_OK(lstat("l", &st));
	CHECK_EQ(st.st_mode & 07777, 0777);
}

CASE(chmod_not_owner)
{
	NEED_ROOT();
	case_write_file("f", "x");
	CHECK_OK(setresuid(1234, 1234, 1234));
	CHECK_ERRNO(chmod("f", 0777), EPERM);
	CHECK_ERRNO(chown("f", 1234, 1234), EPERM);
	struct timespec ts[2] = {{1, 0}, {1, 0}};
	CHECK_ERRNO(utimensat(AT_FDCWD, "f", ts, 0), EPERM);
	CHECK_ERRNO(utimensat(AT_FDCWD, "f", NULL, 0), EACCES);
}

CASE(chmod_setgid_dropped_for_strangers)
{
	NEED_ROOT();
	struct stat st;
	case_write_file("f", "x");
	CHECK_OK(chown("f", 1234, 777));
	CHECK_OK(setresgid(1234, 1234, 1234));
	CHECK_OK(setresuid(1234, 1234, 1234));
	CHECK_OK(chmod("f", 02755));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_mode & 07777, 0755);
}

CASE(chown_basics)
{
	NEED_ROOT();
	struct stat st;
	case_write_file("f", "x");
	CHECK_OK(chown("f", 12, 34));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_uid, 12);
	CHECK_EQ(st.st_gid, 34);
	CHECK_OK(chown("f", -1, 35));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_uid, 12);
	CHECK_EQ(st.st_gid, 35);
	CHECK_OK(symlink("f", "l"));
	CHECK_OK(lchown("l", 56, 78));
	CHECK_OK(lstat("l", &st));
	CHECK_EQ(st.st_uid, 56);
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_uid, 12);
	int fd = CHECK_OK(open("f", O_RDONLY));
	CHECK_OK(fchown(fd, 1, 2));
	CHECK_OK(fchownat(fd, "", 3, 4, AT_EMPTY_PATH));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_uid, 3);
}

CASE(chown_clears_setuid)
{
	NEED_ROOT();
	struct stat st;
	case_write_file("f", "x");
	CHECK_OK(chmod("f", 06755));
	CHECK_OK(chown("f", 12, 34));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_mode & 07777, 0755);
}

CASE(write_clears_setuid)
{
	NEED_ROOT();
	struct stat st;
	case_write_file("f", "x");
	CHECK_OK(chown("f", 1234, 1234));
	CHECK_OK(chmod("f", 06777));
	pid_t pid = CHILD
	{
		CHECK_OK(setresuid(4321, 4321, 4321));
		int fd = CHECK_OK(open("f", O_WRONLY));
		CHECK_EQ(write(fd, "y", 1), 1);
	}
	CHECK_EXITS(pid, 0);
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_mode & 07777, 0777);
}

CASE(chown_to_own_group)
{
	NEED_ROOT();
	struct stat st;
	case_write_file("f", "x");
	CHECK_OK(chown("f", 1234, 1234));
	gid_t groups[] = {500};
	CHECK_OK(syscall(SYS_setgroups, 1, groups));
	CHECK_OK(setresgid(1234, 1234, 1234));
	CHECK_OK(setresuid(1234, 1234, 1234));
	CHECK_OK(chown("f", -1, 500));
	CHECK_ERRNO(chown("f", -1, 501), EPERM);
	CHECK_OK(chown("f", 1234, -1));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_gid, 500);
}

CASE(utimensat_sets)
{
	struct stat st;
	case_write_file("f", "x");
	struct timespec ts[2] = {{1000, 123456789}, {2000, 987654321}};
	CHECK_OK(utimensat(AT_FDCWD, "f", ts, 0));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_atim.tv_sec, 1000);
	CHECK_EQ(st.st_atim.tv_nsec, 123456789);
	CHECK_EQ(st.st_mtim.tv_sec, 2000);
	CHECK_EQ(st.st_mtim.tv_nsec, 987654321);
	CHECK(st.st_ctim.tv_sec > 1000000);
	ts[0].tv_nsec = UTIME_OMIT;
	ts[1].tv_nsec = UTIME_NOW;
	CHECK_OK(utimensat(AT_FDCWD, "f", ts, 0));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_atim.tv_sec, 1000);
	CHECK(st.st_mtim.tv_sec > 1000000);
}

CASE(utimensat_errors)
{
	case_write_file("f", "x");
	struct timespec bad[2] = {{1, 1000000000}, {1, 0}};
	CHECK_ERRNO(utimensat(AT_FDCWD, "f", bad, 0), EINVAL);
	CHECK_ERRNO(utimensat(AT_FDCWD, "no", NULL, 0), ENOENT);
	CHECK_ERRNO(syscall(SYS_utimensat, AT_FDCWD, "f", BAD_POINTER, 0), EFAULT);
	CHECK_ERRNO(utimensat(AT_FDCWD, "f", NULL, 0x1), EINVAL);
	// With both omitted nothing is even looked up.
	struct timespec omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
	CHECK_OK(utimensat(AT_FDCWD, "f", omit, 0));
}

CASE(utimensat_of_symlink)
{
	struct stat st;
	case_write_file("f", "x");
	CHECK_OK(symlink("f", "l"));
	struct timespec ts[2] = {{1000, 0}, {2000, 0}};
	CHECK_OK(utimensat(AT_FDCWD, "l", ts, AT_SYMLINK_NOFOLLOW));
	CHECK_OK(lstat("l", &st));
	CHECK_EQ(st.st_mtime, 2000);
	CHECK_OK(stat("f", &st));
	CHECK(st.st_mtime != 2000);
}

CASE(utime_and_utimes)
{
	struct stat st;
	case_write_file("f", "x");
	struct utimbuf ub = {10, 20};
	CHECK_OK(syscall(SYS_utime, "f", &ub));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_mtime, 20);
	struct timeval tv[2] = {{30, 5}, {40, 6}};
	CHECK_OK(syscall(SYS_utimes, "f", tv));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_atime, 30);
	CHECK_EQ(st.st_mtim.tv_nsec, 6000);
	tv[0].tv_usec = 1000000;
	CHECK_ERRNO(syscall(SYS_utimes, "f", tv), EINVAL);
	tv[0].tv_usec = 0;
	CHECK_OK(syscall(SYS_futimesat, AT_FDCWD, "f", tv));
	CHECK_OK(syscall(SYS_utime, "f", NULL));
	CHECK_OK(stat("f", &st));
	CHECK(st.st_mtime > 1000000);
	int fd = CHECK_OK(open("f", O_RDONLY));
	CHECK_OK(syscall(SYS_utimensat, fd, NULL, NULL, 0));
}

static struct timespec mtime_of(const char *path)
{
	struct stat st;
	CHECK_OK(stat(path, &st));
	return st.st_mtim;
}

CASE(times_change_with_content)
{
	struct timespec old[2] = {{1000, 0}, {1000, 0}};
	case_write_file("f", "x");
	int fd = CHECK_OK(open("f", O_RDWR));
	CHECK_OK(utimensat(AT_FDCWD, "f", old, 0));
	CHECK_EQ(write(fd, "y", 1), 1);
	CHECK(mtime_of("f").tv_sec > 1000);
	CHECK_OK(utimensat(AT_FDCWD, "f", old, 0));
	CHECK_OK(ftruncate(fd, 0));
	CHECK(mtime_of("f").tv_sec > 1000);
	CHECK_OK(utimensat(AT_FDCWD, "f", old, 0));
	CHECK_OK(chmod("f", 0600));
	CHECK_EQ(mtime_of("f").tv_sec, 1000);
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(utimensat(AT_FDCWD, "d", old, 0));
	case_write_file("d/new", "");
	CHECK(mtime_of("d").tv_sec > 1000);
	CHECK_OK(utimensat(AT_FDCWD, "d", old, 0));
	CHECK_OK(unlink("d/new"));
	CHECK(mtime_of("d").tv_sec > 1000);
}

CASE(statfs_basics)
{
	struct statfs sf;
	CHECK_OK(statfs(".", &sf));
	CHECK(sf.f_bsize > 0);
	CHECK_EQ(sf.f_namelen, 255);
	CHECK(sf.f_blocks >= sf.f_bfree);
	CHECK_OK(statfs("/proc", &sf));
	CHECK_EQ(sf.f_type, 0x9fa0);
	CHECK_ERRNO(statfs("no", &sf), ENOENT);
	CHECK_ERRNO(fstatfs(99, &sf), EBADF);
	CHECK_ERRNO(syscall(SYS_statfs, ".", BAD_POINTER), EFAULT);
	int p[2];
	CHECK_OK(pipe(p));
	CHECK_OK(fstatfs(p[0], &sf));
	CHECK_EQ(sf.f_type, 0x50495045);
}

CASE(xattr_user)
{
	char buf[64];
	case_write_file("f", "x");
	if (setxattr("f", "user.a", "one", 3, 0) != 0 && errno == EOPNOTSUPP)
		SKIP("no user attributes on this file system");
	CHECK_EQ(getxattr("f", "user.a", NULL, 0), 3);
	CHECK_EQ(getxattr("f", "user.a", buf, sizeof buf), 3);
	CHECK(!memcmp(buf, "one", 3));
	CHECK_ERRNO(getxattr("f", "user.a", buf, 2), ERANGE);
	CHECK_ERRNO(getxattr("f", "user.none", buf, sizeof buf), ENODATA);
	CHECK_ERRNO(setxattr("f", "user.a", "x", 1, XATTR_CREATE), EEXIST);
	CHECK_ERRNO(setxattr("f", "user.b", "x", 1, XATTR_REPLACE), ENODATA);
	CHECK_OK(setxattr("f", "user.a", "two!", 4, XATTR_REPLACE));
	CHECK_OK(setxattr("f", "user.b", "", 0, XATTR_CREATE));
	ssize_t n = CHECK_OK(listxattr("f", buf, sizeof buf));
	int found = 0;
	for (char *p = buf; p < buf + n; p += strlen(p) + 1)
		found += !strcmp(p, "user.a") + !strcmp(p, "user.b");
	CHECK_EQ(found, 2);
	CHECK_ERRNO(listxattr("f", buf, 3), ERANGE);
	CHECK_OK(removexattr("f", "user.a"));
	CHECK_ERRNO(removexattr("f", "user.a"), ENODATA);
	CHECK_EQ(getxattr("f", "user.b", buf, sizeof buf), 0);
}

CASE(xattr_errors)
{
	char buf[8];
	case_write_file("f", "x");
	CHECK_ERRNO(setxattr("f", "user.a", "x", 1, 8), EINVAL);
	CHECK_ERRNO(setxattr("f", "", "x", 1, 0), ERANGE);
	CHECK_ERRNO(setxattr("f", "noprefix", "x", 1, 0), EOPNOTSUPP);
	CHECK_ERRNO(getxattr("no", "user.a", buf, 8), ENOENT);
	CHECK_ERRNO(fgetxattr(99, "user.a", buf, 8), EBADF);
	char name[300];
	memset(name, 'a', sizeof name);
	memcpy(name, "user.", 5);
	name[299] = 0;
	CHECK_ERRNO(setxattr("f", name, "x", 1, 0), ERANGE);
}

CASE(xattr_descriptor_and_symlink)
{
	char buf[8];
	case_write_file("f", "x");
	int fd = CHECK_OK(open("f", O_RDWR));
	if (fsetxattr(fd, "user.a", "v", 1, 0) != 0 && errno == EOPNOTSUPP)
		SKIP("no user attributes on this file system");
	CHECK_EQ(fgetxattr(fd, "user.a", buf, 8), 1);
	CHECK(flistxattr(fd, NULL, 0) >= 7);
	CHECK_OK(symlink("f", "l"));
	CHECK_EQ(getxattr("l", "user.a", buf, 8), 1);
	CHECK_ERRNO(lgetxattr("l", "user.a", buf, 8), ENODATA);
	CHECK_ERRNO(lsetxattr("l", "user.a", "v", 1, 0), EPERM);
	CHECK_OK(fremovexattr(fd, "user.a"));
}

CASE(device_numbers_of_nodes)
{
	struct stat st;
	CHECK_OK(stat("/dev/zero", &st));
	CHECK_EQ(st.st_rdev, makedev(1, 5));
	CHECK_OK(stat("/dev/tty", &st));
	CHECK_EQ(st.st_rdev, makedev(5, 0));
	CHECK_OK(stat("/dev/ptmx", &st));
	CHECK_EQ(st.st_rdev, makedev(5, 2));
}
