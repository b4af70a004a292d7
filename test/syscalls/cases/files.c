// open(2), read(2), write(2), lseek(2), truncate(2) and their kin.
// calls: open, openat, openat2, creat, close, read, write, pread64, pwrite64, lseek,
// calls: truncate, ftruncate, fsync, fdatasync, sync, syncfs, fallocate, fadvise64,
// calls: readahead, sync_file_range
#include "case.h"
#include <linux/openat2.h>

CASE(open_missing)
{
	CHECK_ERRNO(open("none", O_RDONLY), ENOENT);
	CHECK_ERRNO(open("none/x", O_RDONLY | O_CREAT, 0644), ENOENT);
	CHECK_ERRNO(open("", O_RDONLY), ENOENT);
}

CASE(open_creates)
{
	umask(022);
	int fd = CHECK_OK(open("f", O_WRONLY | O_CREAT, 0666));
	struct stat st;
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0644);
	CHECK_EQ(st.st_size, 0);
	CHECK_EQ(st.st_uid, geteuid());
	CHECK_EQ(st.st_nlink, 1);
}

CASE(open_exclusive)
{
	case_write_file("f", "x");
	CHECK_ERRNO(open("f", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
	CHECK_OK(symlink("nowhere", "l"));
	CHECK_ERRNO(open("l", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
}

CASE(open_through_dangling_symlink_creates_target)
{
	CHECK_OK(symlink("target", "l"));
	CHECK_OK(open("l", O_RDWR | O_CREAT, 0644));
	CHECK_OK(access("target", F_OK));
}

CASE(open_truncates)
{
	case_write_file("f", "hello");
	int fd = CHECK_OK(open("f", O_WRONLY | O_TRUNC));
	CHECK_EQ(lseek(fd, 0, SEEK_END), 0);
}

CASE(open_directory_flags)
{
	CHECK_OK(mkdir("d", 0755));
	case_write_file("f", "x");
	CHECK_ERRNO(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	CHECK_OK(open("d", O_RDONLY | O_DIRECTORY));
	CHECK_ERRNO(open("d", O_WRONLY), EISDIR);
	CHECK_ERRNO(open("d", O_RDWR), EISDIR);
	CHECK_ERRNO(open("d", O_RDONLY | O_CREAT, 0644), EISDIR);
	CHECK_ERRNO(open("f/", O_RDONLY), ENOTDIR);
	CHECK_ERRNO(open("f/x", O_RDONLY), ENOTDIR);
	CHECK_ERRNO(open("new/", O_RDWR | O_CREAT, 0644), EISDIR);
}

CASE(open_symlinks)
{
	case_write_file("f", "x");
	CHECK_OK(symlink("f", "l"));
	CHECK_OK(symlink("loop", "loop"));
	CHECK_OK(open("l", O_RDONLY));
	CHECK_ERRNO(open("l", O_RDONLY | O_NOFOLLOW), ELOOP);
	CHECK_ERRNO(open("loop", O_RDONLY), ELOOP);
	int fd = CHECK_OK(open("l", O_PATH | O_NOFOLLOW));
	struct stat st;
	CHECK_OK(fstat(fd, &st));
	CHECK(S_ISLNK(st.st_mode));
}

CASE(open_symlink_chain_limit)
{
	case_write_file("l0", "x");
	char a[16], b[16];
	for (int i = 1; i <= 41; i++) {
		snprintf(a, sizeof a, "l%d", i - 1);
		snprintf(b, sizeof b, "l%d", i);
		CHECK_OK(symlink(a, b));
	}
	CHECK_OK(open("l40", O_RDONLY));
	CHECK_ERRNO(open("l41", O_RDONLY), ELOOP);
}

CASE(open_names_too_long)
{
	char name[300];
	memset(name, 'a', sizeof name);
	name[255] = 0;
	CHECK_OK(open(name, O_RDWR | O_CREAT, 0644));
	name[255] = 'a';
	name[256] = 0;
	CHECK_ERRNO(open(name, O_RDONLY), ENAMETOOLONG);
	char path[5000];
	memset(path, '/', sizeof path);
	path[4095] = 0;
	CHECK_OK(open(path, O_RDONLY));
	path[4095] = '/';
	path[4096] = 0;
	CHECK_ERRNO(open(path, O_RDONLY), ENAMETOOLONG);
}

CASE(open_bad_path_pointer)
{
	CHECK_ERRNO(open(BAD_POINTER, O_RDONLY), EFAULT);
}

CASE(open_too_many)
{
	struct rlimit rl = {3, 3};
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &rl));
	CHECK_ERRNO(open("/dev/null", O_RDONLY), EMFILE);
}

CASE(open_permission)
{
	case_write_file("f", "x");
	CHECK_OK(chmod("f", 0400));
	case_write_file("none", "x");
	CHECK_OK(chmod("none", 0));
	CHECK_OK(chmod(".", 0755));
	if (geteuid() == 0) {
		// root may, whatever the mode.
		CHECK_OK(open("none", O_RDWR));
		CHECK_OK(setresgid(1234, 1234, 1234));
		CHECK_OK(setresuid(1234, 1234, 1234));
		CHECK_ERRNO(open("f", O_RDONLY), EACCES);
		CHECK_ERRNO(open("new", O_RDWR | O_CREAT, 0644), EACCES);
	} else {
		CHECK_ERRNO(open("f", O_RDWR), EACCES);
		CHECK_OK(open("f", O_RDONLY));
	}
	CHECK_ERRNO(open("none", O_RDONLY), EACCES);
}

CASE(open_creates_read_only_file_yet_writable)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0400));
	CHECK_EQ(write(fd, "x", 1), 1);
}

