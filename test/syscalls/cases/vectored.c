// readv(2), writev(2), preadv2(2) and their kin; sendfile, splice, tee, vmsplice,
// copy_file_range.
// calls: readv, writev, preadv, pwritev, preadv2, pwritev2, sendfile, splice, tee,
// calls: vmsplice, copy_file_range
#include "case.h"
#include <sys/sendfile.h>

CASE(writev_readv)
{
	int p[2];
	char a[3] = {0}, b[10] = {0};
	CHECK_OK(pipe(p));
	struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cde", 3}}, in[2] = {{a, 2}, {b, 9}};
	CHECK_EQ(writev(p[1], out, 3), 5);
	CHECK_EQ(readv(p[0], in, 2), 5);
	CHECK_STR(a, "ab");
	CHECK_STR(b, "cde");
}

CASE(vectors_errors)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	char c;
	struct iovec v[1] = {{&c, 1}}, huge[2] = {{&c, SSIZE_MAX}, {&c, 1}}, bad[1] = {{BAD_POINTER, 5}};
	CHECK_ERRNO(writev(fd, v, -1), EINVAL);
	CHECK_ERRNO(writev(fd, v, 1025), EINVAL);
	CHECK_EQ(writev(fd, v, 0), 0);
	CHECK_EQ(writev(fd, BAD_POINTER, 0), 0);
	CHECK_ERRNO(writev(fd, BAD_POINTER, 1), EFAULT);
	CHECK_ERRNO(writev(fd, bad, 1), EFAULT);
	CHECK_ERRNO(writev(99, v, 1), EBADF);
	huge[0].iov_len = (size_t)-1;
	CHECK_ERRNO(writev(fd, huge, 2), EINVAL);
}

CASE(writev_partial_when_second_faults)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	struct iovec v[2] = {{"abc", 3}, {BAD_POINTER, 3}};
	CHECK_EQ(writev(fd, v, 2), 3);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 3);
}

CASE(preadv_pwritev)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	char a[3] = {0}, b[4] = {0};
	struct iovec out[2] = {{"01", 2}, {"234", 3}}, in[2] = {{a, 2}, {b, 3}};
	CHECK_EQ(pwritev(fd, out, 2, 10), 5);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
	CHECK_EQ(preadv(fd, in, 2, 10), 5);
	CHECK_STR(a, "01");
	CHECK_STR(b, "234");
	CHECK_ERRNO(preadv(fd, in, 2, -1), EINVAL);
	int p[2];
	CHECK_OK(pipe(p));
	CHECK_ERRNO(preadv(p[0], in, 2, 0), ESPIPE);
}

CASE(preadv2_pwritev2)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0644));
	struct iovec out[1] = {{"abc", 3}};
	char b[4] = {0};
	struct iovec in[1] = {{b, 3}};
	// An offset of -1 is the file's own.
	CHECK_EQ(pwritev2(fd, out, 1, -1, 0), 3);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 3);
	CHECK_EQ(pwritev2(fd, out, 1, 0, RWF_APPEND), 3);
	CHECK_STR(case_read_file("f"), "abcabc");
	CHECK_EQ(preadv2(fd, in, 1, 2, 0), 3);
	CHECK_STR(b, "cab");
	CHECK_ERRNO(preadv2(fd, in, 1, 0, 0x4000), EOPNOTSUPP);
}

CASE(sendfile_file_to_pipe)
{
	case_write_file("f", "0123456789");
	int fd = CHECK_OK(open("f", O_RDONLY)), p[2];
	char buf[16] = {0};
	CHECK_OK(pipe(p));
	off_t at = 2;
	CHECK_EQ(sendfile(p[1], fd, &at, 3), 3);
	CHECK_EQ(at, 5);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
	CHECK_EQ(sendfile(p[1], fd, NULL, 4), 4);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 4);
	CHECK_EQ(read(p[0], buf, 16), 7);
	CHECK_STR(buf, "2340123");
	CHECK_EQ(sendfile(p[1], fd, NULL, 100), 6);
	CHECK_EQ(sendfile(p[1], fd, NULL, 100), 0);
}

CASE(sendfile_file_to_file)
{
	case_write_file("f", "0123456789");
	int in = CHECK_OK(open("f", O_RDONLY)), out = CHECK_OK(open("g", O_WRONLY | O_CREAT, 0644));
	CHECK_EQ(sendfile(out, in, NULL, 100), 10);
	CHECK_STR(case_read_file("g"), "0123456789");
}

CASE(sendfile_errors)
{
	case_write_file("f", "x");
	int fd = CHECK_OK(open("f", O_RDWR)), p[2];
	CHECK_OK(pipe(p));
	off_t at = -1;
	CHECK_ERRNO(sendfile(p[1], fd, &at, 1), EINVAL);
	CHECK_ERRNO(sendfile(p[1], 99, NULL, 1), EBADF);
	CHECK_ERRNO(sendfile(99, fd, NULL, 1), EBADF);
	CHECK_ERRNO(sendfile(fd, p[1], NULL, 1), EBADF);
	CHECK_ERRNO(sendfile(p[1], fd, BAD_POINTER, 1), EFAULT);
	int app = CHECK_OK(open("g", O_WRONLY | O_CREAT | O_APPEND, 0644));
	CHECK_ERRNO(sendfile(app, fd, NULL, 1), EINVAL);
}

