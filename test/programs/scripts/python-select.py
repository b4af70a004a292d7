import os, select, selectors, socket, threading, time
r, w = os.pipe(); print(select.select([r], [w], [], 0) == ([], [w], [])); threading.Timer(0.05, os.write, (w, b"x")).start(); print(select.select([r], [], [], 5)[0] == [r])
p = select.poll(); p.register(r, select.POLLIN); print([e for _, e in p.poll(0)]); e = select.epoll(); e.register(r, select.EPOLLIN | select.EPOLLET); print([x for _, x in e.poll(1)], e.poll(0))
a, b = socket.socketpair(); s = selectors.DefaultSelector(); s.register(a, selectors.EVENT_READ, "a"); b.send(b"hi"); print([(k.data, m) for k, m in s.select(1)], a.recv(9)); b.close(); print(a.recv(1))
l = socket.socket(socket.AF_UNIX); l.bind("s"); l.listen(); c = socket.socket(socket.AF_UNIX); c.connect("s"); d, _ = l.accept(); d.sendall(b"y" * 100000); d.close(); n = 0
while x := c.recv(65536): n += len(x)
print(n); c.close(); t = time.monotonic(); select.select([], [], [], 0.1); print(time.monotonic() - t >= 0.1); x, y = socket.socketpair(); x.settimeout(0.05)
try: x.recv(1)
except TimeoutError: print("timeout")
socket.send_fds(x, [b"m"], [r]); msg, fds, _, _ = socket.recv_fds(y, 10, 1); print(msg, len(fds), os.fstat(fds[0]).st_ino == os.fstat(r).st_ino); os.eventfd_write(f := os.eventfd(0), 5) if hasattr(os, "eventfd") else None; print(os.eventfd_read(f))