CASE(open_search_permission)
{
	NEED_ROOT();
	CHECK_OK(mkdir("d", 0700));
	case_write_file("d/f", "x");
	CHECK_OK(setresuid(1234, 1234, 1234));
	CHECK_ERRNO(open("d/f", O_RDONLY), EACCES);
	CHECK_ERRNO(access("d/f", F_OK), EACCES);
}

CASE(openat_directory)
{
	CHECK_OK(mkdir("d", 0755));
	case_write_file("d/f", "in d");
	int d = CHECK_OK(open("d", O_RDONLY | O_DIRECTORY));
	CHECK_OK(openat(d, "f", O_RDONLY));
	CHECK_OK(openat(d, "../d/f", O_RDONLY));
	CHECK_OK(openat(99, "/dev/null", O_RDONLY));
	CHECK_ERRNO(openat(99, "f", O_RDONLY), EBADF);
	int f = CHECK_OK(open("d/f", O_RDONLY));
	CHECK_ERRNO(openat(f, "x", O_RDONLY), ENOTDIR);
	int p = CHECK_OK(open("d", O_PATH));
	CHECK_OK(openat(p, "f", O_RDONLY));
}

CASE(openat_path_descriptor)
{
	char c;
	case_write_file("f", "x");
	int fd = CHECK_OK(open("f", O_PATH));
	CHECK_ERRNO(read(fd, &c, 1), EBADF);
	CHECK_ERRNO(write(fd, &c, 1), EBADF);
	CHECK_ERRNO(ftruncate(fd, 0), EBADF);
	CHECK_ERRNO(fchmod(fd, 0600), EBADF);
	CHECK_ERRNO(lseek(fd, 0, SEEK_SET), EBADF);
	struct stat st;
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
	CHECK_OK(dup(fd));
}

CASE(open_tmpfile)
{
	int fd = open(".", O_RDWR | O_TMPFILE, 0600);
	if (fd < 0 && errno == EOPNOTSUPP)
		SKIP("no O_TMPFILE here");
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, "abc", 3), 3);
	struct stat st;
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	CHECK_ERRNO(open(".", O_RDONLY | O_TMPFILE, 0600), EINVAL);
}

CASE(openat2_resolve)
{
	CHECK_OK(mkdir("d", 0755));
	case_write_file("d/f", "x");
	case_write_file("out", "x");
	CHECK_OK(symlink("../out", "d/l"));
	CHECK_OK(symlink("f", "d/in"));
	int d = CHECK_OK(open("d", O_PATH));
	struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_BENEATH};
	CHECK_OK(syscall(SYS_openat2, d, "f", &how, sizeof how));
	CHECK_OK(syscall(SYS_openat2, d, "in", &how, sizeof how));
	CHECK_ERRNO(syscall(SYS_openat2, d, "../out", &how, sizeof how), EXDEV);
	CHECK_ERRNO(syscall(SYS_openat2, d, "l", &how, sizeof how), EXDEV);
	CHECK_ERRNO(syscall(SYS_openat2, d, "/dev/null", &how, sizeof how), EXDEV);
	how.resolve = RESOLVE_IN_ROOT;
	CHECK_OK(syscall(SYS_openat2, d, "/f", &how, sizeof how));
	CHECK_OK(syscall(SYS_openat2, d, "../../f", &how, sizeof how));
	CHECK_ERRNO(syscall(SYS_openat2, d, "l", &how, sizeof how), ENOENT);
	how.resolve = RESOLVE_NO_SYMLINKS;
	CHECK_ERRNO(syscall(SYS_openat2, d, "in", &how, sizeof how), ELOOP);
}

