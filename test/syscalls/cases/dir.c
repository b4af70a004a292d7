// Directories and names: mkdir, rmdir, unlink, link, symlink, readlink, mknod,
// getdents, chdir, getcwd, chroot, access, umask.
// calls: mkdir, mkdirat, rmdir, unlink, unlinkat, link, linkat, symlink, symlinkat,
// calls: readlink, readlinkat, mknod, mknodat, getdents, getdents64, chdir, fchdir,
// calls: getcwd, chroot, access, faccessat, faccessat2, umask
#include "case.h"
#include <sys/sysmacros.h>

CASE(mkdir_basics)
{
	struct stat st;
	CHECK_OK(mkdir("d", 0777));
	CHECK_OK(stat("d", &st));
	CHECK_EQ(st.st_mode, S_IFDIR | 0755);
	CHECK_OK(mkdir("e/", 0700));
	CHECK_OK(mkdirat(AT_FDCWD, "d/sub", 0700));
	CHECK_OK(mkdir("sticky", 01777));
	CHECK_OK(stat("sticky", &st));
	CHECK_EQ(st.st_mode, S_IFDIR | 01755);
}

CASE(mkdir_errors)
{
	CHECK_OK(mkdir("d", 0755));
	case_write_file("f", "x");
	CHECK_ERRNO(mkdir("d", 0755), EEXIST);
	CHECK_ERRNO(mkdir("f", 0755), EEXIST);
	CHECK_ERRNO(mkdir("f/x", 0755), ENOTDIR);
	CHECK_ERRNO(mkdir("no/x", 0755), ENOENT);
	CHECK_ERRNO(mkdir("", 0755), ENOENT);
	CHECK_ERRNO(mkdir("/", 0755), EEXIST);
	CHECK_ERRNO(mkdir(".", 0755), EEXIST);
	CHECK_ERRNO(mkdir("..", 0755), EEXIST);
	CHECK_ERRNO(mkdirat(99, "x", 0755), EBADF);
	CHECK_OK(symlink("nowhere", "l"));
	CHECK_ERRNO(mkdir("l", 0755), EEXIST);
}

CASE(mkdir_link_counts)
{
	struct stat st;
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(stat("d", &st));
	CHECK_EQ(st.st_nlink, 2);
	CHECK_OK(mkdir("d/a", 0755));
	CHECK_OK(mkdir("d/b", 0755));
	CHECK_OK(stat("d", &st));
	CHECK_EQ(st.st_nlink, 4);
	CHECK_OK(rmdir("d/a"));
	CHECK_OK(stat("d", &st));
	CHECK_EQ(st.st_nlink, 3);
}

CASE(mkdir_setgid_directory)
{
	NEED_ROOT();
	struct stat st;
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(chown("d", 0, 777));
	CHECK_OK(chmod("d", 02755));
	CHECK_OK(mkdir("d/sub", 0755));
	CHECK_OK(stat("d/sub", &st));
	CHECK_EQ(st.st_gid, 777);
	CHECK_EQ(st.st_mode & 02000, 02000);
	case_write_file("d/f", "x");
	CHECK_OK(stat("d/f", &st));
	CHECK_EQ(st.st_gid, 777);
}

