// rename(2), renameat2(2).
// calls: rename, renameat, renameat2
#include "case.h"
#include <linux/fs.h>

CASE(rename_moves)
{
	case_write_file("a", "A");
	CHECK_OK(rename("a", "b"));
	CHECK_STR(case_read_file("b"), "A");
	CHECK_ERRNO(access("a", F_OK), ENOENT);
}

CASE(rename_replaces)
{
	case_write_file("a", "A");
	case_write_file("b", "B");
	int fd = CHECK_OK(open("b", O_RDONLY));
	CHECK_OK(rename("a", "b"));
	CHECK_STR(case_read_file("b"), "A");
	char c;
	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_EQ(c, 'B');
	struct stat st;
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
}

CASE(rename_errors)
{
	case_write_file("f", "x");
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(mkdir("full", 0755));
	case_write_file("full/x", "x");
	CHECK_ERRNO(rename("no", "x"), ENOENT);
	CHECK_ERRNO(rename("f", "no/x"), ENOENT);
	CHECK_ERRNO(rename("f", "d"), EISDIR);
	CHECK_ERRNO(rename("d", "f"), ENOTDIR);
	CHECK_ERRNO(rename("d", "full"), ENOTEMPTY);
	CHECK_ERRNO(rename("d", "d/sub"), EINVAL);
	CHECK_ERRNO(rename("f", "/proc/x"), EXDEV);
	CHECK_ERRNO(rename("d/.", "x"), EBUSY);
	CHECK_ERRNO(rename("f", "d/.."), EBUSY);
	CHECK_ERRNO(rename("f/", "x"), ENOTDIR);
	CHECK_ERRNO(rename("f", "x/"), ENOTDIR);
	CHECK_ERRNO(rename("f/x", "y"), ENOTDIR);
	CHECK_ERRNO(rename("", "y"), ENOENT);
}

CASE(rename_directory)
{
	CHECK_OK(mkdir("d", 0755));
	case_write_file("d/f", "x");
	CHECK_OK(mkdir("empty", 0755));
	CHECK_OK(rename("d", "e"));
	CHECK_STR(case_read_file("e/f"), "x");
	CHECK_OK(rename("e", "empty"));
	CHECK_STR(case_read_file("empty/f"), "x");
	CHECK_OK(rename("empty/", "g/"));
	CHECK_OK(access("g/f", F_OK));
}

CASE(rename_directory_updates_parent)
{
	struct stat a, b;
	CHECK_OK(mkdir("p", 0755));
	CHECK_OK(mkdir("q", 0755));
	CHECK_OK(mkdir("p/d", 0755));
	CHECK_OK(rename("p/d", "q/d"));
	CHECK_OK(stat("q", &a));
	CHECK_OK(stat("q/d/..", &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_EQ(a.st_nlink, 3);
	CHECK_OK(stat("p", &a));
	CHECK_EQ(a.st_nlink, 2);
}

CASE(rename_to_itself)
{
	case_write_file("a", "A");
	CHECK_OK(link("a", "b"));
	CHECK_OK(rename("a", "a"));
	// Two names of one file: nothing happens.
	CHECK_OK(rename("a", "b"));
	CHECK_OK(access("a", F_OK));
	CHECK_OK(access("b", F_OK));
}

CASE(rename_noreplace)
{
	case_write_file("a", "A");
	case_write_file("b", "B");
	CHECK_ERRNO(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
	CHECK_OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE));
	CHECK_STR(case_read_file("b"), "B");
	CHECK_STR(case_read_file("c"), "A");
}

CASE(rename_exchange)
{
	case_write_file("a", "A");
	CHECK_OK(mkdir("d", 0755));
	case_write_file("d/x", "X");
	CHECK_OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "d", RENAME_EXCHANGE));
	CHECK_STR(case_read_file("d"), "A");
	CHECK_STR(case_read_file("a/x"), "X");
	CHECK_ERRNO(renameat2(AT_FDCWD, "a", AT_FDCWD, "none", RENAME_EXCHANGE), ENOENT);
}

CASE(rename_bad_flags)
{
	case_write_file("a", "A");
	CHECK_ERRNO(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", 0x100), EINVAL);
	CHECK_ERRNO(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
}

CASE(rename_with_descriptors)
{
	CHECK_OK(mkdir("p", 0755));
	CHECK_OK(mkdir("q", 0755));
	case_write_file("p/f", "x");
	int p = CHECK_OK(open("p", O_RDONLY)), q = CHECK_OK(open("q", O_RDONLY));
	CHECK_OK(renameat(p, "f", q, "g"));
	CHECK_OK(access("q/g", F_OK));
	CHECK_ERRNO(renameat(99, "g", q, "h"), EBADF);
}

CASE(rename_symlink_itself)
{
	case_write_file("f", "x");
	CHECK_OK(symlink("f", "l"));
	CHECK_OK(rename("l", "m"));
	struct stat st;
	CHECK_OK(lstat("m", &st));
	CHECK(S_ISLNK(st.st_mode));
	case_write_file("g", "y");
	CHECK_OK(rename("g", "m"));
	CHECK_OK(lstat("m", &st));
	CHECK(S_ISREG(st.st_mode));
	CHECK_STR(case_read_file("f"), "x");
}

CASE(rename_open_file_keeps_working)
{
	case_write_file("a", "abc");
	int fd = CHECK_OK(open("a", O_RDWR));
	CHECK_OK(rename("a", "b"));
	CHECK_EQ(pwrite(fd, "X", 1, 0), 1);
	CHECK_STR(case_read_file("b"), "Xbc");
	char path[64], link[PATH_MAX] = {0};
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK(readlink(path, link, sizeof link - 1) > 0);
	CHECK_STR(strrchr(link, '/'), "/b");
}

CASE(rename_permission)
{
	NEED_ROOT();
	CHECK_OK(mkdir("d", 0755));
	case_write_file("d/f", "x");
	CHECK_OK(setresuid(1234, 1234, 1234));
	CHECK_ERRNO(rename("d/f", "d/g"), EACCES);
}

CASE(rename_updates_times)
{
	struct stat a, b;
	CHECK_OK(mkdir("d", 0755));
	case_write_file("d/f", "x");
	struct timespec old[2] = {{1000, 0}, {1000, 0}};
	CHECK_OK(utimensat(AT_FDCWD, "d", old, 0));
	CHECK_OK(stat("d", &a));
	CHECK_OK(rename("d/f", "d/g"));
	CHECK_OK(stat("d", &b));
	CHECK(b.st_mtime > a.st_mtime);
}
