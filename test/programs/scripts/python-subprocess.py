import os, subprocess, sys
print(subprocess.run(["echo", "hi"], capture_output=True, text=True).stdout.strip())
print(subprocess.run("exit 3", shell=True).returncode, subprocess.run(["sh", "-c", "kill -9 $$"]).returncode)
p = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(p.communicate(b"x" * 300000)[0] == b"x" * 300000, p.returncode)
p1 = subprocess.Popen(["seq", "1000"], stdout=subprocess.PIPE)
p2 = subprocess.Popen(["grep", "-c", "9"], stdin=p1.stdout, stdout=subprocess.PIPE); p1.stdout.close()
print(p2.communicate()[0], p1.wait())
try:
    subprocess.run(["sleep", "10"], timeout=0.2)
except subprocess.TimeoutExpired:
    print("timeout")
try:
    subprocess.run(["/no/such"])
except FileNotFoundError as e:
    print(e.errno)
print(subprocess.check_output(["env"], env={"A": "1"}), subprocess.run(["pwd"], cwd="/usr", capture_output=True).stdout)
print(subprocess.run(["sh", "-c", "echo err >&2"], stderr=subprocess.STDOUT, stdout=subprocess.PIPE).stdout)
r, w = os.pipe()
print(subprocess.run(["sh", "-c", f"echo fd >&{w}"], pass_fds=[w]).returncode, os.read(r, 10))
p = subprocess.Popen(["sleep", "60"], start_new_session=True); print(os.getsid(p.pid) == p.pid); p.terminate(); print(p.wait())
ps = [subprocess.Popen(["true"]) for _ in range(20)]; print(sum(p.wait() for p in ps))
pid = os.fork()
if pid == 0:
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), os.system("exit 5") >> 8, os.popen("echo popen").read().strip())
print(os.posix_spawn("/bin/true", ["true"], {}) > 0, os.wait()[1])
sys.exit(9)
