import os, pathlib, shutil, stat, tempfile
with tempfile.TemporaryDirectory() as d:
    p = pathlib.Path(d); (p / "a/b").mkdir(parents=True); (p / "a/f").write_text("x" * 1000); (p / "a/b/g").write_bytes(b"y"); os.symlink("f", p / "a/l"); os.chmod(p / "a/f", 0o640)
    shutil.copytree(p / "a", p / "c", symlinks=True); print(sorted(str(x.relative_to(p)) for x in p.rglob("*"))); print(oct(stat.S_IMODE(os.stat(p / "c/f").st_mode)), os.readlink(p / "c/l"))
    shutil.move(p / "c", p / "e"); shutil.rmtree(p / "a"); print(sorted(os.listdir(p)), shutil.disk_usage(p).total > 0); print(os.path.basename(shutil.make_archive(str(p / "z"), "gztar", p / "e"))); shutil.unpack_archive(p / "z.tar.gz", p / "u"); print(sorted(os.listdir(p / "u")))
    os.utime(p / "e/f", (1, 2)); print(os.stat(p / "e/f").st_mtime); os.truncate(p / "e/f", 3); print((p / "e/f").read_text()); os.link(p / "e/f", p / "h"); print(os.stat(p / "h").st_nlink)
print(os.path.exists(d))
with tempfile.NamedTemporaryFile() as f: f.write(b"abc"); f.flush(); print(os.path.getsize(f.name))
with tempfile.TemporaryFile() as f: f.write(b"abc"); f.seek(0); print(f.read(), os.fstat(f.fileno()).st_nlink)
fd, n = tempfile.mkstemp(); os.write(fd, b"q" * 5000); os.lseek(fd, 0, 0); print(len(os.read(fd, 9999))); os.sendfile(fd, fd, 0, 0) if False else None; os.close(fd); os.unlink(n); print(shutil.which("sh") is not None, len(list(os.scandir("/etc"))) > 5)