CASE(openat2_errors)
{
	struct open_how how = {.flags = O_RDONLY};
	CHECK_ERRNO(syscall(SYS_openat2, AT_FDCWD, ".", &how, 8), EINVAL);
	how.flags = 1ULL << 40;
	CHECK_ERRNO(syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how), EINVAL);
	how.flags = O_RDONLY;
	how.mode = 0644;
	CHECK_ERRNO(syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how), EINVAL);
	how.mode = 0;
	how.resolve = 1 << 30;
	CHECK_ERRNO(syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how), EINVAL);
	how.resolve = 0;
	char big[64] = {0};
	memcpy(big, &how, sizeof how);
	CHECK_OK(syscall(SYS_openat2, AT_FDCWD, ".", big, sizeof big));
	big[40] = 1;
	CHECK_ERRNO(syscall(SYS_openat2, AT_FDCWD, ".", big, sizeof big), E2BIG);
}

CASE(creat_is_open)
{
	case_write_file("f", "hello");
	int fd = CHECK_OK(syscall(SYS_creat, "f", 0644));
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_WRONLY);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 0);
}

CASE(open_noctty_and_unknown_flags_are_fine)
{
	// open(2) ignores flags it does not know; openat2 does not.
	int fd = CHECK_OK(open("/dev/null", O_RDONLY | O_NOCTTY | 0x40000000));
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
}

CASE(close_errors)
{
	CHECK_ERRNO(close(-1), EBADF);
	CHECK_ERRNO(close(99), EBADF);
	int fd = CHECK_OK(open("/dev/null", O_RDONLY));
	CHECK_OK(close(fd));
	CHECK_ERRNO(close(fd), EBADF);
}

CASE(read_write_basics)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	char buf[16] = {0};
	CHECK_EQ(write(fd, "0123456789", 10), 10);
	CHECK_EQ(read(fd, buf, 4), 0);
	CHECK_EQ(lseek(fd, 3, SEEK_SET), 3);
	CHECK_EQ(read(fd, buf, 4), 4);
	CHECK_STR(buf, "3456");
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 7);
	CHECK_EQ(read(fd, buf, 16), 3);
	CHECK_EQ(pread(fd, buf, 2, 8), 2);
	CHECK(!memcmp(buf, "89", 2));
	CHECK_EQ(pwrite(fd, "AB", 2, 1), 2);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10);
	CHECK_STR(case_read_file("f"), "0AB3456789");
}

CASE(read_write_wrong_mode)
{
	char c = 0;
	case_write_file("f", "x");
	int r = CHECK_OK(open("f", O_RDONLY));
	int w = CHECK_OK(open("f", O_WRONLY));
	CHECK_ERRNO(write(r, &c, 1), EBADF);
	CHECK_ERRNO(read(w, &c, 1), EBADF);
	CHECK_ERRNO(pread(w, &c, 1, 0), EBADF);
	CHECK_ERRNO(read(99, &c, 1), EBADF);
	CHECK_ERRNO(ftruncate(r, 0), EINVAL);
}

CASE(read_directory)
{
	char c;
	int fd = CHECK_OK(open(".", O_RDONLY));
	CHECK_ERRNO(read(fd, &c, 1), EISDIR);
	CHECK_ERRNO(pread(fd, &c, 1, 0), EISDIR);
	CHECK_ERRNO(write(fd, &c, 1), EBADF);
}

CASE(read_write_bad_buffer)
{
	case_write_file("f", "hello");
	int fd = CHECK_OK(open("f", O_RDWR));
	CHECK_ERRNO(read(fd, BAD_POINTER, 5), EFAULT);
	CHECK_ERRNO(write(fd, BAD_POINTER, 5), EFAULT);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
	CHECK_ERRNO(read(fd, (void *)-4096L, 5), EFAULT);
}

