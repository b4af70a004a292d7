import os, signal, time, resource, faulthandler
got = []
signal.signal(signal.SIGUSR1, lambda s, f: got.append(s)); os.kill(os.getpid(), signal.SIGUSR1); time.sleep(0.01); print([int(x) for x in got])
signal.setitimer(signal.ITIMER_REAL, 0.05); signal.signal(signal.SIGALRM, lambda s, f: print("alarm")); signal.pause()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]); os.kill(os.getpid(), signal.SIGUSR2); print([int(x) for x in signal.sigpending()], int(signal.sigwait([signal.SIGUSR2])))
print(signal.sigtimedwait([signal.SIGUSR2], 0.05)); r, w = os.pipe(); os.set_blocking(w, False); signal.set_wakeup_fd(w); os.kill(os.getpid(), signal.SIGUSR1); time.sleep(0.01); print(os.read(r, 1) == bytes([signal.SIGUSR1]))
def boom(s, f): raise InterruptedError
signal.signal(signal.SIGALRM, boom); signal.alarm(1)
try: os.read(r, 1); os.read(r, 1)
except InterruptedError: print("interrupted")
try: signal.signal(signal.SIGINT, signal.default_int_handler); os.kill(os.getpid(), signal.SIGINT); time.sleep(5)
except KeyboardInterrupt: print("keyboard")
print(resource.getrlimit(resource.RLIMIT_CORE)[0] >= -1); pid = os.fork()
if pid == 0: signal.signal(signal.SIGTERM, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGTERM); os._exit(0)
print(os.WTERMSIG(os.waitpid(pid, 0)[1]), signal.strsignal(9), flush=True); os.kill(os.getpid(), signal.SIGTERM)