CASE(rmdir_errors)
{
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(mkdir("d/sub", 0755));
	case_write_file("f", "x");
	CHECK_ERRNO(rmdir("d"), ENOTEMPTY);
	CHECK_ERRNO(rmdir("f"), ENOTDIR);
	CHECK_ERRNO(rmdir("no"), ENOENT);
	CHECK_ERRNO(rmdir("d/."), EINVAL);
	CHECK_ERRNO(rmdir("d/sub/.."), ENOTEMPTY);
	CHECK_ERRNO(rmdir("/"), EBUSY);
	CHECK_OK(symlink("d/sub", "l"));
	CHECK_ERRNO(rmdir("l"), ENOTDIR);
	CHECK_OK(rmdir("d/sub"));
	CHECK_OK(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
}

CASE(rmdir_of_working_directory)
{
	char buf[PATH_MAX];
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(chdir("d"));
	CHECK_OK(rmdir("../d"));
	CHECK_ERRNO(syscall(SYS_getcwd, buf, sizeof buf), ENOENT);
	CHECK_ERRNO(open("x", O_RDWR | O_CREAT, 0644), ENOENT);
	CHECK_ERRNO(mkdir("x", 0755), ENOENT);
	struct stat st;
	CHECK_OK(stat(".", &st));
	CHECK_EQ(st.st_nlink, 0);
}

CASE(unlink_errors)
{
	CHECK_OK(mkdir("d", 0755));
	case_write_file("f", "x");
	CHECK_ERRNO(unlink("d"), EISDIR);
	CHECK_ERRNO(unlink("no"), ENOENT);
	CHECK_ERRNO(unlink("f/x"), ENOTDIR);
	CHECK_ERRNO(unlink("f/"), ENOTDIR);
	CHECK_ERRNO(unlink(""), ENOENT);
	CHECK_ERRNO(unlinkat(AT_FDCWD, "f", 0x1), EINVAL);
	CHECK_OK(unlink("f"));
	CHECK_ERRNO(unlink("f"), ENOENT);
}

CASE(unlink_removes_link_not_target)
{
	case_write_file("f", "x");
	CHECK_OK(symlink("f", "l"));
	CHECK_OK(unlink("l"));
	CHECK_OK(access("f", F_OK));
}

CASE(unlink_sticky_directory)
{
	NEED_ROOT();
	CHECK_OK(mkdir("t", 01777));
	CHECK_OK(chmod("t", 01777));
	case_write_file("t/f", "x");
	CHECK_OK(setresuid(1234, 1234, 1234));
	CHECK_ERRNO(unlink("t/f"), EPERM);
	CHECK_ERRNO(rename("t/f", "t/g"), EPERM);
	case_write_file("t/mine", "x");
	CHECK_OK(unlink("t/mine"));
}

CASE(link_shares_file)
{
	struct stat a, b;
	case_write_file("f", "x");
	CHECK_OK(link("f", "g"));
	CHECK_OK(stat("f", &a));
	CHECK_OK(stat("g", &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_EQ(a.st_dev, b.st_dev);
	CHECK_EQ(b.st_nlink, 2);
	case_write_file("g", "changed");
	CHECK_STR(case_read_file("f"), "changed");
	CHECK_OK(unlink("f"));
	CHECK_STR(case_read_file("g"), "changed");
	CHECK_OK(stat("g", &b));
	CHECK_EQ(b.st_nlink, 1);
}

CASE(link_errors)
{
	case_write_file("f", "x");
	CHECK_OK(mkdir("d", 0755));
	CHECK_ERRNO(link("f", "d"), EEXIST);
	CHECK_ERRNO(link("no", "x"), ENOENT);
	CHECK_ERRNO(link("d", "x"), EPERM);
	CHECK_ERRNO(link("f", "no/x"), ENOENT);
	CHECK_ERRNO(linkat(AT_FDCWD, "f", AT_FDCWD, "x", 0x8000), EINVAL);
}

CASE(link_to_symlink)
{
	struct stat st;
	case_write_file("f", "x");
	CHECK_OK(symlink("f", "l"));
	CHECK_OK(link("l", "l2"));
	CHECK_OK(lstat("l2", &st));
	CHECK(S_ISLNK(st.st_mode));
	CHECK_OK(linkat(AT_FDCWD, "l", AT_FDCWD, "f2", AT_SYMLINK_FOLLOW));
	CHECK_OK(lstat("f2", &st));
	CHECK(S_ISREG(st.st_mode));
}

CASE(link_by_descriptor)
{
	int fd = open(".", O_RDWR | O_TMPFILE, 0600);
	if (fd < 0)
		SKIP("no O_TMPFILE here");
	char path[64];
	CHECK_EQ(write(fd, "tmp", 3), 3);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK_OK(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	CHECK_STR(case_read_file("named"), "tmp");
}

CASE(symlink_readlink)
{
	char buf[64];
	memset(buf, 'x', sizeof buf);
	CHECK_OK(symlink("some/target", "l"));
	CHECK_EQ(readlink("l", buf, sizeof buf), 11);
	CHECK(!memcmp(buf, "some/targetx", 12));
	CHECK_EQ(readlink("l", buf, 4), 4);
	struct stat st;
	CHECK_OK(lstat("l", &st));
	CHECK_EQ(st.st_mode, S_IFLNK | 0777);
	CHECK_EQ(st.st_size, 11);
}

CASE(symlink_readlink_errors)
{
	char buf[8];
	case_write_file("f", "x");
	CHECK_ERRNO(readlink("f", buf, sizeof buf), EINVAL);
	CHECK_ERRNO(readlink("no", buf, sizeof buf), ENOENT);
	CHECK_ERRNO(symlink("x", "f"), EEXIST);
	CHECK_ERRNO(symlink("", "new"), ENOENT);
	CHECK_OK(symlink("x", "l"));
	CHECK_ERRNO(readlink("l", buf, 0), EINVAL);
	CHECK_ERRNO(syscall(SYS_readlink, "l", buf, -1), EINVAL);
	CHECK_ERRNO(readlink("l", BAD_POINTER, 8), EFAULT);
	int fd = CHECK_OK(open("l", O_PATH | O_NOFOLLOW));
	CHECK_EQ(readlinkat(fd, "", buf, sizeof buf), 1);
}

CASE(symlink_in_the_middle_of_a_path)
{
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(mkdir("d/e", 0755));
	case_write_file("d/f", "deep");
	CHECK_OK(symlink("d/e", "l"));
	// ".." is of where the link leads, not of where it stands.
	CHECK_STR(case_read_file("l/../f"), "deep");
	CHECK_OK(symlink("/", "root"));
	CHECK_OK(access("root/dev/null", F_OK));
}

CASE(mknod_fifo)
{
	struct stat st;
	CHECK_OK(mkfifo("p", 0666));
	CHECK_OK(stat("p", &st));
	CHECK_EQ(st.st_mode, S_IFIFO | 0644);
	CHECK_ERRNO(mkfifo("p", 0666), EEXIST);
	CHECK_OK(mknod("reg", S_IFREG | 0600, 0));
	CHECK_OK(stat("reg", &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0600);
	CHECK_OK(mknod("plain", 0600, 0));
	CHECK_OK(stat("plain", &st));
	CHECK(S_ISREG(st.st_mode));
	CHECK_OK(mknod("sock", S_IFSOCK | 0600, 0));
	CHECK_ERRNO(mknod("dir", S_IFDIR | 0755, 0), EPERM);
	CHECK_ERRNO(mknod("odd", 0170000 | 0755, 0), EINVAL);
}

CASE(mknod_device_needs_privilege)
{
	if (geteuid() == 0)
		CHECK_OK(setresuid(1234, 1234, 1234));
	CHECK_OK(chdir("/tmp"));
	CHECK_ERRNO(mknod("bulkhead-case-device", S_IFCHR | 0600, makedev(1, 3)), EPERM);
}

static int names_in(const char *dir, char *out, size_t size)
{
	DIR *d = opendir(dir);
	CHECK(d);
	int n = 0;
	out[0] = 0;
	struct dirent *e;
	while ((e = readdir(d))) {
		n++;
		if (e->d_name[0] != '.')
			strncat(out, e->d_name, size - strlen(out) - 1);
	}
	closedir(d);
	return n;
}

CASE(getdents_lists)
{
	char names[256];
	CHECK_EQ(names_in(".", names, sizeof names), 2);
	case_write_file("a", "");
	CHECK_EQ(names_in(".", names, sizeof names), 3);
	CHECK_STR(names, "a");
}

CASE(getdents_many)
{
	char name[32];
	CHECK_OK(mkdir("d", 0755));
	for (int i = 0; i < 700; i++) {
		snprintf(name, sizeof name, "d/file-number-%d", i);
		int fd = CHECK_OK(open(name, O_WRONLY | O_CREAT, 0644));
		close(fd);
	}
	static char seen[700];
	DIR *d = opendir("d");
	struct dirent *e;
	int n = 0;
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		int i = atoi(e->d_name + 12);
		CHECK_EQ(seen[i], 0);
		seen[i] = 1;
		n++;
	}
	CHECK_EQ(n, 700);
	rewinddir(d);
	n = 0;
	while (readdir(d))
		n++;
	CHECK_EQ(n, 702);
}

CASE(getdents_types_and_inodes)
{
	case_write_file("reg", "");
	CHECK_OK(mkdir("dir", 0755));
	CHECK_OK(symlink("x", "lnk"));
	CHECK_OK(mkfifo("fifo", 0644));
	DIR *d = opendir(".");
	struct dirent *e;
	while ((e = readdir(d))) {
		struct stat st;
		CHECK_OK(lstat(e->d_name, &st));
		if (strcmp(e->d_name, "..") && e->d_ino != st.st_ino)
			FAIL("%s: d_ino %lu, st_ino %lu", e->d_name, (long)e->d_ino, (long)st.st_ino);
		if (e->d_type != DT_UNKNOWN)
			CHECK_EQ(e->d_type, IFTODT(st.st_mode));
	}
}

CASE(getdents_seek)
{
	for (char c = 'a'; c < 'k'; c++) {
		char name[2] = {c, 0};
		case_write_file(name, "");
	}
	DIR *d = opendir(".");
	for (int i = 0; i < 5; i++)
		readdir(d);
	long at = telldir(d);
	struct dirent *e = readdir(d);
	CHECK(e);
	char name[256];
	strcpy(name, e->d_name);
	while (readdir(d))
		;
	seekdir(d, at);
	e = readdir(d);
	CHECK(e);
	CHECK_STR(e->d_name, name);
}

CASE(getdents_errors)
{
	char buf[1024];
	case_write_file("f", "");
	int f = CHECK_OK(open("f", O_RDONLY)), d = CHECK_OK(open(".", O_RDONLY));
	CHECK_ERRNO(syscall(SYS_getdents64, f, buf, sizeof buf), ENOTDIR);
	CHECK_ERRNO(syscall(SYS_getdents64, 99, buf, sizeof buf), EBADF);
	CHECK_ERRNO(syscall(SYS_getdents64, d, buf, 8), EINVAL);
	CHECK_ERRNO(syscall(SYS_getdents64, d, BAD_POINTER, 1024), EFAULT);
	CHECK(syscall(SYS_getdents64, d, buf, sizeof buf) > 0);
	CHECK_EQ(syscall(SYS_getdents64, d, buf, sizeof buf), 0);
}

CASE(getdents_old_layout)
{
	struct old {
		unsigned long ino, off;
		unsigned short reclen;
		char name[];
	} *e;
	char buf[2048];
	case_write_file("thename", "");
	int d = CHECK_OK(open(".", O_RDONLY));
	long n = CHECK_OK(syscall(SYS_getdents, d, buf, sizeof buf));
	int found = 0;
	for (long at = 0; at < n; at += e->reclen) {
		e = (void *)(buf + at);
		if (!strcmp(e->name, "thename")) {
			found = 1;
			CHECK_EQ(buf[at + e->reclen - 1], DT_REG);
		}
	}
	CHECK_EQ(found, 1);
}

CASE(getdents_of_removed_directory)
{
	char buf[1024];
	CHECK_OK(mkdir("d", 0755));
	int d = CHECK_OK(open("d", O_RDONLY));
	CHECK_OK(rmdir("d"));
	CHECK_ERRNO(syscall(SYS_getdents64, d, buf, sizeof buf), ENOENT);
}

CASE(chdir_getcwd)
{
	char a[PATH_MAX], b[PATH_MAX + 8];
	CHECK_OK(mkdir("d", 0755));
	CHECK(getcwd(a, sizeof a));
	CHECK_OK(chdir("d"));
	strcat(a, "/d");
	CHECK(getcwd(b, sizeof b));
	CHECK_STR(b, a);
	CHECK_EQ(syscall(SYS_getcwd, b, sizeof b), strlen(a) + 1);
	CHECK_ERRNO(syscall(SYS_getcwd, b, 3), ERANGE);
	CHECK_ERRNO(syscall(SYS_getcwd, BAD_POINTER, 4096), EFAULT);
	CHECK_OK(rename("../d", "../e"));
	a[strlen(a) - 1] = 'e';
	CHECK(getcwd(b, sizeof b));
	CHECK_STR(b, a);
}

CASE(chdir_errors)
{
	case_write_file("f", "");
	CHECK_ERRNO(chdir("f"), ENOTDIR);
	CHECK_ERRNO(chdir("no"), ENOENT);
	int f = CHECK_OK(open("f", O_RDONLY));
	CHECK_ERRNO(fchdir(f), ENOTDIR);
	CHECK_ERRNO(fchdir(99), EBADF);
	CHECK_OK(mkdir("d", 0755));
	int p = CHECK_OK(open("d", O_PATH));
	CHECK_OK(fchdir(p));
}

CASE(chdir_needs_search)
{
	NEED_ROOT();
	CHECK_OK(mkdir("d", 0700));
	CHECK_OK(setresuid(1234, 1234, 1234));
	CHECK_ERRNO(chdir("d"), EACCES);
}

CASE(chroot_confines)
{
	NEED_ROOT();
	CHECK_OK(mkdir("r", 0755));
	case_write_file("r/f", "inside");
	CHECK_OK(symlink("/f", "r/abs"));
	CHECK_OK(chroot("r"));
	CHECK_OK(chdir("/"));
	CHECK_STR(case_read_file("/f"), "inside");
	CHECK_STR(case_read_file("/../../abs"), "inside");
	char buf[64];
	CHECK(getcwd(buf, sizeof buf));
	CHECK_STR(buf, "/");
}

CASE(chroot_getcwd_outside)
{
	NEED_ROOT();
	char buf[PATH_MAX];
	CHECK_OK(mkdir("r", 0755));
	CHECK_OK(chroot("r"));
	CHECK(syscall(SYS_getcwd, buf, sizeof buf) > 0);
	CHECK(!strncmp(buf, "(unreachable)/", 14));
}

CASE(chroot_needs_privilege)
{
	if (geteuid() == 0)
		CHECK_OK(setresuid(1234, 1234, 1234));
	CHECK_ERRNO(chroot("/"), EPERM);
}

CASE(access_modes)
{
	case_write_file("f", "");
	CHECK_OK(access("f", F_OK));
	CHECK_OK(access("f", R_OK | W_OK));
	CHECK_ERRNO(access("f", X_OK), EACCES);
	CHECK_OK(chmod("f", 0711));
	CHECK_OK(access("f", X_OK));
	CHECK_ERRNO(access("no", F_OK), ENOENT);
	CHECK_ERRNO(access("f", 8), EINVAL);
	CHECK_OK(syscall(SYS_faccessat2, AT_FDCWD, "f", R_OK, AT_EACCESS));
	CHECK_ERRNO(syscall(SYS_faccessat2, AT_FDCWD, "f", R_OK, 0x1), EINVAL);
}

CASE(access_uses_real_ids)
{
	NEED_ROOT();
	case_write_file("f", "");
	CHECK_OK(chmod("f", 0600));
	CHECK_OK(setresuid(1234, 0, 0));
	CHECK_ERRNO(access("f", R_OK), EACCES);
	CHECK_OK(syscall(SYS_faccessat2, AT_FDCWD, "f", R_OK, AT_EACCESS));
	CHECK_OK(open("f", O_RDONLY));
}

CASE(access_root_executes_only_what_is_executable)
{
	NEED_ROOT();
	case_write_file("f", "");
	CHECK_OK(chmod("f", 0));
	CHECK_OK(access("f", R_OK | W_OK));
	CHECK_ERRNO(access("f", X_OK), EACCES);
	CHECK_OK(mkdir("d", 0));
	CHECK_OK(access("d", R_OK | W_OK | X_OK));
}

CASE(umask_applies)
{
	struct stat st;
	CHECK_EQ(umask(077), 022);
	CHECK_EQ(umask(0777077), 077);
	CHECK_EQ(umask(027), 077);
	CHECK_OK(mkdir("d", 0777));
	CHECK_OK(stat("d", &st));
	CHECK_EQ(st.st_mode & 07777, 0750);
	CHECK_OK(close(CHECK_OK(open("f", O_CREAT | O_WRONLY, 0666))));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_mode & 07777, 0640);
	CHECK_OK(symlink("x", "l"));
	CHECK_OK(lstat("l", &st));
	CHECK_EQ(st.st_mode & 07777, 0777);
}

CASE(path_dots_and_slashes)
{
	CHECK_OK(mkdir("d", 0755));
	case_write_file("d/f", "x");
	CHECK_OK(access("./d/.//../d///f", F_OK));
	CHECK_OK(access("d/", F_OK));
	CHECK_ERRNO(access("d/f/", F_OK), ENOTDIR);
	CHECK_ERRNO(access("d/f/.", F_OK), ENOTDIR);
	CHECK_ERRNO(access("d/none/..", F_OK), ENOENT);
	CHECK_OK(access("/..", F_OK));
	CHECK_OK(symlink("d", "l"));
	struct stat st;
	CHECK_OK(lstat("l/", &st));
	CHECK(S_ISDIR(st.st_mode));
}