CASE(read_into_partly_mapped_buffer)
{
	char *m = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK_OK(munmap(m + 4096, 4096));
	case_write_file("f", "0123456789");
	int fd = CHECK_OK(open("f", O_RDONLY));
	CHECK_EQ(read(fd, m + 4092, 10), 4);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 4);
}

CASE(read_write_negative_offset)
{
	char c = 0;
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_ERRNO(pread(fd, &c, 1, -1), EINVAL);
	CHECK_ERRNO(pwrite(fd, &c, 1, -1), EINVAL);
}

CASE(write_append)
{
	case_write_file("f", "abc");
	int fd = CHECK_OK(open("f", O_RDWR | O_APPEND));
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(write(fd, "d", 1), 1);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 4);
	// pwrite appends too, against POSIX.
	CHECK_EQ(pwrite(fd, "e", 1, 0), 1);
	CHECK_STR(case_read_file("f"), "abcde");
}

CASE(write_hole)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_EQ(pwrite(fd, "x", 1, 10000), 1);
	char buf[10001];
	CHECK_EQ(pread(fd, buf, sizeof buf, 0), 10001);
	for (int i = 0; i < 10000; i++)
		CHECK_EQ(buf[i], 0);
	CHECK_EQ(buf[10000], 'x');
}

CASE(write_file_size_limit)
{
	struct rlimit rl = {10, 10};
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_OK(setrlimit(RLIMIT_FSIZE, &rl));
	CHECK_EQ(write(fd, "0123456789abc", 13), 10);
	signal(SIGXFSZ, SIG_IGN);
	CHECK_ERRNO(write(fd, "x", 1), EFBIG);
	CHECK_ERRNO(ftruncate(fd, 11), EFBIG);
	pid_t pid = CHILD
	{
		signal(SIGXFSZ, SIG_DFL);
		setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
		write(fd, "x", 1);
	}
	CHECK_KILLED(pid, SIGXFSZ);
}

CASE(write_large)
{
	size_t size = 3 << 20;
	char *m = malloc(size), *n = malloc(size);
	for (size_t i = 0; i < size; i++)
		m[i] = i * 7 >> 3;
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_EQ(write(fd, m, size), size);
	CHECK_EQ(pread(fd, n, size, 0), size);
	CHECK(!memcmp(m, n, size));
	struct stat st;
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, size);
	CHECK(st.st_blocks > 0);
}

CASE(lseek_whence)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_OK(ftruncate(fd, 100));
	CHECK_EQ(lseek(fd, 10, SEEK_SET), 10);
	CHECK_EQ(lseek(fd, -3, SEEK_CUR), 7);
	CHECK_EQ(lseek(fd, 5, SEEK_END), 105);
	CHECK_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
	CHECK_ERRNO(lseek(fd, -200, SEEK_END), EINVAL);
	CHECK_ERRNO(lseek(fd, 0, 77), EINVAL);
	CHECK_ERRNO(lseek(99, 0, SEEK_SET), EBADF);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 105);
}

CASE(lseek_data_and_hole)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_EQ(write(fd, "data", 4), 4);
	CHECK_EQ(lseek(fd, 0, SEEK_DATA), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_HOLE), 4);
	CHECK_ERRNO(lseek(fd, 4, SEEK_DATA), ENXIO);
	CHECK_ERRNO(lseek(fd, 100, SEEK_HOLE), ENXIO);
}

CASE(truncate_shrinks_and_grows)
{
	case_write_file("f", "0123456789");
	CHECK_OK(truncate("f", 4));
	CHECK_STR(case_read_file("f"), "0123");
	CHECK_OK(truncate("f", 6));
	int fd = CHECK_OK(open("f", O_RDWR));
	char buf[8];
	CHECK_EQ(read(fd, buf, 8), 6);
	CHECK(!memcmp(buf, "0123\0\0", 6));
	CHECK_OK(ftruncate(fd, 0));
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 6);
	CHECK_EQ(read(fd, buf, 8), 0);
}

CASE(truncate_errors)
{
	CHECK_ERRNO(truncate("none", 0), ENOENT);
	CHECK_ERRNO(truncate(".", 0), EISDIR);
	case_write_file("f", "x");
	CHECK_ERRNO(truncate("f", -1), EINVAL);
	CHECK_ERRNO(truncate("f/x", 0), ENOTDIR);
	CHECK_ERRNO(ftruncate(99, 0), EBADF);
	int p[2];
	CHECK_OK(pipe(p));
	CHECK_ERRNO(ftruncate(p[1], 0), EINVAL);
}