CASE(splice_moves)
{
	case_write_file("f", "0123456789");
	int fd = CHECK_OK(open("f", O_RDONLY)), p[2];
	char buf[16] = {0};
	CHECK_OK(pipe(p));
	loff_t at = 4;
	CHECK_EQ(splice(fd, &at, p[1], NULL, 3, 0), 3);
	CHECK_EQ(at, 7);
	CHECK_EQ(read(p[0], buf, 16), 3);
	CHECK_STR(buf, "456");
	int out = CHECK_OK(open("g", O_WRONLY | O_CREAT, 0644));
	CHECK_EQ(write(p[1], "hello", 5), 5);
	CHECK_EQ(splice(p[0], NULL, out, NULL, 100, 0), 5);
	CHECK_STR(case_read_file("g"), "hello");
	CHECK_ERRNO(splice(p[0], NULL, out, NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
}

CASE(splice_errors)
{
	case_write_file("f", "x");
	int fd = CHECK_OK(open("f", O_RDWR)), p[2];
	CHECK_OK(pipe(p));
	loff_t at = 0;
	CHECK_ERRNO(splice(fd, NULL, fd, NULL, 1, 0), EINVAL);
	CHECK_ERRNO(splice(fd, NULL, p[1], &at, 1, 0), ESPIPE);
	CHECK_ERRNO(splice(fd, NULL, p[1], NULL, 1, 0x100), EINVAL);
	CHECK_ERRNO(splice(99, NULL, p[1], NULL, 1, 0), EBADF);
	CHECK_EQ(splice(fd, NULL, p[1], NULL, 0, 0), 0);
}

CASE(tee_duplicates)
{
	int a[2], b[2];
	char buf[8] = {0};
	CHECK_OK(pipe(a));
	CHECK_OK(pipe(b));
	CHECK_EQ(write(a[1], "abc", 3), 3);
	CHECK_EQ(tee(a[0], b[1], 10, 0), 3);
	CHECK_EQ(read(b[0], buf, 8), 3);
	CHECK_STR(buf, "abc");
	CHECK_EQ(read(a[0], buf, 8), 3);
	CHECK_ERRNO(tee(a[0], a[1], 1, 0), EINVAL);
}

CASE(vmsplice_into_pipe)
{
	int p[2];
	char buf[8] = {0};
	CHECK_OK(pipe(p));
	struct iovec v = {"abc", 3};
	CHECK_EQ(vmsplice(p[1], &v, 1, 0), 3);
	CHECK_EQ(read(p[0], buf, 8), 3);
	CHECK_STR(buf, "abc");
}

CASE(copy_file_range_copies)
{
	case_write_file("f", "0123456789");
	int in = CHECK_OK(open("f", O_RDONLY)), out = CHECK_OK(open("g", O_RDWR | O_CREAT, 0644));
	loff_t a = 2, b = 1;
	CHECK_EQ(copy_file_range(in, &a, out, &b, 4, 0), 4);
	CHECK_EQ(a, 6);
	CHECK_EQ(b, 5);
	CHECK_EQ(copy_file_range(in, NULL, out, NULL, 1, 0), 1);
	char buf[8] = {0};
	CHECK_EQ(pread(out, buf, 8, 0), 5);
	CHECK_STR(buf, "02345");
	a = 10;
	CHECK_EQ(copy_file_range(in, &a, out, NULL, 10, 0), 0);
}

CASE(copy_file_range_errors)
{
	case_write_file("f", "0123456789");
	int in = CHECK_OK(open("f", O_RDWR)), r = CHECK_OK(open("f", O_RDONLY)), p[2];
	CHECK_OK(pipe(p));
	loff_t a = 0, b = 2;
	CHECK_ERRNO(copy_file_range(in, NULL, r, NULL, 1, 0), EBADF);
	CHECK_ERRNO(copy_file_range(in, NULL, in, NULL, 1, 1), EINVAL);
	CHECK_ERRNO(copy_file_range(in, &a, in, &b, 5, 0), EINVAL);
	CHECK_ERRNO(copy_file_range(p[0], NULL, in, NULL, 1, 0), EINVAL);
	int app = CHECK_OK(open("g", O_WRONLY | O_CREAT | O_APPEND, 0644));
	CHECK_ERRNO(copy_file_range(in, NULL, app, NULL, 1, 0), EBADF);
	int d = CHECK_OK(open(".", O_RDONLY));
	CHECK_ERRNO(copy_file_range(d, NULL, in, NULL, 1, 0), EISDIR);
}