CASE(sync_family)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_OK(fsync(fd));
	CHECK_OK(fdatasync(fd));
	CHECK_ERRNO(fsync(99), EBADF);
	int p[2];
	CHECK_OK(pipe(p));
	CHECK_ERRNO(fsync(p[0]), EINVAL);
	CHECK_OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
	CHECK_ERRNO(sync_file_range(fd, -1, 0, 0), EINVAL);
	CHECK_ERRNO(sync_file_range(p[0], 0, 0, 0), ESPIPE);
}

CASE(fallocate_extends)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_OK(fallocate(fd, 0, 0, 8192));
	struct stat st;
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, 8192);
	CHECK_OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 20000));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, 8192);
	CHECK_OK(posix_fallocate(fd, 0, 100));
}

CASE(fallocate_punches_hole)
{
	char buf[12288];
	memset(buf, 'x', sizeof buf);
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_EQ(write(fd, buf, sizeof buf), sizeof buf);
	CHECK_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
	CHECK_EQ(pread(fd, buf, sizeof buf, 0), sizeof buf);
	CHECK_EQ(buf[4095], 'x');
	CHECK_EQ(buf[4096], 0);
	CHECK_EQ(buf[8191], 0);
	CHECK_EQ(buf[8192], 'x');
}

CASE(fallocate_errors)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_ERRNO(fallocate(fd, 0, 0, 0), EINVAL);
	CHECK_ERRNO(fallocate(fd, 0, -1, 10), EINVAL);
	CHECK_ERRNO(fallocate(99, 0, 0, 10), EBADF);
	int r = CHECK_OK(open("f", O_RDONLY));
	CHECK_ERRNO(fallocate(r, 0, 0, 10), EBADF);
	int p[2];
	CHECK_OK(pipe(p));
	CHECK_ERRNO(fallocate(p[1], 0, 0, 10), ESPIPE);
	CHECK_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10), EOPNOTSUPP);
}

CASE(fadvise)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), 0);
	CHECK_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	CHECK_EQ(posix_fadvise(fd, 0, 0, 99), EINVAL);
	CHECK_EQ(posix_fadvise(99, 0, 0, 0), EBADF);
	int p[2];
	CHECK_OK(pipe(p));
	CHECK_EQ(posix_fadvise(p[0], 0, 0, 0), ESPIPE);
}

CASE(file_unlinked_stays_usable)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK_OK(unlink("f"));
	char buf[4] = {0};
	CHECK_EQ(pread(fd, buf, 3, 0), 3);
	CHECK_STR(buf, "abc");
	struct stat st;
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(write(fd, "d", 1), 1);
}

CASE(file_two_descriptors_one_file)
{
	int a = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	int b = CHECK_OK(open("f", O_RDONLY));
	char buf[4] = {0};
	CHECK_EQ(write(a, "abc", 3), 3);
	CHECK_EQ(read(b, buf, 3), 3);
	CHECK_STR(buf, "abc");
	CHECK_EQ(lseek(b, 0, SEEK_CUR), 3);
}

CASE(dev_null_zero_full)
{
	char buf[8];
	memset(buf, 'x', 8);
	int null = CHECK_OK(open("/dev/null", O_RDWR));
	CHECK_EQ(read(null, buf, 8), 0);
	CHECK_EQ(write(null, buf, 8), 8);
	int zero = CHECK_OK(open("/dev/zero", O_RDWR));
	CHECK_EQ(read(zero, buf, 8), 8);
	CHECK_EQ(buf[0] | buf[7], 0);
	CHECK_EQ(write(zero, buf, 8), 8);
	int full = CHECK_OK(open("/dev/full", O_RDWR));
	CHECK_EQ(read(full, buf, 8), 8);
	CHECK_ERRNO(write(full, buf, 8), ENOSPC);
	int rnd = CHECK_OK(open("/dev/urandom", O_RDONLY));
	char a[32], b[32];
	CHECK_EQ(read(rnd, a, 32), 32);
	CHECK_EQ(read(rnd, b, 32), 32);
	CHECK(memcmp(a, b, 32));
	struct stat st;
	CHECK_OK(stat("/dev/null", &st));
	CHECK(S_ISCHR(st.st_mode));
	CHECK_EQ(st.st_rdev, 0x103);
}
